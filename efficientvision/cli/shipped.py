"""The small networks and the photo that demonstrations show where there is nothing else."""

import pathlib

from efficientvision import files

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"
PHOTOS = "./sample_images"
_SHIPPED_PHOTO = TESTDATA / "img1.jpg"


def say_shipped(wanted: str, published: str = "") -> None:
    """Says that a small network is shown, and how the wanted one is fetched.

    Args:
        wanted: published file that is not here, without `.pth`.
        published: what is published, where that is less than the flags can name.
    """
    print(
        f"There is no {wanted}.pth here: this is a small network of ours that knows made shapes "
        f"only. The published weights come with\n  dataset/download_edgenets.sh {wanted}"
    )
    if published:
        print(f"(published are {published})")


def photos(given: str | None, shipped: bool) -> str:
    """The photos to look at.

    Args:
        given: by the user, or None.
        shipped: the network is one of ours: it is shown the photo that comes with it, where there
            is no folder of photos.
    """
    if given:
        return given
    return str(_SHIPPED_PHOTO) if shipped and not files.exists(PHOTOS) else PHOTOS
