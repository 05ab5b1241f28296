"""Arms and shadows are binding to loaded versions that have one signature."""

import hashlib
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import helper

from gateway.control.binding import bind, candidate_of, candidates, places
from gateway.execution.lane import LaneKey
from gateway.protocols.scoring_answers import encode
from gateway.protocols.scoring_http import CSV
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import VersionState
from router.document.apply import apply
from router.document.commands import Abort, Declare, Promote, Release, Shift, Start
from router.document.document import Candidate, Document
from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from runtimes.manifest_text import manifest_to_yaml, parse_manifest
from tests.support.models import onnx_content, write_version
from tests.unit.runtimes.python.support import ADDS, files_of, manifest_of


@pytest.fixture
def catalogue(own_registry) -> Catalogue:
    return Catalogue(DirectoryRegistry(own_registry), LoadOptions())


def document(*refs: str | dict[str, object], **more) -> Document:
    """Arms `arm0`, `arm1`, ..., of which the first has all the traffic."""
    arms = {f"arm{index}": ref for index, ref in enumerate(refs)}
    split = {"arm0": 1, **dict.fromkeys(list(arms)[1:], 0)}
    return apply(None, Declare(parse_spec({"route": "r", "arms": arms, "split": split, **more})))


def rollout(**more) -> Document:
    arms = {"stable": "linear@champion", "canary": "linear@challenger"}
    steps = {"of": "canary", "steps": ["5%", "50%"], "every": "1m"}
    return apply(None, Declare(parse_spec({"route": "r", "arms": arms, "rollout": steps, **more})))


def names(catalogue: Catalogue, made: Document) -> set[tuple[str, str, bool]]:
    return {(str(key.version), key.placement, key.is_shadow) for key in places(catalogue, made)}


def test_versions_and_aliases_are_bound(catalogue):
    binding = bind(catalogue, document("linear:1", "linear@challenger"))
    assert [str(version.key) for version in binding.arms.values()] == ["linear:1", "linear:2"]
    assert all(version.runtime is not None for version in binding.arms.values())
    assert candidates(binding.arms) == {
        arm: Candidate(version.key.version, version.key.digest) for arm, version in binding.arms.items()
    }


def test_arms_of_one_version_share_its_runtime(catalogue):
    binding = bind(catalogue, document("linear:1", "linear@champion")).arms
    assert binding["arm0"].runtime is binding["arm1"].runtime


SAFE = {"value": {"label": 0, "scores": [0.25, 0.75]}}


def test_a_value_is_bound_without_the_registry(catalogue):
    made = document({"value": {"layout": "narrow"}}, {"value": {"layout": "wide"}})
    catalogue.resolve = None
    binding = bind(catalogue, made)
    narrow, wide = binding.arms.values()
    assert (narrow.key.model, narrow.state, binding.without) == ("value", VersionState.READY, {})
    assert narrow.key.digest.startswith(narrow.key.version)
    assert narrow.runtime.run({}, ["layout"])[0].tolist() == [b"narrow"]
    assert candidate_of(catalogue, made.spec.arms["arm1"]) == candidates(binding.arms)["arm1"]
    assert places(catalogue, made) == {LaneKey(narrow.key, "replica"), LaneKey(wide.key, "replica")}
    assert bind(catalogue, made).arms["arm0"].runtime is narrow.runtime


def test_beside_a_model_a_value_takes_the_signature_of_the_model(catalogue):
    made = document("linear:1", SAFE, fallback="arm1", placement="process")
    binding = bind(catalogue, made)
    assert list(binding.arms) == ["arm0", "arm1"]
    model, safe = binding.arms["arm0"], binding.arms["arm1"]
    assert safe.manifest.signature == model.manifest.signature
    assert safe.seen == model.manifest.signature
    label, scores = safe.runtime.run({"X": np.zeros((2, 4), np.float32)}, ["label", "scores"])
    assert (label.tolist(), scores.tolist()) == ([0, 0], [[0.25, 0.75]] * 2)
    assert {each.placement for each in places(catalogue, made)} == {"process", "replica"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"label": 0}, "it has the outputs label and not label, scores"),
        ({"label": 0.5, "scores": 0.5}, r"its output label is FP64 and not INT64 \[-1\]"),
    ],
)
def test_a_value_that_is_no_answer_of_the_model_is_rejected(catalogue, value, words):
    made = document("linear:1", {"value": value}, fallback="arm1")
    with pytest.raises(Rejected, match=rf"Arm arm1 \(value:.*\) has another signature.*: {words}.*a value needs a key"):
        bind(catalogue, made)


def test_beside_values_a_model_is_needed_since_it_says_what_callers_send(catalogue):
    with pytest.raises(UnknownModel):
        bind(catalogue, document(SAFE, "linear:99"))
    binding = bind(catalogue, document(SAFE, "linear:1", "linear:99"))
    assert list(binding.arms) == ["arm1", "arm0"]
    assert list(binding.without) == ["arm2"]


def test_another_signature_is_rejected(catalogue):
    made = document("linear:1", "wide:1", split={"arm0": "50%", "arm1": "50%"})
    words = (
        r"Arm arm1 \(wide:1\) has another signature than arm arm0 \(linear:1\): its input X is FP32 .* and not FP32 "
    )
    with pytest.raises(Rejected, match=words):
        bind(catalogue, made)


def publish_twins(root) -> None:
    """Publish two versions of one model, whose manifests name its two outputs in another order."""
    inputs = (TensorSpec("X", "FP32", (-1, 2)),)
    outputs = (TensorSpec("label", "INT64", (-1,)), TensorSpec("score", "FP32", (-1, 2)))
    nodes = [
        helper.make_node("ArgMax", ["X"], ["label"], axis=1, keepdims=0),
        helper.make_node("Relu", ["X"], ["score"]),
    ]
    content = onnx_content(nodes, inputs, outputs)
    for version, order in (("1", outputs), ("2", outputs[::-1])):
        write_version(root, "twin", version, content, inputs=inputs, outputs=order)


@pytest.mark.parametrize(("refs", "line"), [(("twin:1", "twin:2"), b"1\n"), (("twin:2", "twin:1"), b"2.0,3.0,1\n")])
def test_arms_answer_in_the_order_of_outputs_that_the_route_has(catalogue, own_registry, refs, line):
    """Whether the label comes first decides what a scoring response has, so all arms must have one order."""
    publish_twins(own_registry)
    arms = bind(catalogue, document(*refs, split={"arm0": "50%", "arm1": "50%"})).arms
    signatures = [version.manifest.signature for version in arms.values()]
    orders = [[spec.name for spec in signature.outputs] for signature in signatures]
    assert orders[0] == orders[1]
    for version, signature, names_of in zip(arms.values(), signatures, orders, strict=True):
        tensors = version.runtime.run({"X": np.array([[2, 3]], "f4")}, names_of)
        assert encode(CSV, None, None, signature, tensors, by_name=False) == line


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("linear:9", "no version '9'"),
        ("damaged:1", "changed or damaged"),
        ("wide:1", r"Arm arm1 \(wide:1\) has another signature than arm arm0"),
    ],
)
def test_an_arm_that_nobody_needs_may_be_missing(catalogue, ref, words):
    binding = bind(catalogue, document("linear:1", ref, "linear:2"))
    assert (list(binding.arms), list(binding.without)) == (["arm0", "arm2"], ["arm1"])
    assert re.search(words, binding.without["arm1"])


@pytest.mark.parametrize(
    "more",
    [{"split": {"arm0": "99%", "arm1": "1%"}}, {"fallback": "arm1"}, {"fallback": {"arm0": "arm1"}}],
    ids=["weight", "trusted", "fallback"],
)
def test_an_arm_that_somebody_needs_may_not_be_missing(catalogue, more):
    with pytest.raises(UnknownModel):
        bind(catalogue, document("linear:1", "linear:9", **more))


def test_signatures_are_those_of_what_is_needed(catalogue):
    """The first arm named does not count if it is not needed: it must not take the route away from the serving arms."""
    made = document("wide:1", "linear:1", "linear:2", split={"arm0": 0, "arm1": "50%", "arm2": "50%"})
    assert list(bind(catalogue, made).without) == ["arm0"]


def test_a_quarantined_version_is_tried_again_only_when_asked(catalogue, own_registry):
    with pytest.raises(ModelRefused, match="changed or damaged"):
        bind(catalogue, document("damaged:1"))
    good = (own_registry / "linear" / "1" / "model.onnx").read_bytes()
    (own_registry / "damaged" / "1" / "model.onnx").write_bytes(good)
    with pytest.raises(ModelRefused):
        bind(catalogue, document("damaged:1"))
    assert bind(catalogue, document("damaged:1"), retry=True).arms["arm0"].runtime is not None


def test_what_the_registry_does_not_have_is_unknown(catalogue):
    with pytest.raises(UnknownModel, match="no version '9'"):
        bind(catalogue, document("linear:9"))


def test_a_registry_that_is_away_is_not_needed_for_what_is_bound_already(catalogue, own_registry):
    binding = bind(catalogue, document("linear:1"))
    own_registry.rename(own_registry.with_name("away"))
    assert bind(catalogue, document("linear:1")) == binding
    with pytest.raises(RegistryUnavailable):
        bind(catalogue, document("linear:2"))


def test_a_candidate_that_was_never_looked_up_needs_the_registry(catalogue, own_registry):
    bind(catalogue, rollout())
    ref = parse_ref("linear@challenger")
    own_registry.rename(own_registry.with_name("away"))
    with pytest.raises(RegistryUnavailable):
        candidate_of(Catalogue(DirectoryRegistry(own_registry), LoadOptions()), ref)
    assert candidate_of(catalogue, ref).version == "2"


def bound_rollout(catalogue: Catalogue) -> Document:
    spec = rollout().spec
    named = {name: candidate_of(catalogue, ref) for name, ref in spec.aliases.items()}
    return apply(None, Declare(spec, 1.0, named))


def test_what_is_bound_is_served_whatever_the_alias_names(catalogue, own_registry):
    made = bound_rollout(catalogue)
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '2'\nchallenger: '1'\n")
    versions = {arm: version.key.version for arm, version in bind(catalogue, made).arms.items()}
    assert versions == {"stable": "1", "canary": "2"}
    (own_registry / "linear" / "aliases.yaml").unlink()
    assert len(bind(catalogue, made).arms) == 2


@pytest.mark.parametrize("arm", ["stable", "canary"])
def test_another_artifact_under_the_bound_version_is_refused(catalogue, own_registry, arm):
    made, number = bound_rollout(catalogue), {"stable": "1", "canary": "2"}[arm]
    binding = bind(catalogue, made)
    for name in ("model.onnx", "model.yaml"):
        shutil.copyfile(own_registry / "wide" / "1" / name, own_registry / "linear" / number / name)
    words = f"linear:{number} is not what .*: its artifact is another one now. Publish it as a new version."
    if arm == "canary":  # it has no traffic
        assert re.search(words, bind(catalogue, made).without["canary"])
    else:
        with pytest.raises(ModelRefused, match=words):
            bind(catalogue, made)
    assert bind(catalogue, made, held=binding.arms).arms == binding.arms  # what is held goes on


def test_a_candidate_stays_what_it_was_when_its_alias_moves(catalogue, own_registry):
    made = rollout()
    candidate = candidates(bind(catalogue, made).arms)["canary"]
    started = apply(made, Start(candidate, 1.0))
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '1'\nchallenger: '1'\n")
    assert candidates(bind(catalogue, started).arms)["canary"] == candidate
    assert candidates(bind(catalogue, made).arms)["canary"].version == "1"


def test_a_candidate_whose_artifact_was_exchanged_is_refused(catalogue):
    started = apply(rollout(), Start(Candidate("2", "another digest"), 1.0))
    with pytest.raises(ModelRefused, match=r"linear:2 is not what the rollout began with: its artifact is another one"):
        bind(catalogue, started)


def test_what_is_in_quarantine_gets_no_traffic_under_another_name_either(catalogue):
    made = document("linear:1", "linear:2", fallback="arm0")
    made = apply(made, Shift({"arm1": Fraction(1, 10)}))
    bad = candidates(bind(catalogue, made).arms)["arm1"]
    made = apply(made, Abort(1.0, "It was slow.", "arm1", bad))
    bind(catalogue, made)  # the arm has no traffic
    renamed = parse_spec(
        {"route": "r", "arms": {"x": "linear:1", "y": "linear@challenger"}, "split": {"x": 0.9, "y": 0.1}}
    )
    with pytest.raises(Rejected, match=r"Arm y would serve linear:2, which is in quarantine: It was slow"):
        bind(catalogue, apply(made, Declare(renamed)))
    bind(catalogue, apply(apply(made, Release("2")), Declare(renamed)))


def test_shadows_are_bound_beside_the_arms(catalogue):
    shadows = [{"arm": "linear@challenger", "placement": "replica"}, {"arm": "arm1", "placement": "replica"}]
    binding = bind(catalogue, document("linear:1", "linear:2", shadow=shadows))
    assert {name: str(version.key) for name, version in binding.shadows.items()} == {
        "linear@challenger": "linear:2",
        "arm1": "linear:2",
    }
    assert binding.without == {}


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("linear:9", "no version '9'"),
        ("damaged:1", "changed or damaged"),
        ("wide:1", r"Shadow wide:1 \(wide:1\) has another signature than arm arm0"),
    ],
)
def test_a_shadow_that_cannot_be_had_is_named_and_the_arms_are_served(catalogue, ref, words):
    shadow = [{"arm": ref, "placement": "replica"}, {"arm": "linear:2", "placement": "replica"}]
    binding = bind(catalogue, document("linear:1", shadow=shadow))
    assert (list(binding.arms), list(binding.shadows), list(binding.without)) == (["arm0"], ["linear:2"], [ref])
    assert re.search(words, binding.without[ref])


def test_what_runs_elsewhere_is_not_loaded_here(catalogue):
    shadow = [{"arm": "linear:2"}]
    binding = bind(catalogue, document("linear:1", shadow=shadow, placement="dedicated"))
    assert [(version.state, version.runtime) for version in (*binding.arms.values(), *binding.shadows.values())] == [
        (VersionState.READY, None)
    ] * 2
    assert catalogue.versions() == []


@pytest.mark.parametrize("placement", ["replica", "process"])
def test_code_never_runs_in_the_replica_whatever_the_route_says(catalogue, own_registry, placement):
    fields = manifest_of(files_of(ADDS), placement="process")
    folder = own_registry / "code" / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_bytes(files_of(ADDS)["model.py"])
    (folder / "model.yaml").write_text(manifest_to_yaml(fields))
    made = document("code:1", placement=placement)
    if placement == "process":
        assert bind(catalogue, made).arms["arm0"].runtime is None
        return
    with pytest.raises(ModelRefused, match=r"code:1 is code of its author.*`placement: process`"):
        bind(catalogue, made)


def test_places_are_what_a_document_names_now_without_what_cannot_be_resolved(catalogue):
    shadow = [{"arm": "linear:2"}, {"arm": "linear:7"}, {"arm": "arm0", "placement": "replica"}]
    made = document("linear:1", "linear@nothing", shadow=shadow)
    assert names(catalogue, made) == {
        ("linear:1", "replica", False),
        ("linear:2", "process", True),
        ("linear:1", "replica", True),
    }
    assert all(isinstance(key, LaneKey) for key in places(catalogue, made))


def test_a_disagreement_guardrail_has_the_trusted_arm_answer_beside_the_candidate(catalogue):
    made = rollout(guardrails=[{"disagreement": {"above": "5%"}}])
    assert list(bind(catalogue, made).shadows) == ["stable"]
    assert ("linear:1", "process", True) in names(catalogue, made)


@pytest.fixture
def golden(own_registry) -> Path:
    """Give version 2 golden requests, as `pointsman models add` does."""
    folder = own_registry / "linear" / "2"
    (folder / "golden.json").write_text("[]")
    said = yaml.safe_load((folder / "model.yaml").read_text())
    files = [{"file": "golden.json", "sha256": hashlib.sha256(b"[]").hexdigest()}]
    (folder / "model.yaml").write_text(yaml.safe_dump({**said, "golden": "golden.json", "files": files}))
    return folder


@pytest.fixture
def earlier(golden) -> Candidate:
    """Return version 2 as a document from before decision 024 names it: its digest was that of all files."""
    manifest = parse_manifest((golden / "model.yaml").read_text())
    lines = [f"{sha256}  {file}\n" for file, sha256 in sorted(manifest.pinned.items())]
    return Candidate("2", hashlib.sha256("".join(lines).encode()).hexdigest())


def test_a_rollout_from_before_digests_left_golden_requests_out_is_served(catalogue, earlier):
    promoted = apply(apply(rollout(), Start(earlier, 1.0)), Promote(2.0))
    assert str(bind(catalogue, promoted).arms["canary"].key) == "linear:2"
    assert bind(catalogue, promoted).without == {}


def test_a_quarantine_from_before_digests_left_golden_requests_out_holds(catalogue, earlier):
    aborted = apply(apply(rollout(), Start(earlier, 1.0)), Abort(2.0, "It fails."))
    now, _ = catalogue.resolve(parse_ref("linear:2", "arm"))
    again = apply(aborted, Start(Candidate("2", now.digest), 3.0))
    with pytest.raises(Rejected, match="would serve linear:2, which is in quarantine: It fails"):
        bind(catalogue, again)
