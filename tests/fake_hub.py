"""A hub on this machine: what `huggingface_hub` asks of the Hugging Face Hub, in one process."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import pathlib
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

_LARGE = (".safetensors", ".npz", ".tflite", ".h5", ".pth")
TOKEN = "hf_secret"


class Hub:
    """The hub's repositories, and what tests change in its answers.

    Attributes:
        repos: Repository -> revision -> path -> content.
        private: Repositories that need the token.
        gated: Repositories that are gated.
        asked: Methods and paths of all requests.
        listing: Changes the answer to a request for the files of a repository.
        headers: Changes the headers of a file.
        body: Gives the body of a file, in pieces, instead of its content.
        failing: Status code of every answer, if set.
    """

    def __init__(self):
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.messages: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.listing: Callable[[dict], object] = lambda answer: answer
        self.headers: Callable[[dict], dict] = lambda headers: headers
        self.body: Callable[[bytes], Iterator[bytes]] | None = None
        self.failing: int | None = None
        self.url = ""

    def add(self, repo: str, **contents: bytes) -> None:
        """Makes a repository; `model__safetensors` is the file model.safetensors."""
        files = {name.replace("__", "."): content for name, content in contents.items()}
        self.repos[repo] = {"main": files}

    def commit(self, repo: str, revision: str) -> str:
        """The commit of a revision: the checksum of its content."""
        return hashlib.sha1(repr(self.repos[repo][revision]).encode()).hexdigest()

    def revision(self, repo: str, asked: str) -> str | None:
        """The revision of this name or commit."""
        named = {self.commit(repo, name): name for name in self.repos[repo]}
        return asked if asked in self.repos[repo] else named.get(asked)


def etag(name: str, content: bytes) -> str:
    """The checksum by which the hub names a file."""
    if name.endswith(_LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # The other side has heard enough.
            super().handle()

    def _answer(self, code: int, content: object = b"", **headers: str):
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _refuse(self, code: int, error: str):
        self._answer(code, {"error": error}, X_Error_Code=error)

    def _may_read(self, repo: str) -> bool:
        hub = self.hub
        if repo in hub.gated:
            self._refuse(403, "GatedRepo")
        elif repo not in hub.repos or (repo in hub.private and TOKEN not in self._token):
            self._refuse(401, "RepoNotFound")
        else:
            return True
        return False

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "")

    def _content(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while length := int(self.rfile.readline(), 16):
            content += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, parts = self.hub, [urllib.parse.unquote(p) for p in self._path.split("/")[1:]]
        hub.asked.append((self.command, self._path))
        if hub.failing:
            self._answer(hub.failing, b"<html>down</html>")
        elif parts[:2] == ["api", "models"]:
            repo, asked = "/".join(parts[2:4]), (parts[5:] or ["main"])[0]
            if self._may_read(repo):
                self._list(repo, asked)
        elif parts[2] == "resolve" and self._may_read("/".join(parts[:2])):
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _list(self, repo: str, asked: str):
        hub = self.hub
        revision = hub.revision(repo, asked)
        if revision is None:
            self._refuse(404, "RevisionNotFound")
            return
        siblings = []
        for name, content in hub.repos[repo][revision].items():
            entry = {"rfilename": name, "size": len(content), "blobId": etag("", content)}
            if name.endswith(_LARGE):
                large = {"sha256": etag(name, content), "size": len(content), "pointerSize": 9}
                entry["lfs"] = large
            siblings.append(entry)
        answer = {"id": repo, "sha": hub.commit(repo, revision), "siblings": siblings}
        self._answer(200, hub.listing({**answer, "private": repo in hub.private}))

    def _file(self, repo: str, asked: str, name: str):
        hub = self.hub
        revision = hub.revision(repo, asked)
        content = hub.repos[repo].get(revision, {}).get(name)
        if content is None:
            self._refuse(404, "EntryNotFound" if revision else "RevisionNotFound")
            return
        headers = {"X-Repo-Commit": hub.commit(repo, revision), "ETag": f'"{etag(name, content)}"'}
        headers = hub.headers(headers)
        if hub.body is None or self.command == "HEAD":
            self._answer(headers.pop("code", 200), content, **headers)
            return
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        for piece in hub.body(content):
            self.wfile.write(piece)
        self.close_connection = True

    def do_PUT(self):
        content = self._content()
        self.hub.uploads[self._path.rpartition("/")[2]] = content
        self._answer(200)

    def do_POST(self):
        hub, content = self.hub, self._content()
        hub.asked.append(("POST", self._path))
        if TOKEN not in self._token:
            self._answer(403, {"error": "your token may not write"})
            return
        parts = [urllib.parse.unquote(part) for part in self._path.split("/")[1:]]
        repo = "/".join(parts[2:4])
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(content)
            repo = f"{asked.get('organization') or 'user'}/{asked['name']}"
            there = repo in hub.repos
            hub.repos.setdefault(repo, {"main": {}})
            if asked.get("private") or asked.get("visibility") == "private":
                hub.private |= set() if there else {repo}
            self._answer(409 if there else 200, {"url": f"{hub.url}/{repo}", "id": repo})
        elif self._path.endswith("/validate-yaml"):
            self._answer(200, {"errors": [], "warnings": []})
        elif parts[4:5] == ["branch"]:
            hub.repos[repo].setdefault(parts[5], {})
            self._answer(200, {})
        elif parts[4:5] == ["preupload"]:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(content)["files"]
            ]
            self._answer(200, {"files": files})
        elif self._path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}
                for one in json.loads(content)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif parts[4:5] == ["commit"]:
            self._commit(repo, parts[5], [json.loads(line) for line in content.splitlines()])

    def _commit(self, repo: str, revision: str, lines: list[dict]):
        files = self.hub.repos[repo].setdefault(revision, {})
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.hub.uploads[value["oid"]]
        oid = self.hub.commit(repo, revision)
        url = f"{self.hub.url}/{repo}/commit/{oid}"
        self._answer(200, {"success": True, "commitOid": oid, "commitUrl": url})


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """Runs a hub."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def connect(hub: Hub, cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `huggingface_hub` connect to a hub without repositories; nobody is logged in."""
    from huggingface_hub import constants, file_download

    vars(hub).update({**vars(Hub()), "url": hub.url})
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(cache),
        "HF_TOKEN_PATH": str(cache / "no token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "EFFICIENTVISION_HUB_LIMIT_GB"):
        monkeypatch.delenv(name, raising=False)
    # Between two tries.
    monkeypatch.setattr(file_download, "time", mock.Mock(wraps=time, sleep=lambda seconds: None))
