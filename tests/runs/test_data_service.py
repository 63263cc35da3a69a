"""`--tf_data_service`: what it excludes, and that its absence is noticed before the run begins."""

import pytest

from efficientvision.errors import UserError
from efficientvision.runs import run_setup
from tests.programs import run_options


def given(*arguments):
    return run_options("--model_dir=run", "--train_file_pattern=records*", *arguments)


def test_it_excludes_determinism():
    run_setup.check_options(given("--tf_data_service=grpc://localhost:5000"))
    with pytest.raises(UserError, match="`tf_data_service` and `deterministic` exclude"):
        run_setup.check_options(given("--tf_data_service=grpc://localhost:5000", "--deterministic"))


def test_a_malformed_address_is_refused_before_anything_is_built(tmp_path):
    (tmp_path / "records").write_bytes(b"")
    pattern = f"--train_file_pattern={tmp_path}/records"
    with pytest.raises(UserError, match="`tf_data_service=localhost:5000` is not an address"):
        run_setup.find_data(given("--tf_data_service=localhost:5000", pattern))
