"""The memory of all models of a process: what never fits is refused, what would fit later waits."""

import msgspec
import pytest

from registry_sync.catalogue import Catalogue
from registry_sync.memory_budget import MemoryBudget
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import Tried, VersionKey, VersionState
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused, StillLoading
from runtimes.load_options import LoadOptions
from tests.support import linear

MIB = 1 << 20


def test_what_was_given_back_can_be_taken_again():
    budget = MemoryBudget(100 * MIB)
    budget.take("a", 60 * MIB)
    with pytest.raises(StillLoading, match="waits for memory: it takes 50 MiB, and others have 60 MiB of 100 MiB"):
        budget.take("b", 50 * MIB)
    budget.take("a", 40 * MIB)  # in place of the 60
    budget.take("b", 50 * MIB)
    budget.give_back("a")
    budget.give_back("never taken")
    assert budget.taken_bytes() == 50 * MIB


def test_what_can_never_fit_is_refused_with_what_to_do():
    with pytest.raises(ModelRefused, match=r"takes 101 MiB .* may take 100 MiB\. Raise POINTSMAN_MODEL_MEMORY"):
        MemoryBudget(100 * MIB).take("a", 100 * MIB + 1)
    MemoryBudget(0).take("a", 1 << 60)


@pytest.fixture
def catalogue(tmp_path):
    sizes = {"1": 60 * MIB, "2": 50 * MIB}
    registry = DirectoryRegistry(linear.fill(tmp_path / "models"))
    made = Catalogue(
        registry,
        LoadOptions(),
        lambda key, manifest, retry: Tried("", sizes[key.version], 0),  # noqa: ARG005  # `Trial`'s
        budget=MemoryBudget(100 * MIB),
    )
    made.sizes = sizes
    return made


def resolved(catalogue, version):
    return catalogue.resolve(ArmRef("linear", version=version))


def test_a_version_waits_until_another_one_is_unloaded(catalogue, monkeypatch):
    monkeypatch.setattr("registry_sync.catalogue._FETCH_AGAIN_AFTER_S", 0.0)
    first, second = (resolved(catalogue, version) for version in "12")
    assert catalogue.loaded(*first).state is VersionState.READY
    with pytest.raises(StillLoading, match="linear:2 waits for memory"):
        catalogue.load(*second)
    catalogue.retain({second[0]})
    assert catalogue.load(*second).state is VersionState.READY
    with pytest.raises(StillLoading, match="linear:1 waits for memory"):
        catalogue.load(*first)


def test_a_version_that_can_never_fit_is_in_quarantine(catalogue):
    catalogue.sizes["1"] = 101 * MIB
    version = catalogue.load(*resolved(catalogue, "1"))
    assert version.state is VersionState.QUARANTINED
    assert version.reason.startswith("linear:1: it takes 101 MiB of memory")


def test_a_version_that_is_not_loaded_after_all_takes_nothing(catalogue):
    key, manifest = catalogue.resolve(ArmRef("damaged", version="1"))
    assert catalogue.load(key, manifest).state is VersionState.QUARANTINED
    assert catalogue.loader._budget.taken_bytes() == 0
    assert isinstance(key, VersionKey)


def test_a_runtime_that_still_serves_keeps_its_memory_if_the_corrected_version_cannot_be_loaded(catalogue):
    key, manifest = resolved(catalogue, "1")
    assert catalogue.load(key, manifest).state is VersionState.READY
    wrong = msgspec.structs.replace(manifest, outputs=manifest.outputs[:1], inputs=())
    assert catalogue.load(key, wrong).state is VersionState.QUARANTINED
    catalogue.retain({key})
    assert catalogue.loader._budget.taken_bytes() == 60 * MIB
    catalogue.retain(set())  # no route uses it any more
    assert catalogue.loader._budget.taken_bytes() == 0


@pytest.mark.parametrize("placement", ["process", "dedicated"])
def test_a_version_of_another_placement_is_not_loaded_and_takes_nothing(catalogue, placement):
    key, manifest = resolved(catalogue, "1")
    elsewhere = type(manifest)(
        **{**{f: getattr(manifest, f) for f in manifest.__struct_fields__}, "placement": placement}
    )
    version = catalogue.load(key, elsewhere)
    assert (version.state, version.runtime) == (VersionState.READY, None)
    assert catalogue.loader._budget.taken_bytes() == 0
    assert catalogue.loader.load_here(key, elsewhere, version.tried).signature == manifest.signature
    assert catalogue.loader._budget.taken_bytes() == 60 * MIB


def test_code_of_its_own_never_runs_in_the_replica(catalogue):
    key, manifest = resolved(catalogue, "1")
    code = msgspec.structs.replace(manifest, runtime="python")
    assert "placement: process" in catalogue.load(key, code).reason


def test_that_memory_was_short_is_said_once():
    budget = MemoryBudget(100)
    budget.take("one", 60)
    assert not budget.was_short()
    with pytest.raises(StillLoading):
        budget.take("another", 60)
    assert budget.was_short()
    assert not budget.was_short()
