"""`hf://user/repo` against a hub on this machine: choices, errors, hostile answers."""

import itertools
import json
import logging
import os

import pytest

pytest.importorskip("huggingface_hub")

from efficientvision.errors import UserError  # noqa: E402
from efficientvision.weights import hub as hub_module  # noqa: E402
from efficientvision.weights import hub_answers, hub_choice  # noqa: E402
from efficientvision.weights.hub import local_path  # noqa: E402
from efficientvision.weights.hub_address import HubAddress, parse_address  # noqa: E402
from efficientvision.weights.hub_choice import choose_files  # noqa: E402
from tests.fake_hub import TOKEN, connect, serving  # noqa: E402

CONFIG = b"name: efficientdet-d0\ntask: detection\n"


@pytest.fixture(scope="module")
def server():
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    connect(server, tmp_path / "cache", monkeypatch)
    server.add("user/cells", model__safetensors=b"weights", config__yaml=CONFIG, README__md=b"#")
    return server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://user/repo", ("user/repo", "", "")),
        ("hf://user/repo@v1", ("user/repo", "", "v1")),
        ("hf://user/repo/a/b.pth", ("user/repo", "a/b.pth", "")),
        ("hf://user/repo/a/b.pth@refs/pr/3", ("user/repo", "a/b.pth", "refs/pr/3")),
        ("hf://user/repo@v1/b.pth", ("user/repo", "b.pth", "v1")),
        ("hf://user/repo@refs/pr/3/b.pth", ("user/repo", "b.pth", "refs/pr/3")),
    ],
)
def test_addresses(text, expected):
    assert parse_address(text) == HubAddress(*expected)


@pytest.mark.parametrize(
    "text",
    [
        *("hf://", "hf://repo", "hf:///repo", "hf://user/../x", "hf://user/repo/../../x"),
        *("hf://user/repo@", "hf://user/repo@../x", "hf://us er/repo", "hf://datasets/user/repo"),
    ],
)
def test_no_addresses(text):
    with pytest.raises(UserError, match="expected hf://user/repo"):
        parse_address(text)


def test_a_path_of_this_machine_stays_as_it_is():
    assert local_path("runs/cells") == "runs/cells"


def test_downloads_the_model_and_what_explains_it(hub, caplog):
    caplog.set_level(logging.INFO)
    path = local_path("hf://user/cells")
    folder = os.path.dirname(path)
    assert sorted(os.listdir(folder)) == ["config.yaml", "model.safetensors"]
    assert open(path, "rb").read() == b"weights"
    assert hub.commit("user/cells", "main") in folder
    assert "hf://user/cells is at commit" in caplog.text
    # A second time, only the list is asked for, and the small file that notes the branch's commit.
    before = len(hub.asked)
    assert local_path("hf://user/cells") == path
    assert [method for method, _ in hub.asked[before:]] == ["GET", "HEAD"]


def test_without_a_connection_the_cache_is_used(hub, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    path = local_path("hf://user/cells")
    hub.failing = 503
    assert local_path("hf://user/cells") == path
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert local_path("hf://user/cells/model.safetensors") == path
    assert "is read from the cache" in caplog.text
    with pytest.raises(UserError, match="hf://user/other is not in the cache, and HF_HUB_OFFLINE"):
        local_path("hf://user/other")


def test_a_revision(hub):
    hub.repos["user/cells"]["v2"] = {"model.safetensors": b"newer"}
    assert open(local_path("hf://user/cells@v2"), "rb").read() == b"newer"
    with pytest.raises(UserError, match="hf://user/cells@v3 has no such revision"):
        local_path("hf://user/cells@v3")


def test_a_token_opens_a_private_repository(hub, monkeypatch):
    hub.private.add("user/cells")
    with pytest.raises(UserError, match="does not exist, or is private and you are not logged in"):
        local_path("hf://user/cells")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    local_path("hf://user/cells")


@pytest.mark.parametrize(
    ("change", "address", "message"),
    [
        (lambda hub: None, "user/none", "hf://user/none does not exist, or is private"),
        (lambda hub: hub.gated.add("user/cells"), "user/cells", "is gated: accept its conditions"),
        (lambda hub: None, "user/cells/b.pth", "there is no b.pth in it. Did you mean model"),
        (lambda hub: setattr(hub, "failing", 500), "user/cells", r"has a fault \(HTTP 500\)"),
        (lambda hub: setattr(hub, "failing", 429), "user/cells", "the hub asks to wait"),
        (lambda hub: setattr(hub, "failing", 418), "user/cells", r"refuses \(HTTP 418\)"),
    ],
)
def test_errors_name_the_address(hub, change, address, message):
    change(hub)
    with pytest.raises(UserError, match=message):
        local_path(f"hf://{address}")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hf://a/b needs .*: pip install 'efficientvision\[hub\]'"):
        local_path("hf://a/b")


@pytest.mark.parametrize(
    ("names", "path", "expected"),
    [
        ("config.json model.safetensors open_clip_model.safetensors", "", "model.safetensors"),
        ("ckpt-90.npz ckpt-100.npz", "", "ckpt-100.npz"),
        ("a.index a.data-00000-of-00001", "", "a"),
        ("a.index a.data-00000-of-00001", "a", "a"),
        ("m/saved_model.pb m/variables/x m/metadata.json", "m", "m"),
        ("saved_model.pb variables/x code.py", "", "."),
        ("m.xml m.bin", "", "m.xml"),
        ("exports/m.tflite model.py", "exports", "exports/m.tflite"),
    ],
)
def test_chooses(names, path, expected):
    choice = choose_files("hf://a/b", path, dict.fromkeys(names.split()))
    assert choice.target == expected
    others = [name for name in names.split() if name not in choice.names]
    assert others in (
        [],
        ["ckpt-90.npz"],
        ["code.py"],
        ["model.py"],
        ["open_clip_model.safetensors"],
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a.pth b.pth", "has 2 models, a.pth, b.pth: add the file's name"),
        ("x/a.pth", "at its top: name one of x/a.pth"),
        ("model.py weights.pkl", "no model that can be loaded .*: it has model.py, weights.pkl"),
        ("", "there is no file in it"),
    ],
)
def test_chooses_nothing(names, message):
    with pytest.raises(UserError, match=message):
        choose_files("hf://a/b", "", dict.fromkeys(names.split()))


def _named(name):
    def change(answer):
        answer["siblings"][0]["rfilename"] = name
        return answer

    return change


def _with_size(size):
    def change(answer):
        answer["siblings"][0]["lfs"]["size"] = size
        return answer

    return change


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        *(
            (_named(name), "which would not lie in the repository's folder")
            for name in (
                "../x.pth",
                "/etc/x.pth",
                "a/../../x.pth",
                "a\\b.pth",
                "C:x.pth",
                "a\n.pth",
            )
        ),
        (_with_size(-1), "is not a list of files"),
        (_with_size("many"), "is not a list of files"),
        (_with_size(10**13), "would download 10000.0 GB, more than 4 GB"),
        (_with_size(6), "ended early, or has another size|larger than the 6 bytes"),
        (_with_size(8), r"is not the file that the hub lists"),
        (lambda answer: b"<html>Welcome</html>", "is not a list of files .JSONDecodeError"),
        (lambda answer: b"[" * 100_000, "is not a list of files"),
        (lambda answer: {**answer, "sha": "../../x"}, "is not a list of files"),
        (lambda answer: {**answer, "siblings": [None]}, "is not a list of files"),
        (lambda answer: b" " * 2_000_001, "longer than 2 MB"),
    ],
)
def test_hostile_lists(hub, listing, message, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_answers, "_LIST_BYTES", 2_000_000)
    hub.listing = listing
    with pytest.raises(UserError, match=message):
        local_path("hf://user/cells")
    assert set(os.listdir(tmp_path)) <= {"cache"}


def _renamed(name, value):
    return lambda headers: {**headers, name: value}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (_renamed("ETag", '"../../../../x"'), "the hub sent an invalid checksum"),
        (_renamed("X-Linked-ETag", '"/etc/x"'), "the hub sent an invalid checksum"),
        (_renamed("X-Repo-Commit", "../../x"), "the hub sent an invalid commit"),
        (_renamed("X-Repo-Commit", "0" * 40), "changed while it was downloaded"),
        (lambda h: {**h, "code": 302, "Location": "file:///etc/passwd"}, "cannot be reached or"),
        (lambda h: {**h, "Content-Length": str(10**15)}, "too large|ended early"),
    ],
)
def test_hostile_headers(hub, headers, message, tmp_path):
    hub.headers = headers
    with pytest.raises(UserError, match=message):
        local_path("hf://user/cells")
    assert set(os.listdir(tmp_path)) <= {"cache"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda content: itertools.repeat(b"0" * 100_000), "is larger than the .* bytes"),
        (lambda content: [content[:3]], "ended early|broke off"),
        (lambda content: [content[::-1]], "is not the file that the hub lists"),
    ],
    ids=["endless", "short", "another"],
)
def test_hostile_content(hub, body, message, tmp_path):
    hub.body = body
    with pytest.raises(UserError, match=message):
        local_path("hf://user/cells")
    hub.body = None
    assert open(local_path("hf://user/cells"), "rb").read() == b"weights"
    kept = [os.path.join(place, name) for place, _, names in os.walk(tmp_path) for name in names]
    assert sum(map(os.path.getsize, kept)) < 1000


def test_a_file_that_may_not_be_read(hub):
    hub.add("user/long", a__pth=b"x")
    hub.headers = lambda headers: {**headers, "code": 403}
    with pytest.raises(UserError, match="does not let you read hf://user/long .HTTP 403"):
        local_path("hf://user/long")


def test_a_repository_of_many_files(hub):
    entry = {"rfilename": "x" * 20, "size": 1}
    many = [{**entry, "rfilename": f"f{index}"} for index in range(5000)]
    hub.listing = lambda answer: {**answer, "siblings": answer["siblings"] + many}
    local_path("hf://user/cells")
    assert len([1 for method, path in hub.asked if "resolve" in path and method == "GET"]) == 2


def test_large_downloads_are_announced_and_limited(hub, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(hub_module, "_LARGE", 2000)
    hub.add("user/large", model__safetensors=bytes(2000))
    monkeypatch.setenv("EFFICIENTVISION_HUB_LIMIT_GB", "1e-6")
    with pytest.raises(UserError, match="download 2.0 kB, more than 1e-06 GB: .*HUB_LIMIT_GB"):
        local_path("hf://user/large")
    monkeypatch.delenv("EFFICIENTVISION_HUB_LIMIT_GB")
    local_path("hf://user/large")
    assert "Downloading 1 file, 2.0 kB, from hf://user/large" in caplog.text
    hub.add("user/full", model__safetensors=bytes(1001))
    monkeypatch.setattr(hub_module.files, "free_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match="but only 1.0 kB are free in .*HF_HOME"):
        local_path("hf://user/full")


# Short, and millions of values long where it is printed.
_BOMB = (
    b"name: [&a [x], "
    + b"".join(b"&%c [%s]," % (c + 1, b",".join([b"*%c" % c] * 8)) for c in b"abcdefg")
    + b"]\n"
)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"name: efficientdet-d0\nimage_size: 100000\n", "image_size=100000x100000, and 4096"),
        (b"name: efficientdet-d0\nnum_classes: -3\n", "num_classes"),
        (b"name: nonsense\n", "nonsense"),
        (b"a: &a [1]\nname: [*a, *a]\n", "config.yaml|name"),
        (_BOMB, "its aliases .* stand for 5,135,884 values"),
        (b"name: &a [*a]\n", "line 1: an alias is within what it stands for"),
        (b" " * 2001, "config.yaml has 2,001 bytes"),
    ],
)
def test_hostile_configurations(hub, config, message, monkeypatch):
    monkeypatch.setattr(hub_choice, "_SIDE_BYTES", 2000)
    hub.add("user/bad", model__safetensors=b"weights", config__yaml=config)
    with pytest.raises(UserError, match=message):
        local_path("hf://user/bad")


def test_a_hostile_configuration_is_refused_from_the_cache_too(hub):
    config = b"name: efficientdet-d0\nimage_size: 100000\n"
    hub.add("user/bad", model__safetensors=b"weights", config__yaml=config)
    for hub.failing in (None, 503):
        with pytest.raises(UserError, match="image_size=100000x100000"):
            local_path("hf://user/bad")


def test_a_program_in_a_pth_is_refused(hub):
    from efficientvision.weights.checkpoint_reader import open_checkpoint

    hub.add("user/evil", net__pth=b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.")
    hub.add("user/pointer", a__pth=b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    for repo in ("user/evil", "user/pointer"):
        with pytest.raises(UserError, match="net.pth|git-lfs"):
            open_checkpoint(f"hf://{repo}")


def test_json_of_the_listing_is_the_hubs(hub):
    """The fake answers as the hub does: the package's own client understands it."""
    import huggingface_hub

    info = huggingface_hub.HfApi(endpoint=hub.url).model_info("user/cells", files_metadata=True)
    assert info.sha == hub.commit("user/cells", "main")
    assert json.dumps([one.rfilename for one in info.siblings]).count("model.safetensors") == 1
