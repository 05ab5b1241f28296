"""What a person says, over what was read out of the artifact."""

import pytest

from registry_sync.publish.merge import merge_tensors
from registry_sync.publish.said import over, parse_said, parse_settings
from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec

READ = (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 3), ("a", "b", "c")))


def merged(*said: object) -> tuple[TensorSpec, ...]:
    return merge_tensors(READ, list(said), "output")


def test_settings_are_values_of_yaml():
    pairs = ["batch=none", "max_batch=1", "accepts_other_versions=true", "packages=[a, b==2]", "missing=-999"]
    pairs += ["resources.num_cpus=2"]
    assert parse_settings(pairs) == {
        "batch": "none",
        "max_batch": 1,
        "accepts_other_versions": True,
        "packages": ["a", "b==2"],
        "missing": -999,
        "resources": {"num_cpus": 2},
    }


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("batch", "KEY=VALUE"),
        ("batches=1", "has the key batches; model.yaml knows runtime, file"),
        ("inputs=[]", "name that with --with"),
        ("sha256=0", "name that with --with"),
        ("batch=[", "is not YAML"),
    ],
)
def test_other_settings_are_refused(pair, sentence):
    with pytest.raises(ModelRefused) as refused:
        parse_settings([pair])
    assert sentence in str(refused.value)


@pytest.mark.parametrize("text", ["- 1", "a: [", "nothing: 1", "[" * 5000])
def test_a_partial_file_that_cannot_be_read_is_named(text):
    with pytest.raises(ModelRefused, match=r"^p\.yaml "):
        parse_said(text, "p.yaml")


def test_keys_are_merged_and_resources_too():
    under = {"batch": 0, "resources": {"num_cpus": 1, "min_replicas": 2}}
    assert over({"resources": {"num_cpus": 2}}, under) == {"batch": 0, "resources": {"num_cpus": 2, "min_replicas": 2}}


def test_a_tensor_is_changed_by_its_name_and_the_others_stay():
    assert merged({"name": "label", "datatype": "INT32"}) == (TensorSpec("label", "INT32", (-1,)), READ[1])


def test_names_alone_choose_the_outputs_and_their_order():
    assert merged("probabilities") == (READ[1],)
    assert merged("probabilities", {"name": "label", "shape": [1]}) == (READ[1], TensorSpec("label", "INT64", (1,)))


def test_whole_tensors_stand_for_all():
    assert merged({"name": "y", "datatype": "FP64", "shape": [-1]}) == (TensorSpec("y", "FP64", (-1,)),)


def test_a_tensor_gets_another_name():
    assert merged({"name": "p", "source": "probabilities"})[1] == TensorSpec(
        "p", "FP32", (-1, 3), ("a", "b", "c"), "probabilities"
    )


def test_columns_of_another_shape_are_not_kept():
    assert merged({"name": "probabilities", "shape": [-1, -1]})[1].columns == ()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"name": "nothing"}, "has no output 'nothing'; it has label, probabilities"),
        ({"name": "label", "dtype": "INT32"}, "has the key dtype; a tensor has name, datatype"),
        ({"datatype": "INT32"}, "must be a name"),
        ({"name": "label", "shape": "x"}, "cannot be read"),
    ],
)
def test_what_fits_no_tensor_is_refused(said, sentence):
    with pytest.raises(ModelRefused) as refused:
        merged(said)
    assert sentence in str(refused.value)
