"""Files made to harm: refused by name, nothing run, memory bounded."""

import pickle
import resource
import struct
import sys
import zipfile

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights import torch_pickle, torch_zip
from efficientvision.weights.torch_file import open_torch_file
from tests.weights.made_torch_files import Call, Name, Storage, View, write_legacy, write_zip

WEIGHTS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.bias": np.arange(5, dtype=np.float64),
    "n": np.int64(3),
}


@pytest.fixture(params=[write_legacy, write_zip], ids=["legacy", "zip"])
def write(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def refused(path, says):
    """Opens a file and reads all of it; the one sentence of the refusal."""
    with pytest.raises(UserError, match=says) as caught:
        file = open_torch_file(path)
        file.read(list(file.tensors))
    assert str(path) in str(caught.value) and str(caught.value).isprintable()
    return str(caught.value)


def archive(path, pickled, *more, folder="archive"):
    """A zip container of a pickle and further (name, content)."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{folder}/data.pkl", pickled)
        for name, content in more:
            file.writestr(name, content)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("os system", ("touch {}",)),
        ("posix system", ("touch {}",)),
        ("builtins exec", ("open({!r}, 'w')",)),
        ("builtins eval", ("open({!r}, 'w')",)),
        ("subprocess check_call", (["touch", "{}"],)),
        ("torch.storage _load_from_bytes", ("{}",)),
        ("torch.hub load", ("{}",)),
        ("collections OrderedDict.fromkeys", ("{}",)),
        ("numpy load", ("{}",)),
    ],
)
def test_a_command_is_refused_by_name(tmp_path, path, write, name, arguments):
    trace = tmp_path / "trace"
    arguments = tuple(a.format(str(trace)) if isinstance(a, str) else a for a in arguments)
    write(path, {**WEIGHTS, "evil": Call(name, arguments)})
    sentence = refused(path, name.replace(" ", r"\."))
    assert "not a tensor" in sentence and "nothing of it was run" in sentence
    assert not trace.exists()


class _Evil:
    def __reduce__(self):
        return print, ("the pickle ran",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pythons_own_pickles_of_a_command(path, capfd, protocol):
    path.write_bytes(pickle.dumps(_Evil(), protocol))
    refused(path, "__builtin__.print|builtins.print")
    archive(path, pickle.dumps({"a": _Evil()}, protocol))
    refused(path, "__builtin__.print|builtins.print|instruction")
    assert "ran" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "code, says",
    [
        (b"(S'x'\nios\nsystem\n.", "instruction|damaged"),
        (b"(ios\nsystem\n.", r"os\.system"),
        (b"\x80\x02cos\nsystem\n.", r"os\.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"os\.system"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "an instruction that"),  # NEWOBJ.
        (b"\x80\x02\x82\x01.", "instruction"),  # An extension code.
        (b"\x80\x02}}b.", "state dict"),
        (b"\x80\x02Nb.", "damaged"),
        (b"\x80\x02K\x01}b.", "changes a int"),
        (b"\x80\x02K\x01)R.", "calls something"),
        (b"\x80\x02}))Ns.", "damaged"),
        (b"\x80\x02})Ns.", "key that is a tuple"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02h\x07.", "damaged"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx.", "damaged"),
        (b"\x80\x02X\xff\xff\xff\x7fx.", "damaged"),
        (b"\x80\x02X\x01\x00\x00\x00\xff.", "damaged"),
        (b"\x80\x02(t(tQ.", "no tensor storage"),
        (b"\x80\x02" + b"}" * 2_000_000 + b".", "steps"),
        (b"\x80\x02" + b"(" * 100_000 + b"t" * 99_000 + b".", "holds a tuple"),
        (b"\x80\x02}r\xff\xff\xff\xff0.", "instruction"),
    ],
)
def test_programs_that_no_state_dict_contains(path, code, says):
    archive(path, code)
    refused(path, says)


def test_nested_references_take_no_time(path):
    """Each tuple holds the last one twice: a thousand steps, 2 ** 1000 things."""
    twice = b")" + b"q\x00h\x00\x86" * 300
    for code in (
        b"\x80\x02" + twice + b".",
        b"\x80\x02}" + twice + b"Ns.",
        b"\x80\x02" + twice + b"Q.",
    ):
        archive(path, code)
        refused(path, "tuple|reference")
    archive(path, b"\x80\x04" + twice + twice + b"\x93.")
    refused(path, "damaged")


def tensor(**changes):
    storage = Storage(np.arange(12, dtype=np.float32))
    return View(**{"storage": storage, "shape": (3, 4), **changes})


@pytest.mark.parametrize(
    "view, says",
    [
        (tensor(shape=(4, 4)), "larger than its storage"),
        (tensor(shape=(2, 3), strides=(9, 2)), "larger than its storage"),
        (tensor(offset=1), "larger than its storage"),
        (tensor(shape=(1000, 1000), strides=(0, 0)), "larger than its storage"),
        (tensor(shape=(2**39, 2**39), strides=(0, 0)), "holds a tensor of shape"),
        (tensor(shape=(0, 2**39, 2**39), strides=(1, 1, 1)), "holds a tensor of shape"),
        (tensor(shape=(1,), strides=(2**61,)), "states 2305"),
        (tensor(shape=(0, 2**62), strides=(1, 1)), "states 4611"),
        (tensor(shape=(-1, 4)), "states -1"),
        (tensor(strides=(-4, 1)), "states -4"),
        (tensor(offset=-3), "states -3"),
        (tensor(offset=2**70), "states 11805"),
        (tensor(shape=(3, 4), strides=(1,)), "2 dimensions and 1 strides"),
        (tensor(shape=(1,) * 40), "40 dimensions"),
        (tensor(shape=("3", 4), strides=(4, 1)), "states str"),
        (tensor(shape=(True, 4), strides=(4, 1)), "states True"),
        (tensor(storage=Storage(np.zeros(12, np.float32), size=2**35)), "cut short|should have"),
        (tensor(storage=Storage(np.zeros(12, np.float32), size=-1)), "states -1"),
        (tensor(storage=Storage(np.zeros(12, np.float32), "QUInt8Storage")), "QUInt8Storage"),
    ],
)
def test_impossible_tensors(path, write, view, says):
    write(path, {"w": view})
    refused(path, says)


@pytest.mark.parametrize("window", [(0, 13), (-1, 4), (11, 2), (2**62, 1)])
def test_impossible_windows(path, window):
    write_legacy(path, {"w": tensor(shape=(1,), window=window)})
    refused(path, "states|outside")


def test_one_storage_described_twice(path):
    values = np.zeros(4, np.float32)
    write_zip(path, {"w": View(Storage(values), (4,)), "v": View(Storage(values[:2]), (2,))})
    content = zipfile.ZipFile(path).read("archive/data.pkl")
    archive(path, content.replace(b"X\x01\x00\x00\x001", b"X\x01\x00\x00\x000"))
    refused(path, "in two ways")


def test_every_cut_is_noticed(path, write):
    write(path, WEIGHTS)
    whole = path.read_bytes()
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "cut short|damaged|empty|no PyTorch file")


def test_changed_values_of_an_archive_are_noticed(path):
    write_zip(path, WEIGHTS)
    whole = path.read_bytes()
    at = whole.index(WEIGHTS["a.weight"].tobytes())
    path.write_bytes(whole[:at] + b"\x01" + whole[at + 1 :])
    refused(path, "checksum")


def test_compressed_archives_are_refused_unread(path):
    storage = Storage(np.zeros(50_000_000, np.float32))  # 200 MB, of which 200 KB are left.
    write_zip(path, {"w": View(storage, (50_000_000,))}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    refused(path, "compressed")


def test_archive_that_claims_more_than_it_has(path):
    write_zip(path, WEIGHTS)
    whole = path.read_bytes()
    info = zipfile.ZipFile(path).getinfo("archive/data/0")
    size = struct.pack("<II", info.file_size, info.file_size)
    directory = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"archive/data/0"))
    at = whole.index(size, directory)
    path.write_bytes(whole[:at] + struct.pack("<II", 1 << 31, 1 << 31) + whole[at + 8 :])
    refused(path, "damaged|claims")


def test_entries_on_top_of_each_other(path):
    """A zip bomb without compression: every entry is the same bytes."""
    content = bytes(100_000)
    archive(path, b"\x80\x02}.", *((f"archive/data/{i}", content) for i in range(2)))
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02", 200_000)
    second = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02", start + 1) + 1)
    length = whole.index(b"PK\x05\x06") - second
    offset = whole.index(content) - 30 - len("archive/data/0")
    entry = bytearray(whole[second : second + length])
    entry[42:46] = struct.pack("<I", offset)
    count, directory = 50, bytearray(whole[start:second])
    for i in range(count):
        directory += entry.replace(b"data/1", b"data/%c" % (65 + i))
    end = struct.pack("<4s4xHHIIH", b"PK\x05\x06", count + 2, count + 2, len(directory), start, 0)
    path.write_bytes(whole[:start] + bytes(directory) + end)
    refused(path, "claims to hold")


def test_two_entries_of_one_name(path):
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(path, b"\x80\x02}.", ("archive/data/0", b"x"), ("archive/data/0", b"y"))
    refused(path, "two entries")


def test_two_state_dicts_in_one_archive(path):
    archive(path, b"\x80\x02}.", ("other/data.pkl", b"\x80\x02}."))
    refused(path, "several")


def test_archive_of_something_else(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", "x")
    refused(path, "without PyTorch's data.pkl")


def test_table_of_contents_is_bounded(path, monkeypatch):
    write_zip(path, {str(i): np.float32([i]) for i in range(40)})
    monkeypatch.setattr(torch_zip, "_MAX_DIRECTORY_BYTES", 1000)
    refused(path, "table of contents")


def test_pickle_is_bounded(path, write, monkeypatch):
    write(path, {str(i): np.float32([i]) for i in range(40)})
    monkeypatch.setattr(torch_pickle, "MAX_OPCODES", 1000)
    refused(path, "1,000 steps")


def test_missing_storage_and_unknown_byte_order(path):
    write_zip(path, WEIGHTS)
    content = zipfile.ZipFile(path).read("archive/data.pkl")
    archive(path, content)
    refused(path, "storage '0' is missing")
    write_zip(path, WEIGHTS, byte_order="middle")
    refused(path, "byte order")


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "x" * 400, 5])
def test_names_that_would_upset_a_terminal(path, write, name):
    write(path, {name: np.float32([1])})
    refused(path, "no name of a layer")


def test_whole_networks_are_refused_with_advice(path, write):
    write(path, Call("models.espnetv2 EESPNet", (), {"training": True}))
    assert "state_dict()" in refused(path, r"models\.espnetv2\.EESPNet")
    write(path, {"w": Name("torch FloatStorage")})
    refused(path, "no state dict")


def mutants(whole, rng, count):
    """Copies of a file with bytes changed, cut out, doubled, or replaced by hostile ones."""
    tokens = [
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\x00" * 8,
        b"cos\nsystem\n",
        b"PK\x03\x04",
    ]
    tokens += [bytes([code]) for code in b"RQbtqrhju(}]).eNXJ\x8a\x85\x86\x87\x93\x94\x95"]
    # Half of the changes are among the names, where there is something to break.
    middle = whole.find(b"storage")
    for _ in range(count):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            if not content:
                break
            near = 0 <= middle and rng.random() < 0.5
            at = int(
                rng.integers(max(0, middle - 300), middle + 900)
                if near
                else rng.integers(len(content))
            )
            at %= len(content)
            length = int(rng.integers(1, 40))
            kind = rng.integers(6)
            if kind == 0:
                content[at : at + 1] = rng.bytes(1)
            elif kind == 1:
                content[at : at + length] = rng.bytes(length)
            elif kind == 2:
                del content[at : at + length]
            elif kind == 3:
                content[at:at] = content[at : at + length]
            elif kind == 4:
                token = tokens[rng.integers(len(tokens))]
                content[at : at + len(token)] = token
            else:
                del content[at:]
        yield bytes(content)


def read_mutants(tmp_path, count):
    """Reads as many mutated files, half of each container; the number of those that were read."""
    rng = np.random.default_rng(20)
    path, readable = tmp_path / "mutant.pth", 0
    for write in (write_legacy, write_zip):
        write(path, {"state_dict": WEIGHTS, "epoch": 3})
        for content in mutants(path.read_bytes(), rng, count // 2):
            path.unlink()  # Some file systems wait for the disk when a file is written over.
            path.write_bytes(content)
            try:
                file = open_torch_file(path)
                file.read(list(file.tensors))
                readable += 1
            except UserError as error:
                assert str(path) in str(error) and str(error).isprintable()
    return readable


def test_mutated_files_raise_nothing_but_user_errors(tmp_path):
    # Changes of bare values, of keys that are not used and of spare bytes are no damage.
    assert 0 < read_mutants(tmp_path, 1000) < 500


@pytest.mark.slow
def test_ten_thousand_mutated_files_within_a_gibibyte(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_mutants(tmp_path, 10_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 1 << 30
