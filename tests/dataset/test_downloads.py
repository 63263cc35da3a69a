"""The download scripts against a server on this machine: broken lines, bad answers, second runs."""

import hashlib
import os
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY
from tests.dataset.download_scripts import failed, run, tar, zipped
from tests.dataset.file_server import PAGE, File, serving

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)

SCRIPTS = sorted(path.name for path in (REPOSITORY / "dataset").glob("download_*.sh"))
CONTENT = bytes(range(256)) * 400


@pytest.fixture
def server():
    with serving() as running:
        yield running


def fetch(url, target, check="", **environment):
    """`fetch` of the shared file alone."""
    code = '. "$0/download_common.sh"; fetch "$1" "$2" "$3"'
    return subprocess.run(
        ["bash", "-c", code, str(REPOSITORY / "dataset"), url, str(target), check],
        env={**os.environ, "DOWNLOAD_PAUSE": "0", "DOWNLOAD_ATTEMPTS": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_file_is_fetched_once(server, tmp_path):
    server.files["/a"] = File(CONTENT)
    target = tmp_path / "new" / "a.bin"
    assert fetch(f"{server.url}/a", target).returncode == 0
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["a.bin"]
    before = len(server.asked)
    again = fetch(f"{server.url}/a", target)
    assert again.returncode == 0 and "is there" in again.stdout
    assert len(server.asked) == before


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.files["/a"] = File(CONTENT, cuts=2, cut_bytes=30_000, etag='"1"')
    assert fetch(f"{server.url}/a", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [r for _, r in server.downloads()] == [None, "bytes=30000-", "bytes=60000-"]


def test_a_later_run_goes_on(server, tmp_path):
    server.files["/a"] = File(CONTENT, cuts=1, cut_bytes=50_000)
    done = fetch(f"{server.url}/a", tmp_path / "a", DOWNLOAD_ATTEMPTS="1")
    assert failed(done, "broke off 1 times") and not (tmp_path / "a").exists()
    assert (tmp_path / "a.part").stat().st_size == 50_000
    assert fetch(f"{server.url}/a", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.downloads()[-1] == ("/a", "bytes=50000-")


def test_a_file_that_changed_meanwhile_begins_anew(server, tmp_path):
    server.files["/a"] = File(CONTENT, cuts=1, cut_bytes=50_000, etag='"1"')
    fetch(f"{server.url}/a", tmp_path / "a", DOWNLOAD_ATTEMPTS="1")
    server.files["/a"] = File(CONTENT[::-1], etag='"2"')
    assert fetch(f"{server.url}/a", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges(server, tmp_path):
    server.files["/a"] = File(CONTENT, cuts=1, cut_bytes=50_000, takes_ranges=False)
    assert fetch(f"{server.url}/a", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_what_is_there_in_full_or_in_excess(server, tmp_path, extra):
    server.files["/a"] = File(CONTENT)
    (tmp_path / "a.part").write_bytes(CONTENT + extra)
    assert fetch(f"{server.url}/a", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_fewer_bytes_than_the_server_tells_are_no_file(server, tmp_path):
    server.files["/a"] = File(CONTENT, cuts=9, cut_bytes=0)
    assert failed(fetch(f"{server.url}/a", tmp_path / "a"), "broke off 3 times")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_checksums(server, tmp_path, algorithm):
    server.files["/a"] = File(CONTENT)
    digits = hashlib.new(algorithm, CONTENT).hexdigest()
    assert fetch(f"{server.url}/a", tmp_path / "a", f"{algorithm}:{digits}").returncode == 0
    done = fetch(f"{server.url}/a", tmp_path / "b", f"{algorithm}:{digits[::-1]}")
    assert failed(done, f"its {algorithm} is not {digits[::-1]}")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_published_checksum_is_held_against(server, tmp_path):
    server.files["/good"] = File(CONTENT, publishes_md5=True)
    server.files["/bad"] = File(CONTENT, publishes_md5=True, md5_of=b"another file")
    assert fetch(f"{server.url}/good", tmp_path / "good").returncode == 0
    assert failed(fetch(f"{server.url}/bad", tmp_path / "bad"), "its md5 is not")
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (None, "the server answers 404"),
        (File(PAGE, kind="text/html"), "gave a web page instead of the file"),
        (File(b"\n <HTML><body>", kind="application/zip"), "gave a web page instead of the file"),
        (File(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS"),
    ],
)
def test_what_is_no_file_is_refused(server, tmp_path, file, complaint):
    if file:
        server.files["/a"] = file
    assert failed(fetch(f"{server.url}/a", tmp_path / "a"), complaint)
    assert not list(tmp_path.iterdir())


def test_a_machine_that_does_not_answer(tmp_path):
    done = fetch("http://127.0.0.1:9/a", tmp_path / "a", DOWNLOAD_ATTEMPTS="2")
    assert failed(done, "http://127.0.0.1:9/a broke off 2 times")


def test_a_full_disk_is_told_before_the_download(server, tmp_path):
    server.files["/a"] = File(CONTENT)
    fake = tmp_path / "bin" / "df"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho Filesystem\necho disk 100 99 1 99% /\n")
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    done = fetch(f"{server.url}/a", tmp_path / "a", PATH=path)
    assert failed(done, "0 MB free: make room") and not server.downloads()


def test_no_curl(tmp_path):
    for name in ("dirname", "basename", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [shutil.which("bash"), str(REPOSITORY / "dataset" / "download_coco.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "needs" in done.stderr and "not installed" in done.stderr


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "download_common.sh"])
def test_help_and_unknown_arguments(script):
    done = run(script, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {script}")
    assert failed(run(script, "--outputdir=x"), "--outputdir=x is not known")


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_nothing_to_say(script):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "-x", script],
        cwd=REPOSITORY / "dataset",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_coco(server, tmp_path):
    server.files["/zips/val2017.zip"] = File(zipped(val2017__1="photo"))
    server.files["/annotations/annotations_trainval2017.zip"] = File(
        zipped(annotations__instances_val2017="{}")
    )
    arguments = ("download_coco.sh", f"--output_dir={tmp_path / 'coco'}", "--remove_archives")
    assert run(*arguments, COCO_URL=server.url).returncode == 0
    assert (tmp_path / "coco" / "val2017" / "1").read_text() == "photo"
    assert (tmp_path / "coco" / "annotations" / "instances_val2017").exists()
    assert not list((tmp_path / "coco").glob("*.zip"))
    before = len(server.asked)
    assert run(*arguments, COCO_URL=server.url).returncode == 0
    assert len(server.asked) == before


def test_an_archive_that_is_none_is_told(server, tmp_path):
    server.files["/zips/test2017.zip"] = File(b"PK but no more")
    done = run("download_coco.sh", "test", f"--output_dir={tmp_path}", COCO_URL=server.url)
    assert failed(done, "test2017.zip cannot be unpacked")
    assert not (tmp_path / ".unpacked").exists()


def test_voc(server, tmp_path):
    trainval = tar(VOCdevkit__VOC2007__a=b"trainval")
    server.files["/voc2007/VOCtrainval_06-Nov-2007.tar"] = File(trainval)
    server.files["/voc2007/VOCtest_06-Nov-2007.tar"] = File(tar(VOCdevkit__VOC2007__b=b"test"))
    server.files["/SegmentationClassAug.zip"] = File(zipped(SegmentationClassAug__x="mask"))
    server.files["/list.zip"] = File(zipped(list__train_aug="x"))
    given = {"VOC_URL": server.url, "VOC_AUG_URL": server.url}
    wrong = run("download_voc.sh", "2007", f"--output_dir={tmp_path}", **given)
    assert failed(wrong, "its md5 is not c52e279531787c972589f7e41ab4ae64")
    given["VOC2007_TRAINVAL_CHECK"] = f"md5:{hashlib.md5(trainval).hexdigest()}"
    done = run("download_voc.sh", "2007", "aug", f"--output_dir={tmp_path}", **given)
    assert done.returncode == 0, done.stderr
    voc = tmp_path / "VOCdevkit"
    assert [(voc / "VOC2007" / name).read_text() for name in "ab"] == ["trainval", "test"]
    assert (voc / "VOC2012" / "SegmentationClassAug" / "x").exists()
    assert (voc / "VOC2012" / "list" / "train_aug").exists()


FORM = """<!DOCTYPE html><html><body><form id="download-form" action="{url}/download" method="get">
<input type="hidden" name="id" value="aB-1"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="u-7"></form>"""


@pytest.mark.parametrize("link", ["{url}/file/d/aB-1/view?usp=sharing", "aB-1", "{url}/uc?id=aB-1"])
def test_a_drive_that_asks_for_a_confirmation(server, tmp_path, link):
    server.files["/uc?export=download&id=aB-1"] = File(
        FORM.format(url=server.url).encode(), kind="text/html; charset=utf-8"
    )
    server.files["/download?id=aB-1&export=download&confirm=t&uuid=u-7"] = File(
        tar(**{"efficientdet-d0__checkpoint": b"x"}), name="d0-vfpn.tar.gz"
    )
    done = run(
        "download_vfpn.sh",
        link.format(url=server.url),
        f"--output_dir={tmp_path}",
        DRIVE_URL=server.url,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "efficientdet-d0" / "checkpoint").exists()
    assert (tmp_path / "d0-vfpn.tar.gz").exists()


def test_a_drive_and_other_links(server, tmp_path):
    server.files["/uc?export=download&id=small"] = File(CONTENT, name="../video.mp4")
    server.files["/uc?export=download&id=secret"] = File(PAGE, kind="text/html")
    server.files["/plain/video.mov?x=1"] = File(CONTENT)
    given = (f"--output_dir={tmp_path}",)
    assert run("download_vfpn.sh", "small", *given, DRIVE_URL=server.url).returncode == 0
    assert (tmp_path / "video.mp4").read_bytes() == CONTENT
    done = run("download_vfpn.sh", "secret", *given, DRIVE_URL=server.url)
    assert failed(done, "does not give the file secret away")
    assert run("download_vfpn.sh", f"{server.url}/plain/video.mov?x=1", *given).returncode == 0
    assert (tmp_path / "video.mov").read_bytes() == CONTENT
    assert failed(run("download_vfpn.sh"), "name the link")
    assert failed(run("download_vfpn.sh", "a;b"), "no link of Google Drive")


def test_cityscapes_asks_for_a_login_and_forgets_it(server, tmp_path):
    server.files["/file-handling/?packageID=1"] = File(
        zipped(gtFine__a="mask"), needs_cookie="session=open"
    )
    out, scratch = tmp_path / "city", tmp_path / "scratch"
    scratch.mkdir()
    given = {"CITYSCAPES_URL": server.url, "TMPDIR": str(scratch)}
    arguments = ("download_cityscapes.sh", "fine", f"--output_dir={out}")
    done = run(*arguments, text="me@x.org\nwrong\n", **given)
    assert failed(done, "refused the login") and not out.exists()
    assert failed(run(*arguments, text="me\n", **given), "needs a user name and a password")
    done = run(*arguments, text="me@x.org\nse cret&1\n", **given)
    assert done.returncode == 0, done.stderr
    assert (out / "gtFine" / "a").read_text() == "mask"
    assert server.posted[-1] == {
        "username": ["me@x.org"], "password": ["se cret&1"], "submit": ["Login"],
    }  # fmt: skip
    assert not list(scratch.iterdir())
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"cret" in path.read_bytes() for path in kept)
    before = len(server.asked)
    assert run(*arguments, **given).returncode == 0 and len(server.asked) == before


def test_the_password_is_in_no_command_line(server, tmp_path):
    """A curl that notes its arguments stands in front of the real one."""
    server.files["/file-handling/?packageID=1"] = File(
        zipped(gtFine__a="mask"), needs_cookie="session=open"
    )
    noted, fake = tmp_path / "noted", tmp_path / "bin" / "curl"
    fake.parent.mkdir()
    real = shutil.which("curl")
    fake.write_text(f'#!/bin/sh\necho "$@" >>{noted}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    done = run(
        "download_cityscapes.sh", "fine", f"--output_dir={tmp_path}/out",
        text="me@x.org\nse cret&1\n", CITYSCAPES_URL=server.url,
        PATH=f"{fake.parent}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "login" in noted.read_text()
    assert "cret" not in noted.read_text() and "me@x" not in noted.read_text()
