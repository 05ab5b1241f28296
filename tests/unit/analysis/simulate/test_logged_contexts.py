"""Where the contexts of logged decisions come from, and what is said where they are not in the log."""

import random
from collections.abc import Mapping

import numpy as np
import pytest

from analysis.errors import AnalysisRefused
from analysis.simulate.contexts import DeclaredContext
from analysis.simulate.simulate import simulate
from bandits.linear.packed import pack
from gateway.cli.simulate import learner
from gateway.inference.contexts import encoder_of
from inference_log.files.directory import DirectoryFiles
from router.document.commands import Declare
from router.spec.parse import parse_spec
from runtimes.datatypes import tensor_bytes
from runtimes.manifest import Manifest, TensorSpec
from tests.support.logged_bandit import BANDIT, BEGAN_S, Asked, LoggedBandit

EVEN = {"a": "33.33%", "b": "33.33%", "c": "33.34%"}
SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"} | {
    "metrics": {"click": {"window": "10s"}}, "split": EVEN,
}  # fmt: skip
HEADERS = {"headers.x-device": ["phone", "desktop"]}
INPUTS = {"inputs.x.1": {"from": 0, "to": 10, "missing": 0}, "inputs.device": ["phone", "desktop"]}
RATES = {"phone": {"a": 0.7, "b": 0.1, "c": 0.2}, "desktop": {"a": 0.1, "b": 0.2, "c": 0.7}}


def declared(context: Mapping[str, object], policy: object = "linear-thompson", **more: object):
    bandit = {"policy": policy, "reward": "click", "floor": "2%", "burn_in": 20, "context": dict(context)}
    return BANDIT | {"metrics": SPLIT["metrics"], "bandit": bandit | more}


def manifest(columns: tuple[str, ...] = ()) -> Manifest:
    inputs = (TensorSpec("x", "FP32", (-1, 2), columns), TensorSpec("device", "BYTES", (-1,)))
    return Manifest(runtime="onnx", file="m", sha256="0" * 64, inputs=inputs, outputs=(TensorSpec("y", "FP32", (-1,)),))


def with_inputs(chance: random.Random) -> Asked:
    """Return a request whose click depends on the device alone."""
    device = chance.choice(("phone", "desktop"))
    x = np.array([[1.0, chance.uniform(0, 12)]], np.float32)
    return Asked(RATES[device], (tensor_bytes(x), tensor_bytes(np.array([device.encode()], object))))


def with_context(chance: random.Random) -> Asked:
    """Return a request of which the log has the vector, as of a route that declares `HEADERS`."""
    device = chance.choice(("phone", "desktop"))
    vector = encoder_of(parse_spec(declared(HEADERS)).bandit.context).encode([device])
    return Asked(RATES[device], vector=pack(vector))


def decide(logged: LoggedBandit, buckets: int = 20, first: int = 0) -> None:
    for bucket in range(first, first + buckets):
        logged.decide(100, BEGAN_S + 10 * bucket)


def simulated(home, context: Mapping[str, object], names: Mapping[str, tuple[str, ...]] | None = None, **more: object):
    spec = parse_spec(declared(context, **more))
    seen = DeclaredContext(spec.bandit.context, encoder_of(spec.bandit.context), names or {})
    return simulate(
        DirectoryFiles(home / "log"), home / "spool", spec, learner(spec), lambda *_: None, runs=2, context=seen
    )


@pytest.mark.parametrize("columns", [(), ("age", "height")])
def test_inputs_are_read_where_the_log_has_their_values(tmp_path, columns):
    decide(LoggedBandit(tmp_path, SPLIT, ask=with_inputs, manifest=manifest(columns)))
    found = simulated(tmp_path, INPUTS, {"x": columns} if columns else None)
    assert found.decisions == 2000
    assert found.left_out == {}
    assert found.logged == pytest.approx(1 / 3, abs=0.05)
    assert found.predicted > 0.5
    assert found.snips == pytest.approx(found.predicted, abs=0.05)
    assert found.notes[-1] == "The weights at the end are those of an average request."


def test_the_vectors_of_inputs_are_those_that_the_gateway_makes(tmp_path):
    seen = DeclaredContext((context := parse_spec(declared(INPUTS)).bandit.context), encoder_of(context))
    rows = [[2.5, None], [float("nan"), None], [11.0, None]], [[None, "phone"], [None, ""], [None, "tv"]]
    expected = [[2.5, "phone"], [float("nan"), ""], [11.0, "tv"]]
    assert seen.vectors([None] * 3, *rows).tolist() == [list(seen.encoder.encode(each)) for each in expected]


def test_truth_values_are_the_words_true_and_false():
    context = parse_spec(declared({"inputs.member": ["true", "false"], "inputs.count": ["0", "1"]})).bandit.context
    seen = DeclaredContext(context, encoder_of(context))
    found = seen.vectors([None, None], [[1.0, 1.0], [0.0, 3.0]], [[None, None]] * 2)
    assert found.tolist() == [list(seen.encoder.encode(each)) for each in ([True, 1], [False, 3])]


def test_the_logged_context_is_used_where_the_route_declared_the_same(tmp_path):
    explored = declared(HEADERS, {"linear-epsilon-greedy": {"epsilon": 1}})
    logged = LoggedBandit(tmp_path, SPLIT, ask=with_inputs, manifest=manifest())
    decide(logged, 3)
    logged.ask = with_context
    logged.command(Declare(parse_spec(explored), 0.0), BEGAN_S + 30)
    decide(logged, 20, first=3)
    found = simulated(tmp_path, HEADERS)
    assert found.decisions == 2000
    assert found.left_out == {"the log has no headers.x-device of them": 300}
    assert found.predicted > 0.5


@pytest.mark.parametrize(
    "context",
    [HEADERS | {"parameters.age": {"from": 0, "to": 9}}, {"headers.x-device": ["desktop", "phone"]}],
)
def test_headers_of_another_context_are_refused_with_what_to_do(tmp_path, context):
    decide(LoggedBandit(tmp_path, declared(HEADERS, burn_in=10**6), ask=with_context), 5)
    with pytest.raises(AnalysisRefused) as refused:
        simulated(tmp_path, context)
    assert str(refused.value) == (
        f"The log does not have {', '.join(context)} of these requests. It keeps a context where the route declares "
        "it: first let route shop run with this very context, such as with `policy: {linear-epsilon-greedy: "
        "{epsilon: 1}}`, which draws all arms evenly. Otherwise only values of inputs that the log keeps can be used."
    )


def test_inputs_that_the_log_does_not_have_are_refused(tmp_path):
    decide(LoggedBandit(tmp_path, SPLIT, ask=with_inputs, manifest=manifest(("age", "height"))), 5)
    for names in (None, {"x": ("age",)}):
        with pytest.raises(AnalysisRefused, match=r"does not have inputs\.x\.1, inputs\.device of these requests"):
            simulated(tmp_path, INPUTS, names)


def test_an_arm_that_the_log_lacks_is_refused(tmp_path):
    even = SPLIT | {"split": {"a": "50%", "b": "50%", "c": "0%"}}
    decide(LoggedBandit(tmp_path, even, ask=with_inputs, manifest=manifest()), 5)
    with pytest.raises(AnalysisRefused, match="says nothing of arm c"):
        simulated(tmp_path, INPUTS)


def test_rows_without_the_weights_of_their_requests_are_left_out(tmp_path):
    logged = LoggedBandit(tmp_path, declared(HEADERS, burn_in=10**6), ask=with_context)
    decide(logged, 20)
    logged.ask = lambda chance: with_context(chance)._replace(propensity=0.7)
    decide(logged, 2, first=20)
    found = simulated(tmp_path, HEADERS)
    assert found.decisions == 2000
    assert found.left_out == {"the log lacks the weights of their requests": 200}
