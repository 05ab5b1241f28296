"""The names that a route redacts are those of its versions."""

from types import SimpleNamespace

import pytest

from gateway.control.changes import Changes, Note
from gateway.control.redacted_names import redaction_warning, require_redacted_names
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.errors import Rejected
from router.spec.parse import parse_spec
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature, TensorSpec
from tests.support.flaky_store import FlakyStore
from tests.unit.gateway.control.support_reconciler import ONE

SIGNATURE = Signature(
    inputs=(TensorSpec("town", "BYTES", (-1,)), TensorSpec("X", "FP32", (-1, 2), columns=("age", "income"))),
    outputs=(TensorSpec("y", "FP32", (-1, 1)),),
)


def spec(redact, **more):
    return parse_spec({**ONE, **more, "log": {"redact": redact}})


@pytest.mark.parametrize(
    ("redact", "why"),
    [
        ({"years": "drop"}, "log.redact names 'years', which is no input and no feature .*age, income, town"),
        ({"town": "bucket 5"}, "log.redact.town is bucket 5, but it holds texts: use drop, hmac, truncate or mask"),
        ({"age": "hmac"}, "log.redact.age is hmac, but it holds numbers: use drop or bucket"),
        ({"X": "truncate 3"}, "log.redact.X is truncate 3, but it holds numbers"),
    ],
)
def test_what_does_not_fit_the_signature_is_rejected(redact, why):
    with pytest.raises(Rejected, match=why):
        require_redacted_names(spec(redact), SIGNATURE)


def test_names_of_inputs_and_features_are_taken():
    require_redacted_names(spec({"town": "mask", "X": "drop", "income": "bucket 100"}), SIGNATURE)
    require_redacted_names(parse_spec(ONE), SIGNATURE)


def test_a_column_that_a_bandit_sees_cannot_be_hidden():
    bandit = {
        "route": "r", "arms": {"a": "linear:1", "b": "linear:2"}, "metrics": {"sale": {"window": "1h"}},
        "bandit": {"reward": "sale", "policy": "thompson", "context": {"inputs.X.1": {"from": 0, "to": 9}}},
    }  # fmt: skip
    hidden = {**bandit, "log": {"redact": {"income": "drop"}}}
    with pytest.raises(Rejected, match=r"hides income, and the log keeps what the bandit sees of inputs\.X\.1"):
        require_redacted_names(parse_spec(hidden), SIGNATURE)
    require_redacted_names(parse_spec({**bandit, "log": {"redact": {"age": "drop"}}}), SIGNATURE)


def test_a_declaration_is_rejected_with_the_name_of_the_route(tmp_path, own_registry):
    view = SimpleNamespace(trouble="")
    changes = Changes(FlakyStore(tmp_path), Catalogue(DirectoryRegistry(own_registry), LoadOptions()), "r0", view)
    with pytest.raises(Rejected, match=r"Route r: log\.redact names 'age', .*there are X, X_0, X_1, X_2, X_3"):
        changes.declare([spec({"age": "drop"})], {"r": 0}, Note("ada", "apply"))
    (entry,) = changes.declare([spec({"X_1": "bucket 5"})], {"r": 0}, Note("ada", "apply"))
    assert str(entry.document.spec.log.redact["X_1"]) == "bucket 5"


def test_versions_without_the_name_are_served_with_a_warning_and_log_no_inputs(bench, declare):
    declare(bench.store, {**ONE, "log": {"redact": {"age": "drop"}}})  # as if an alias had brought other names
    live = bench.tick()
    assert "log.redact names 'age', which the served versions do not have" in live.warnings["r"]
    (arm,) = live.routes["r"].arms
    assert (arm.primary.features, arm.primary.inputs, dict(live.problems)) == ((), (), {})
    assert arm.primary.redaction == live.routes["r"].route.log.redaction != ""
    assert redaction_warning(parse_spec(ONE), SIGNATURE) == ""
