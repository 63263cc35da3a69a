"""Writes records made to order, and reads them as the preflight does."""

import pytest

from efficientvision.preflight.record_scan import scan_records
from tests.example_records import write_examples


@pytest.fixture
def write(tmp_path):
    """Writes examples in shards; returns their pattern."""
    return lambda examples, *name, **options: write_examples(tmp_path, examples, *name, **options)


@pytest.fixture
def scan(write):
    """Writes examples and reads them back."""
    return lambda examples, *name: scan_records(write(examples, *name))
