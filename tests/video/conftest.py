"""What the tests of videos share."""

import socketserver

import pytest


@pytest.fixture(autouse=True)
def servers_end_at_once(monkeypatch):
    """A server looks twice a second whether it shall end; every page here would wait for that."""
    monkeypatch.setattr(socketserver.BaseServer.serve_forever, "__defaults__", (0.01,))
