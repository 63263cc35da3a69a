"""Graphs of strangers: what reaches files or programs is not loaded, what computes is."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from efficientvision.errors import UserError
from efficientvision.exports import graph_safety
from efficientvision.exports.frozen_graph import read_frozen_graph, write_frozen_graph
from efficientvision.exports.harmless_operations import CALLERS, HARMLESS
from efficientvision.exports.load_export import load_export
from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.example_records import example, write_examples
from tests.programs import inspect, train_program

PHOTOS = np.zeros((1, 8, 8, 3), np.uint8)
SIGNATURE = [tf.TensorSpec((1, None, None, 3), tf.uint8, name="image_arrays")]


def as_rows(content):
    """Detections [1, 1, 7] that carry the number of bytes of a text as their score."""
    length = tf.cast(tf.strings.length(content), tf.float32)
    return tf.reshape(tf.concat([tf.zeros(5), [length], [1.0]], 0), (1, 1, 7))


def served(function):
    return tf.function(function, input_signature=SIGNATURE)


def save(folder, function, **parts):
    """A SavedModel that looks like one of this library's."""
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    for name, part in parts.items():
        setattr(module, name, part)
    concrete = served(function).get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": concrete})
    return folder


def nested(operation):
    """A function that calls another in a loop in a branch."""
    inner = tf.function(operation)

    def run(image_arrays):
        numbers = tf.range(tf.shape(image_arrays)[0])
        texts = tf.map_fn(lambda _: inner(), numbers, fn_output_signature=tf.string)
        return {
            "detections": tf.cond(
                tf.size(texts) > 0, lambda: as_rows(texts[0]), lambda: tf.zeros((1, 1, 7))
            )
        }

    return run


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("a secret")
    return str(path)


def harmful(secret):
    """Name of an operation -> a function that holds it."""

    def reads(image_arrays):
        return {"detections": as_rows(tf.io.read_file(secret))}

    def writes(image_arrays):
        with tf.control_dependencies([tf.io.write_file(secret + ".new", "written")]):
            return {"detections": as_rows(tf.identity("x"))}

    def prints(image_arrays):
        with tf.control_dependencies([tf.print("x", output_stream="file://" + secret + ".new")]):
            return {"detections": as_rows(tf.identity("x"))}

    def maps(image_arrays):
        values = tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[8], memory_region_name=secret)
        return {"detections": as_rows(tf.strings.as_string(values[0]))}

    def lists(image_arrays):
        return {"detections": as_rows(tf.io.matching_files("/*")[0])}

    def calls_python(image_arrays):
        return {
            "detections": tf.ensure_shape(
                tf.numpy_function(lambda: np.zeros((1, 1, 7), np.float32), [], tf.float32),
                (1, 1, 7),
            )
        }

    def restores(image_arrays):
        tensor = tf.raw_ops.RestoreV2(
            prefix=secret, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return {"detections": tf.reshape(tensor[0], (1, 1, 7))}

    return {
        "ReadFile": reads,
        "WriteFile": writes,
        "PrintV2": prints,
        "ImmutableConst": maps,
        "MatchingFiles": lists,
        "PyFunc": calls_python,
        "RestoreV2": restores,
    }


KINDS = (
    "ReadFile",
    "WriteFile",
    "PrintV2",
    "ImmutableConst",
    "MatchingFiles",
    "PyFunc",
    "RestoreV2",
)


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_model_that_does_more_than_compute_is_not_loaded(tmp_path, secret, name):
    folder = save(tmp_path / "model", harmful(secret)[name])
    with pytest.raises(UserError, match=rf"its graph holds {name}, which .*trust=True \(`trust`\)"):
        load_export(folder)
    with pytest.raises(UserError, match=name):
        load_export(str(folder) + "/")


@pytest.mark.parametrize("name", [k for k in KINDS if k != "PyFunc"])
def test_a_frozen_graph_that_does_more_than_compute_is_not_loaded(tmp_path, secret, name):
    run = tf.function(
        lambda image_arrays: tf.identity(
            harmful(secret)[name](image_arrays)["detections"], name="detections"
        ),
        input_signature=SIGNATURE,
    )
    graph = run.get_concrete_function().graph.as_graph_def()
    path = write_frozen_graph(graph, tmp_path / "model_frozen.pb")
    with pytest.raises(UserError, match=f"its graph holds {name}"):
        load_export(path)


def test_functions_that_functions_call_are_looked_at(tmp_path, secret):
    folder = save(tmp_path / "model", nested(lambda: tf.io.read_file(secret)))
    with pytest.raises(UserError, match="its graph holds ReadFile"):
        load_export(folder)
    run = tf.function(nested(lambda: tf.io.read_file(secret)), input_signature=SIGNATURE)
    graph = run.get_concrete_function().graph.as_graph_def()
    assert "ReadFile" not in {node.op for node in graph.node}
    with pytest.raises(UserError, match="its graph holds ReadFile"):
        load_export(write_frozen_graph(graph, tmp_path / "model_frozen.pb"))


def test_what_runs_when_a_saved_model_is_loaded_is_looked_at(tmp_path, secret):
    """A table fills itself from a file before the first photo."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            secret,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        -1,
    )

    def run(image_arrays):
        found = tf.cast(table.lookup(tf.constant("a")), tf.float32)
        return {"detections": tf.fill((1, 1, 7), found)}

    folder = save(tmp_path / "model", run, table=table)
    with pytest.raises(UserError, match="InitializeTableFromTextFileV2"):
        load_export(folder)


def test_metadata_of_ours_make_no_graph_ours(tmp_path, secret, exported):
    """Whatever an export says about itself can be copied."""
    folder = save(tmp_path / "model", harmful(secret)["ReadFile"])
    shutil.copy(exported / "metadata.json", folder)
    with pytest.raises(UserError, match="its graph holds ReadFile"):
        load_export(folder)


def test_many_operations_are_named_in_one_sentence(tmp_path, secret):
    graph = tf.compat.v1.GraphDef()
    for number in range(8):
        node = graph.node.add()
        node.name, node.op = f"n{number}", f"Unknown\x1b{number}"
    with pytest.raises(UserError, match=r"Unknown\?0, .*Unknown\?4 and 3 more, which") as caught:
        graph_safety.check_frozen_graph(graph, "x.pb")
    assert str(caught.value).isprintable()


def test_trusted_models_run(tmp_path, secret):
    folder = save(tmp_path / "model", harmful(secret)["ReadFile"])
    run, metadata = load_export(folder, trust=True)
    assert metadata is None
    assert run(PHOTOS)[0, 0, 5] == len("a secret")
    detector = Detector.from_checkpoint(folder, trust=True)
    assert detector(PHOTOS[0])[0].score == len("a secret")


@pytest.mark.parametrize("kind", [Detector, Classifier, Segmenter])
def test_every_predictor_refuses(tmp_path, secret, kind):
    folder = save(tmp_path / "model", harmful(secret)["ReadFile"])
    with pytest.raises(UserError, match="its graph holds ReadFile"):
        kind.from_checkpoint(folder)


def test_harmless_models_of_strangers_run(tmp_path):
    """They compute in functions, branches and loops, and keep variables."""
    folder = save(tmp_path / "model", nested(lambda: tf.constant("four")))
    run, _ = load_export(folder)
    assert run(PHOTOS)[0, 0, 5] == 4


def test_our_own_exports_are_harmless(exported):
    graph_safety.check_saved_model(
        SavedModel.FromString((exported / "saved_model.pb").read_bytes()), exported
    )
    read_frozen_graph(next(exported.glob("*_frozen.pb")))


# SavedModels of TensorFlow 1, as the published exports are.


def save_version_1(folder, operation, *, first=None):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        photos = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="image_arrays")
        scale = tf.compat.v1.get_variable("scale", initializer=2.0)
        detections = tf.identity(scale * operation(), name="detections")
        start = None if first is None else first()
        session.run(tf.compat.v1.global_variables_initializer())
        builder = tf.compat.v1.saved_model.builder.SavedModelBuilder(str(folder))
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"image_arrays": photos}, {"detections": detections}
        )
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=start
        )
        builder.save()
    return folder


def test_version_1_restores_its_own_variables_only(tmp_path):
    run, _ = load_export(save_version_1(tmp_path / "ours", lambda: tf.ones((1, 1, 7))))
    np.testing.assert_array_equal(run(PHOTOS), np.full((1, 1, 7), 2, np.float32))


@pytest.mark.parametrize("at", ["output", "start", "saving"])
def test_version_1_is_held_to_the_same(tmp_path, secret, at):
    def read():
        return tf.reshape(
            tf.cast(tf.strings.length(tf.io.read_file(secret)), tf.float32), (1, 1, 1)
        )

    def written():
        return tf.raw_ops.SaveV2(
            prefix=secret, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(3)]
        )

    harmless = lambda: tf.ones((1, 1, 7))  # noqa: E731
    folder, name = tmp_path / "model", "SaveV2" if at == "saving" else "ReadFile"
    if at == "output":
        save_version_1(folder, read)
    else:
        first = {"start": lambda: tf.group(read()), "saving": lambda: tf.group(written())}[at]
        save_version_1(folder, harmless, first=first)
    with pytest.raises(UserError, match=f"its graph holds .*{name}"):
        load_export(folder)


# Damage.


def test_damaged_graphs_are_one_sentence(tmp_path):
    folder = save(tmp_path / "model", nested(lambda: tf.constant("four")))
    content = (folder / "saved_model.pb").read_bytes()
    chance = np.random.default_rng(1)
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(25):
        spoilt = bytearray(content)
        for at in chance.integers(0, len(spoilt), 20):
            spoilt[at] = chance.integers(256)
        (folder / "saved_model.pb").write_bytes(spoilt)
        try:
            load_export(folder)
            outcomes["loaded"] += 1
        except UserError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"]


# The list.


def test_nothing_on_the_list_takes_the_name_of_a_file():
    """As TensorFlow describes its operations: no argument or attribute of them is a file's."""
    from tensorflow.python.framework import op_def_registry

    suspicious = (
        "file",
        "path",
        "directory",
        "address",
        "url",
        "memory_region",
        "prefix",
        "stream",
        "token",
    )
    known = set()
    for name in HARMLESS:
        definition = op_def_registry.get(name)
        if definition is None:
            continue
        known.add(name)
        names = [a.name for a in (*definition.input_arg, *definition.attr)]
        assert not [n for n in names if any(word in n.lower() for word in suspicious)], name
        calls = {a.type for a in definition.attr} & {"func", "list(func)"}
        assert (name in CALLERS) == bool(calls), name
    assert len(known) > 600


@pytest.mark.parametrize(
    "name",
    [
        *("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "PyFuncStateless"),
        *(
            "PrintV2",
            "Print",
            "ImmutableConst",
            "SaveV2",
            "RestoreV2",
            "Save",
            "MergeV2Checkpoints",
        ),
        *(
            "TextLineDataset",
            "TFRecordDatasetV2",
            "DebugIdentityV2",
            "RemoteCall",
            "_Send",
            "Abort",
        ),
        *("InitializeTableFromTextFileV2", "LoadAndRemapMatrix", "TRTEngineOp", "SaveSlices"),
        *("WholeFileReaderV2", "FixedLengthRecordReaderV2", "CreateSummaryFileWriter", "RpcCall"),
    ],
)
def test_what_reaches_outside_is_not_on_the_list(name):
    assert name not in HARMLESS


# The command lines.


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PHOTOS[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_model_inspect_refuses_unless_trust_is_given(tmp_path, secret, photo, capsys):
    folder = save(tmp_path / "model", harmful(secret)["ReadFile"])
    arguments = (
        "--runmode=saved_model_infer",
        f"--saved_model_dir={folder}",
        f"--input_image={photo}",
        f"--output_image_dir={tmp_path / 'out'}",
    )
    assert inspect(*arguments) == 1
    assert "its graph holds ReadFile" in capsys.readouterr().err
    assert inspect("--runmode=saved_model_benchmark", *arguments[1:2], "--bm_runs=1") == 1
    assert "its graph holds ReadFile" in capsys.readouterr().err
    assert not inspect(*arguments, "--trust")
    assert (tmp_path / "out").exists()


def test_evaluation_refuses_unless_trust_is_given(tmp_path, secret):
    records = write_examples(tmp_path, [example(0)])
    folder = save(tmp_path / "model", harmful(secret)["ReadFile"])
    arguments = ("--mode=eval", f"--model_dir={folder}", f"--val_file_pattern={records}")
    done = train_program(*arguments)
    assert done.code == 1 and "its graph holds ReadFile" in done.stderr
    assert "its graph holds ReadFile" not in train_program(*arguments, "--trust").stderr
