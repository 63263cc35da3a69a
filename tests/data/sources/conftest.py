"""Conversions of a few tiny pictures, which need no processes of their own."""

import os

import pytest


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
