"""Arms are bound to versions that are loaded and that take and give the same tensors."""

import pytest

from gateway.arms import bind
from registry_sync.catalogue import Catalogue
from registry_sync.errors import UnknownModel
from registry_sync.registries.directory import DirectoryRegistry
from router.document import parse_spec
from router.errors import Rejected
from runtimes.errors import ModelRefused
from runtimes.load import LoadOptions


@pytest.fixture
def catalogue(own_registry) -> Catalogue:
    return Catalogue(DirectoryRegistry(own_registry), LoadOptions())


def spec(*refs: str):
    arms = {f"arm{index}": ref for index, ref in enumerate(refs)}
    return parse_spec({"route": "r", "arms": arms, "split": {"arm0": 1, **dict.fromkeys(list(arms)[1:], 0)}})


def test_versions_and_aliases_are_bound(catalogue):
    bound = bind(catalogue, spec("linear:1", "linear@challenger"))
    assert {name: str(version.key) for name, version in bound.items()} == {"arm0": "linear:1", "arm1": "linear:2"}
    assert all(version.runtime is not None for version in bound.values())


def test_arms_of_one_version_share_its_runtime(catalogue):
    bound = bind(catalogue, spec("linear:1", "linear@champion"))
    assert bound["arm0"].runtime is bound["arm1"].runtime


def test_another_signature_is_rejected(catalogue):
    with pytest.raises(Rejected, match=r"Arm arm1 \(wide:1\) has another signature than arm arm0 \(linear:1\)"):
        bind(catalogue, spec("linear:1", "wide:1"))


def test_a_quarantined_version_is_tried_again_only_when_asked(catalogue, own_registry):
    with pytest.raises(ModelRefused, match="changed or damaged"):
        bind(catalogue, spec("damaged:1"))
    good = (own_registry / "linear" / "1" / "model.onnx").read_bytes()
    (own_registry / "damaged" / "1" / "model.onnx").write_bytes(good)
    with pytest.raises(ModelRefused):
        bind(catalogue, spec("damaged:1"))
    assert bind(catalogue, spec("damaged:1"), retry=True)["arm0"].runtime is not None


def test_what_the_registry_does_not_have_is_unknown(catalogue):
    with pytest.raises(UnknownModel, match="no version '9'"):
        bind(catalogue, spec("linear:9"))
