"""Keras files made to harm, and damaged ones: one sentence, nothing followed, memory bounded."""

import random
import resource
import zipfile

import h5py
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights import hdf5_objects, hdf5_texts, strangers
from efficientvision.weights.checkpoint_reader import open_checkpoint
from tests.weights.made_keras_files import (
    BIAS,
    CONTENT,
    KERNEL,
    WRITERS,
    replaced,
    write_archive,
    write_keras3,
)


@pytest.fixture(params=list(WRITERS))
def ending(request):
    return request.param


def read(path):
    reader = open_checkpoint(path)
    return reader.read_many(reader.names())


def refused(path, says):
    """Reads all of a file; the one sentence of the refusal."""
    with pytest.raises(UserError, match=says) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence and sentence.isprintable() and sentence.endswith(".")
    return sentence


def assert_read(path, content=CONTENT):
    values = read(path)
    assert values.keys() == content.keys()
    for name, value in content.items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)
        assert values[name].dtype == np.float32


def test_honest_files_are_read(tmp_path, ending):
    WRITERS[ending](tmp_path / f"model{ending}")
    assert_read(tmp_path / f"model{ending}")


def test_packed_files_are_read(tmp_path):
    """A user may have compressed a file, or an archive, later."""

    def pack(layer, name):
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        layer.create_dataset(name, data=KERNEL, chunks=(2, 3, 2, 1), **options)

    write_keras3(tmp_path / "model.weights.h5", lambda file: replaced(file, pack))
    assert_read(tmp_path / "model.weights.h5")
    write_archive(tmp_path / "model.keras", compression=zipfile.ZIP_DEFLATED)
    assert_read(tmp_path / "model.keras")


def test_bfloat16_is_widened(tmp_path):
    """Keras writes bfloat16 as two bytes without a meaning: the upper ones of float32."""
    halves = (KERNEL.view(np.uint32) >> 16).astype(np.uint16).view("V2")
    write_keras3(tmp_path / "model.weights.h5", lambda f: replaced(f, lambda *_: halves))
    assert_read(tmp_path / "model.weights.h5")  # Whole numbers below 256 survive.


def _elsewhere(tmp_path):
    """A file of this machine that no model should show."""
    (tmp_path / "secret").write_bytes(KERNEL.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["values"] = KERNEL
        other.create_group("vars").attrs["name"] = "box-0"
    return str(tmp_path / "secret"), str(tmp_path / "other.h5")


def _ways_out(tmp_path):
    secret, other = _elsewhere(tmp_path)

    def storage(layer, name):
        external = [(secret, 0, KERNEL.nbytes)]
        layer.create_dataset(name, KERNEL.shape, np.float32, external=external)

    def virtual(layer, name):
        layout = h5py.VirtualLayout(KERNEL.shape, np.float32)
        layout[...] = h5py.VirtualSource(other, "values", KERNEL.shape)
        layer.create_virtual_dataset(name, layout)

    return {
        "external storage": (storage, "in another file"),
        "virtual": (virtual, "in another file"),
        "external link": (lambda *_: h5py.ExternalLink(other, "values"), "links to another file"),
        "soft link": (lambda *_: h5py.SoftLink("/elsewhere"), "links to another name"),
        "link to the root": (lambda *_: h5py.SoftLink("/"), "links to another name"),
    }


@pytest.mark.parametrize(
    "way", ["external storage", "virtual", "external link", "soft link", "link to the root"]
)
def test_values_never_come_from_elsewhere(tmp_path, ending, way):
    make, says = _ways_out(tmp_path)[way]
    WRITERS[ending](tmp_path / f"model{ending}", lambda file: replaced(file, make))
    refused(tmp_path / f"model{ending}", says)


@pytest.mark.parametrize("name", ["model_weights", "layers/more", "layers/box_net/more/vars"])
def test_groups_never_come_from_elsewhere(tmp_path, name):
    _, other = _elsewhere(tmp_path)

    def link(file):
        file[name] = h5py.ExternalLink(other, "/")

    write_keras3(tmp_path / "model.weights.h5", link)
    refused(tmp_path / "model.weights.h5", "links to another file")


def test_a_group_in_itself_is_refused(tmp_path, ending):
    def cycle(file):
        layer = file["box_net" if "box_net" in file else "layers/box_net"]
        layer["again"] = layer

    WRITERS[ending](tmp_path / f"model{ending}", cycle)
    refused(tmp_path / f"model{ending}", "a group in two places")


def test_doubled_links_take_no_time(tmp_path):
    """Forty groups, each twice in the one above: 2 ** 40 ways through 50 kB."""

    def doubled(file):
        inner = file.create_group("layers/last")
        for number in range(40):
            outer = file.create_group(f"layers/{number}")
            outer["a"], outer["b"] = inner, inner
            inner = outer

    write_keras3(tmp_path / "model.weights.h5", doubled)
    refused(tmp_path / "model.weights.h5", "a group in two places")


def test_depth_and_number_of_groups_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "model.weights.h5"
    write_keras3(path, lambda file: file.create_group("layers/" + "a/" * 3000))
    refused(path, "more groups, or deeper ones|damaged")
    monkeypatch.setattr(hdf5_objects, "_MAX_OBJECTS", 20)
    write_keras3(path, lambda file: [file.create_group(f"layers/{i}") for i in range(30)])
    refused(path, "a group of 31 names")
    write_keras3(path, lambda file: [file.create_group(f"layers/{i % 9}/{i}") for i in range(30)])
    refused(path, "more groups, or deeper ones")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(strangers, "FREE_BYTES", 1 << 16)
    zeros = np.zeros(1 << 20, np.float32)
    bomb = tmp_path / "model.keras"
    write_archive(bomb, lambda file: file.update(zeros=zeros), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 20_000
    refused(bomb, r"bytes and unpacks to 4,\d+,\d+, which no weights do")


@pytest.mark.parametrize("how", ["never written", "repeated", "packed"])
def test_weights_that_take_more_than_their_file_are_refused(tmp_path, monkeypatch, how):
    monkeypatch.setattr(strangers, "FREE_BYTES", 1 << 16)

    def spoil(layer, name):
        if how == "never written":
            layer.create_dataset(name, (1 << 15, 1 << 15), np.float32)
        elif how == "packed":
            layer.create_dataset(name, data=np.zeros(1 << 20, np.float32), compression="gzip")
        else:
            layer.create_dataset(name, data=np.ones(1 << 14, np.float32))
            for number in range(2, 3000):  # One place in the file, three thousand variables.
                layer[str(number)] = layer[name]

    write_keras3(tmp_path / "model.weights.h5", lambda file: replaced(file, spoil))
    refused(tmp_path / "model.weights.h5", "claims to hold [0-9,]+ bytes of weights, and has")


def test_a_chunk_that_unpacks_to_more_than_its_shape_is_refused(tmp_path):
    """HDF5 would go on unpacking: 4 MB of memory here, and of any size elsewhere."""
    import zlib

    def spoil(layer, name):
        made = layer.create_dataset(
            name, KERNEL.shape, np.float32, chunks=KERNEL.shape, compression="gzip"
        )
        made.id.write_direct_chunk((0,) * 4, zlib.compress(bytes(1 << 22)))

    write_keras3(tmp_path / "model.weights.h5", lambda file: replaced(file, spoil))
    refused(tmp_path / "model.weights.h5", "unpacks .* to more than its shape has room for")


def test_large_chunks_of_little_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(strangers, "FREE_BYTES", 1 << 16)

    def spoil(layer, name):
        options = {"chunks": (1 << 16,), "maxshape": (None,), "compression": "gzip"}
        layer.create_dataset(name, data=BIAS, **options)

    write_keras3(tmp_path / "model.weights.h5", lambda file: replaced(file, spoil))
    refused(tmp_path / "model.weights.h5", "in chunks of too many bytes")


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda layer, name: np.array([b"text"]), "no numbers"),
        (lambda layer, name: np.zeros(3, [("a", "f4"), ("b", "i4")]), "no numbers"),
        (lambda layer, name: np.zeros(3, "V3"), "no numbers"),
        (lambda layer, name: np.array(["a", "b"], h5py.string_dtype()), "no numbers"),
        (lambda layer, name: h5py.Empty("f4"), "no values"),
        (lambda layer, name: np.dtype("f4"), "neither a group nor values"),
        (
            lambda layer, name: layer.create_dataset(name, data=KERNEL, compression="lzf") and None,
            "packs the values",
        ),
    ],
    ids=["text", "records", "opaque", "texts", "empty", "a type", "another packing"],
)
def test_what_is_no_weight_is_named(tmp_path, ending, make, says):
    WRITERS[ending](tmp_path / f"model{ending}", lambda file: replaced(file, make))
    refused(tmp_path / f"model{ending}", says)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["layers/box_net/vars"].attrs.update(name=7),
        lambda file: file["layers/box_net/vars"].attrs.update(name=["a", "b"]),
        lambda file: file["layers/box_net/vars"].attrs.modify("name", "a" * 5000),
        lambda file: file["layers/box_net/vars"].attrs.modify("name", "\x1b[2J"),
        lambda file: file["layers/box_net/conv/vars"].pop("0"),
        lambda file: file["layers/box_net/conv/vars"].move("0", "x"),
    ],
    ids=["number", "list", "long", "terminal", "missing", "misnamed"],
)
def test_attributes_and_names_of_the_wrong_kind(tmp_path, change):
    write_keras3(tmp_path / "model.weights.h5", change)
    refused(tmp_path / "model.weights.h5", "no text|name of a layer|missing")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_keras_file_is_named(tmp_path, ending, content):
    (tmp_path / f"model{ending}").write_bytes(content)
    refused(tmp_path / f"model{ending}", "damaged, cut short or not a Keras weight file")


def test_an_archive_without_weights_is_named(tmp_path):
    write_archive(tmp_path / "model.keras", name="other.h5")
    refused(tmp_path / "model.keras", "not a Keras weight file")
    write_archive(tmp_path / "model.keras", compression=zipfile.ZIP_LZMA)
    refused(tmp_path / "model.keras", "compressed in a way that Keras does not use")


def mutations(content, seed, count):
    """Damaged copies of a file: bytes and bits changed, pieces cut, zeroed, doubled, swapped."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 8))):
            at, length = chance.randrange(max(len(data), 1)), chance.choice((1, 2, 4, 8, 64))
            kind = chance.randrange(6)
            if kind == 0 and data:
                data[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                data[at : at + length] = chance.randbytes(length)
            elif kind == 2:
                data[at : at + length] = bytes([chance.choice((0, 255, 127, 128))]) * length
            elif kind == 3:
                del data[at : at + length]
            elif kind == 4:
                data[at:at] = data[max(at - length, 0) : at]
            else:
                del data[max(at, 1) :]
        yield bytes(data)


def outcomes(tmp_path, ending, content, seed, count):
    """How often damaged copies were read and refused; anything else is raised."""
    path = tmp_path / f"damaged{ending}"
    found = {"read": 0, "refused": 0}
    for data in mutations(content, seed, count):
        path.write_bytes(data)
        try:
            read(path)
            found["read"] += 1
        except UserError as error:
            assert "\n" not in str(error)
            found["refused"] += 1
    return found


@pytest.mark.parametrize("ending", list(WRITERS))
def test_damage_is_one_sentence(tmp_path, ending):
    WRITERS[ending](tmp_path / f"model{ending}")
    content = (tmp_path / f"model{ending}").read_bytes()
    found = outcomes(tmp_path, ending, content, seed=1, count=60)
    assert sum(found.values()) == 60 and found["refused"]


@pytest.mark.parametrize("latest", [False, True])
def test_names_of_layers_are_read_as_hdf5_reads_them(tmp_path, latest):
    """Of any length or of a fixed one, in headers of either version, in one part or more."""
    path = tmp_path / "names.h5"
    expected = ["box-0", "b", "ä" * 400, "x" * 999]
    with h5py.File(path, "w", libver="latest" if latest else None) as file:
        for number, name in enumerate(expected):
            for group, value in (("any", name), ("fixed", np.bytes_(name.encode()))):
                made = file.create_group(f"{group}{number}")
                for other in range(number):
                    made.attrs[f"other{other}"] = "y" * 50
                made.attrs["name"] = value
    with h5py.File(path) as file:
        texts = hdf5_texts.TextReader(path.read_bytes())
        for number, name in enumerate(expected):
            for group in ("any", "fixed"):
                place = hdf5_objects.address(file[f"{group}{number}"])
                assert texts.text(place, "name") == name
                assert texts.text(place, "missing") is None


@pytest.mark.parametrize("length", [0, 8, 1 << 20, (1 << 64) - 8], ids=str)
def test_a_heap_of_names_that_does_not_end_is_refused(tmp_path, length):
    """HDF5 itself goes round in a free space of 0 bytes for ever."""
    path = tmp_path / "model.weights.h5"
    write_keras3(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\x01")
    content[heap + 16 : heap + 32] = bytes(8) + length.to_bytes(8, "little")
    path.write_bytes(content)
    refused(path, "name of a layer cannot be read")


def test_a_name_takes_no_more_memory_than_a_name(tmp_path):
    """HDF5 itself would make room for as many bytes as stand there."""
    path = tmp_path / "model.weights.h5"
    write_keras3(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\x01")
    at = content.index(heap.to_bytes(8, "little")) - 4  # Length, heap, number.
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert_read(path)


@pytest.mark.slow
@pytest.mark.parametrize("ending", list(WRITERS))
def test_much_damage_is_one_sentence_and_takes_no_memory(tmp_path, ending):
    """About 12 seconds a kind; 1,500 damaged files take less than 64 MiB more than none."""
    WRITERS[ending](tmp_path / f"model{ending}")
    content = (tmp_path / f"model{ending}").read_bytes()
    outcomes(tmp_path, ending, content, seed=2, count=10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = outcomes(tmp_path, ending, content, seed=3, count=1500)
    assert sum(found.values()) == 1500 and found["refused"] > 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
