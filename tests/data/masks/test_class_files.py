"""Files that name the classes of masks: palettes in the forms of tools, and their limits."""

import pytest

from efficientvision.data.masks.mask_files import read_class_names, read_palette
from efficientvision.errors import UserError

SKY, ROAD = (0, 0, 0), (128, 64, 128)


@pytest.mark.parametrize(
    "text",
    [
        "0 0 0 sky\n128 64 128 my road\n",
        '0, 0, 0, "sky"\n128, 64, 128, "my road"\n',
        "# label:color_rgb:parts:actions\nsky:0,0,0::\nmy road:128,64,128::\n",
        "name,r,g,b\nsky,0,0,0\nmy road,128,64,128\n",
        "# a remark\n#000000 sky\n#804080 my road\n",
    ],
)
def test_forms_of_a_palette(tmp_path, text):
    (tmp_path / "p.txt").write_text(text)
    assert read_palette(str(tmp_path / "p.txt")) == ({SKY: 0, ROAD: 1}, ["sky", "my road"])


def write_palette(path, count):
    path.write_text("".join(f"{k % 256} {k // 256} 7 c{k}\n" for k in range(count)))
    return str(path)


def test_as_many_classes_as_a_mask_holds(tmp_path):
    colors, names = read_palette(write_palette(tmp_path / "p.txt", 255))
    assert colors[254, 0, 7] == 254 and len(names) == 255
    for count in (256, 257):
        with pytest.raises(UserError, match=f"{count} classes, but masks can store at most 255"):
            read_palette(write_palette(tmp_path / "p.txt", count))
    (tmp_path / "n.txt").write_text("\n".join(f"c{k}" for k in range(256)))
    with pytest.raises(UserError, match="n.txt` has 256 classes, but masks can store at most 255"):
        read_class_names(str(tmp_path / "n.txt"))


def test_names_in_utf16_without_a_mark(tmp_path):
    (tmp_path / "n.txt").write_bytes("background\ncrack\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="n.txt is UTF-16 text: save it as UTF-8"):
        read_class_names(str(tmp_path / "n.txt"))


@pytest.mark.parametrize("form", ["{} {}", "{}: {}", "{},{}", "{}\t{}"])
def test_names_with_their_numbers(tmp_path, capsys, form):
    names = ["my sky", "road", "2 cars"]
    (tmp_path / "n.txt").write_text("\n".join(form.format(k, n) for k, n in enumerate(names)))
    assert read_class_names(str(tmp_path / "n.txt")) == names
    assert "the numbers from 0 are not part of the names" in capsys.readouterr().out
    (tmp_path / "n.txt").write_text("1 sky\n2 road\n")
    assert read_class_names(str(tmp_path / "n.txt")) == ["1 sky", "2 road"]
