"""One export that the tests of this folder look at from several sides."""

import pytest

from efficientvision.tasks.choice import build_serving
from tests import small_networks


@pytest.fixture(scope="session")
def serving():
    loaded = small_networks.small_detector()
    return build_serving(loaded.model, loaded.config)


@pytest.fixture(scope="session")
def exported():
    """A SavedModel folder with a batch of one."""
    return small_networks.exported("detector")
