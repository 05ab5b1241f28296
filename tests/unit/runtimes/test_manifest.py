"""The manifest `model.yaml`: its allowed and its rejected forms."""

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.datatypes import NAME_OF, NUMPY_OF
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Example, Manifest, Resources, Signature, TensorSpec, is_below
from runtimes.manifest_text import manifest_to_yaml, parse_manifest
from tests.support.noted_types import noted_late

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


@st.composite
def tensors(draw: st.DrawFn) -> TensorSpec:
    columns = tuple(draw(st.lists(words, max_size=4)))
    shape = (-1, len(columns)) if columns else tuple(draw(st.lists(st.just(-1) | st.integers(1, 9), max_size=4)))
    return TensorSpec(draw(words), draw(st.sampled_from(list(NUMPY_OF))), shape, columns)


several = st.lists(tensors(), min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)
resources = st.builds(
    Resources,
    num_cpus=st.sampled_from([0.0, 0.1, 4.0]),
    num_gpus=st.sampled_from([0.0, 0.5]),
    min_replicas=st.sampled_from([1, 3]),
    max_replicas=st.sampled_from([3, 1000]),
    pip=st.lists(words, max_size=2).map(tuple),
)
manifests = st.builds(
    Manifest,
    runtime=st.sampled_from(["onnx", "sklearn"]),
    file=words.filter(lambda file: is_below(file) and file != MANIFEST),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True) | st.just("1" * 64),  # YAML reads 1111… as a number
    inputs=several,
    outputs=several,
    description=st.just("") | words,
    max_batch=st.sampled_from([1, 64, 65_536]),
    placement=st.sampled_from(["replica", "process", "dedicated"]),
    resources=resources,
)

GOOD = {
    "runtime": "onnx",
    "file": "model.onnx",
    "sha256": "0" * 63 + "a",
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "height"]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


@given(manifests)
@settings(max_examples=20)
def test_a_manifest_is_written_as_it_is_read(manifest):
    assert parse_manifest(manifest_to_yaml(manifest)) == manifest


def test_a_manifest_is_read_as_people_write_it():
    manifest = parse_manifest(yaml.safe_dump(GOOD))
    assert manifest.inputs == (TensorSpec("X", "FP32", (-1, 2), ("age", "height")),)
    assert manifest.signature == Signature(inputs=manifest.inputs, outputs=(TensorSpec("label", "INT64", (-1,)),))
    assert (manifest.description, manifest.max_batch, manifest.placement) == ("", 64, "replica")
    assert manifest.resources == Resources()


def test_a_manifest_may_say_where_it_runs_and_what_that_needs():
    given = {"num_cpus": 2, "num_gpus": 0.5, "min_replicas": 1, "max_replicas": 4, "pip": ["torch==2.9.0"]}
    manifest = parse_manifest(yaml.safe_dump({**GOOD, "max_batch": 8, "placement": "dedicated", "resources": given}))
    assert (manifest.max_batch, manifest.placement) == (8, "dedicated")
    assert manifest.resources == Resources(num_cpus=2, num_gpus=0.5, max_replicas=4, pip=("torch==2.9.0",))


def test_what_is_as_usual_is_not_written():
    text = manifest_to_yaml(parse_manifest(yaml.safe_dump(GOOD)))
    assert not {"max_batch", "placement", "resources"} & yaml.safe_load(text).keys()


def tensor(**change: object) -> dict[str, object]:
    return {"inputs": [{**GOOD["inputs"][0], **change}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runtime": "tensorflow"}, "Invalid enum value 'tensorflow'"),
        ({"file": "../model.onnx"}, r"names file '\.\./model\.onnx'; it must lie in the version"),
        ({"file": "/model.onnx"}, "it must lie in the version"),
        ({"file": ".."}, "it must lie in the version"),
        ({"sha256": None}, "sha256"),
        ({"inputs": []}, "at least one input and one output"),
        ({"outputs": []}, "at least one input and one output"),
        ({"version": 3}, "unknown field `version`"),
        (tensor(colour="red"), "unknown field `colour`"),
        (tensor(name=5), "name"),
        (tensor(datatype="STRING"), "Tensor X has datatype 'STRING'; known are BOOL, UINT8"),
        (tensor(datatype="float32"), "Tensor X has datatype 'float32'"),
        (tensor(shape=["N", 2]), "shape"),
        (tensor(columns=["age"]), r"Tensor X names 1 columns for shape \[-1, 2\]"),
        (tensor(shape=[-1, 2, 2]), r"names 2 columns for shape \[-1, 2, 2\]"),
        (tensor(shape=[-5, 2]), r"Tensor X has shape \[-5, 2\]; a dimension is -1 or at least 1"),
        (tensor(shape=[0, 2]), r"Tensor X has shape \[0, 2\]; a dimension is -1 or at least 1"),
        ({"inputs": GOOD["inputs"] * 2}, "names a tensor twice"),
        ({"outputs": GOOD["outputs"] * 2}, "names a tensor twice"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "0" * 65}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"max_batch": 0}, r"Expected `int` >= 1 - at `\$\.max_batch`"),
        ({"max_batch": 65_537}, r"Expected `int` <= 65536 - at `\$\.max_batch`"),
        ({"max_batch": 1.5}, "max_batch"),
        ({"max_batch": True}, "max_batch"),
        ({"placement": "gpu"}, r"Invalid enum value 'gpu' - at `\$\.placement`"),
        ({"resources": {"num_tpus": 1}}, "unknown field `num_tpus`"),
        ({"resources": {"num_cpus": -1}}, "num_cpus"),
        ({"resources": {"min_replicas": 0}}, "min_replicas"),
        ({"resources": {"max_replicas": 1001}}, "max_replicas"),
        ({"resources": {"min_replicas": 2}}, r"model\.yaml asks for more min_replicas than max_replicas"),
        ({"resources": {"pip": "torch"}}, "pip"),
        ({"missing": -999}, r"the key missing; a version of runtime \w+ does not take it\. Only xgboost does"),
        ({"runtime": "xgboost", "missing": float("nan")}, "NaN is always a missing value for XGBoost"),
    ],
)
def test_an_illegal_manifest_is_refused(change, words):
    with pytest.raises(ModelRefused, match=words):
        parse_manifest(yaml.safe_dump({**GOOD, **change}))


@pytest.mark.parametrize("key", ["runtime", "file", "sha256", "inputs", "outputs"])
def test_a_missing_key_is_named(key):
    with pytest.raises(ModelRefused, match=f"missing required field `{key}`"):
        parse_manifest(yaml.safe_dump({name: value for name, value in GOOD.items() if name != key}))


@pytest.mark.parametrize("text", ["", "[]", "runtime", "{half: [", "a: b: c", "runtime: !!python/name:os.system"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(ModelRefused, match=r"model\.yaml cannot be read"):
        parse_manifest(text)


def test_an_impossible_date_is_refused():
    with pytest.raises(ModelRefused):
        parse_manifest(yaml.safe_dump(GOOD) + "description: 2024-13-45\n")


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((1, 3), True),
        ((7, 3), True),
        ((0, 3), True),
        ((7, 4), False),
        ((7,), False),
        ((7, 3, 1), False),
        ((), False),
        ((-2, 3), False),
        ((-1, 3), False),
    ],
)
def test_a_shape_fits_where_dimensions_are_equal_or_vary(shape, fits):
    sentence = TensorSpec("X", "FP32", (-1, 3)).shape_mismatch(shape)
    assert sentence == (None if fits else f"Tensor X has shape {list(shape)}; the model takes [-1, 3].")


def test_datatypes_and_numpy_name_each_other():
    assert {name: NAME_OF[dtype] for name, dtype in NUMPY_OF.items()} == {name: name for name in NUMPY_OF}


def test_a_manifest_cannot_be_changed():
    manifest = msgspec.convert(GOOD, Manifest)
    with pytest.raises(AttributeError):
        manifest.sha256 = "other"


FULL = {
    **GOOD,
    "files": [{"file": "weights/a.bin", "sha256": "1" * 64}, {"file": "golden.json", "sha256": "2" * 64}],
    "golden": "golden.json",
    "batch": "none",
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1], "source": "x:0", "example": {"data": [0.5, 1]}},
        {"name": "s", "datatype": "BYTES", "shape": [-1, 2], "example": {"data": [["a", "b"]]}},
        {"name": "z", "datatype": "FP32", "shape": [1, -1], "example": {"shape": [1, 64]}},
    ],
    "made_with": ["scikit-learn==1.9.1"],
    "accepts_other_versions": True,
    "trusted_types": ["lightgbm.sklearn.LGBMClassifier"],
}


def test_every_key_is_read_and_written_and_can_be_hashed():
    manifest = parse_manifest(yaml.safe_dump(FULL))
    assert parse_manifest(manifest_to_yaml(manifest)) == manifest
    assert yaml.safe_load(manifest_to_yaml(manifest)) == FULL
    assert hash(manifest) == hash(parse_manifest(yaml.safe_dump(FULL)))
    assert not manifest.signature.takes_several
    assert manifest.inputs[0].own_name == "x:0"
    assert manifest.inputs[1].example == Example(data=(("a", "b"),))


def test_a_version_of_several_files_is_identified_by_all_of_them():
    one, two = parse_manifest(yaml.safe_dump(GOOD)), parse_manifest(yaml.safe_dump(FULL))
    other = {**FULL, "files": [FULL["files"][1], {"file": "weights/a.bin", "sha256": "3" * 64}]}
    swapped = {**FULL, "files": FULL["files"][::-1]}
    assert one.digest == one.sha256
    assert len({one.digest, two.digest, parse_manifest(yaml.safe_dump(other)).digest}) == 3
    assert parse_manifest(yaml.safe_dump(swapped)).digest == two.digest


def test_golden_requests_are_no_part_of_what_identifies_a_version():
    """They are made from answers, which may differ in the last bit between processors."""

    def digest(*files: tuple[str, str], golden: str = "") -> str:
        further = [{"file": file, "sha256": digit * 64} for file, digit in files]
        manifest = parse_manifest(yaml.safe_dump({**GOOD, "files": further, "golden": golden}))
        assert len(manifest.pinned) == 1 + len(files)
        return manifest.digest

    alone, further = digest(), digest(("weights.bin", "1"))
    assert alone == GOOD["sha256"]
    for digit in "23":
        assert digest(("golden.json", digit), golden="golden.json") == alone
        assert digest(("golden.json", digit), ("weights.bin", "1"), golden="golden.json") == further
    assert digest(("golden.json", "2")) != alone  # it is a file like any other
    assert digest(("weights.bin", "1"), golden=GOOD["file"]) == further  # it answers all the same


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": [{"file": "../secret", "sha256": "1" * 64}]}, "must lie in the version"),
        ({"files": [{"file": "a//b", "sha256": "1" * 64}]}, "must lie in the version"),
        ({"files": [{"file": "a/./b", "sha256": "1" * 64}]}, "must lie in the version"),
        ({"files": [{"file": "a\\b", "sha256": "1" * 64}]}, "must lie in the version"),
        ({"files": [{"file": "model.yaml", "sha256": "1" * 64}]}, "must lie in the version"),
        ({"files": [{"file": GOOD["file"], "sha256": "1" * 64}]}, "names a file twice"),
        ({"golden": "other.json"}, "not among its files"),
        ({"batch": 1}, "batch"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "example": {}}]}, "without shape and data"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "example": {"shape": [3]}}]}, "does not fit"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "example": {"shape": [1 << 40]}}]},
            "more than",
        ),
        (
            {
                "inputs": [
                    {"name": name, "datatype": "FP32", "shape": [-1], "example": {"shape": [1 << 25]}} for name in "abc"
                ]
            },
            "more than 67108864 elements in all",
        ),
    ],
)
def test_illegal_files_and_examples_are_refused(change, words):
    with pytest.raises(ModelRefused, match=words):
        parse_manifest(yaml.safe_dump({**FULL, **change}))


@pytest.mark.parametrize("runtime", ["python", "mlflow"])
def test_code_must_not_run_in_the_replica(runtime):
    content = {**GOOD, "runtime": runtime, "file": "model.py"}
    with pytest.raises(ModelRefused, match=r"is code of its author.*write `placement: process`"):
        parse_manifest(yaml.safe_dump(content))
    for placement in ("process", "dedicated"):
        assert parse_manifest(yaml.safe_dump({**content, "placement": placement})).placement == placement


@pytest.mark.parametrize("example", [Example((1, 2)), Example(data=((1, 2),)), Example((2,), 0.5)])
def test_an_example_is_the_same_in_another_process(example):
    assert msgspec.json.decode(msgspec.json.encode(example), type=Example) == example
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(example), type=Example) == example


def test_the_types_of_a_manifest_are_noted_before_threads_read_manifests():
    """Two threads that read the first manifest of a process at once have ended it by a segmentation fault."""
    assert noted_late(Manifest, TensorSpec, Example) == ""
