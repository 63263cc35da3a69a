"""One export that the tests of this folder look at from several sides."""

import pytest

from efficientvision.export.serving import build_serving
from tests.filled_detector import exported_folder, filled_detector


@pytest.fixture(scope="session")
def serving():
    loaded = filled_detector()
    return build_serving(loaded.model, loaded.config)


@pytest.fixture(scope="session")
def exported():
    """A SavedModel folder with a batch of one."""
    return exported_folder()
