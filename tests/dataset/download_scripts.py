"""Runs download scripts, and packs what a server gives them."""

import io
import os
import subprocess
import tarfile
import zipfile

from tests.conftest import REPOSITORY


def run(script, *arguments, text=None, **environment):
    """Runs a script in which a broken connection is taken up at once, three times."""
    return subprocess.run(
        ["bash", str(REPOSITORY / "dataset" / script), *map(str, arguments)],
        env={**os.environ, "DOWNLOAD_PAUSE": "0", "DOWNLOAD_ATTEMPTS": "3", **environment},
        input=text if text is not None else "",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def failed(done, complaint):
    """It ended with one sentence, and not with success."""
    assert done.returncode == 1, done.stdout + done.stderr
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ") and complaint in error, error
    return True


def tar(**members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return content.getvalue()
