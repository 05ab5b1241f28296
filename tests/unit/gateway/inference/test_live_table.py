"""The live table: what is computed once per snapshot. Log contexts and response headers."""

from dataclasses import replace

import pytest

from gateway.inference.live_table import EMPTY, LiveTableHolder, find_route
from router.document.document import Candidate
from router.errors import UnknownRoute
from runtimes.errors import ModelFailed


class Silent:
    """A runtime that never runs."""

    def __init__(self, signature) -> None:
        self.unbatched_because = ""
        self.signature = signature

    def run(self, inputs, outputs):  # noqa: ARG002  # the Protocol's names
        raise ModelFailed("not to be run")


def test_contexts_say_what_does_not_change(join_live, signature):
    live = join_live({"a": Silent(signature), "b": Silent(signature)}).routes["r"]
    first, second = live.arms
    assert (first.primary.arm, first.primary.role, first.fallback.role) == ("a", "primary", "fallback")
    assert first.primary.weights == second.primary.weights == {"a": 1.0, "b": 0.0}
    assert (first.primary.features, first.primary.inputs) == (("X_0", "X_1"), ("<f4",))
    assert (first.primary.label, first.primary.prediction) == ((0, "<i8"), (1, "<f4"))
    assert (second.primary.model_name, second.primary.model_version) == ("m", "1")
    assert (live.rejected.arm, live.rejected.features, live.rejected.label) == ("", (), None)
    assert dict(second.headers) == {b"x-arm": b"b", b"x-model-version": b"1"}
    assert (second.lane.key.version.version, second.lane.key.placement) == ("1", "replica")
    assert second.manifest.signature == live.signature == signature


def test_nothing_is_served_at_first():
    with pytest.raises(UnknownRoute, match="there are none yet"):
        find_route(EMPTY, "r")


def test_shadows_have_lanes_and_contexts_of_their_own_against_each_arm(join_live, signature):
    runtime = Silent(signature)
    live = join_live(
        {"a": runtime, "b": runtime},
        beside={"m:9": runtime},
        fallback="a",
        shadow=[{"arm": "m:9", "placement": "replica", "tolerance": 0.25}],
        guardrails=[{"slower_than": "50ms", "worse_by": "1%"}],
    ).routes["r"]
    (shadow,) = live.shadows
    assert (shadow.shadow.name, shadow.lane.key.is_shadow, shadow.lane.key.version.version) == ("m:9", True, "9")
    assert [(context.role, context.arm, context.against) for context in shadow.contexts] == [
        ("shadow", "m:9", "a"),
        ("shadow", "m:9", "b"),
    ]
    assert {(context.model_name, context.model_version) for context in shadow.contexts} == {("m", "9")}
    assert (shadow.label, shadow.prediction, shadow.tolerance, shadow.logged_outputs) == (0, 1, 0.25, (0, 1))
    assert live.arms[0].primary.slower_than_us == (50_000,)
    assert live.targeting is None


def test_a_shadow_that_is_not_there_is_left_out(join_live, signature):
    live = join_live({"a": Silent(signature)}, shadow=[{"arm": "m:9"}]).routes["r"]
    assert live.shadows == ()


def test_a_holder_says_which_versions_serve_a_route_now(join_live, signature):
    holder = LiveTableHolder()
    assert holder.candidates("r") is None
    holder.current = join_live({"a": Silent(signature), "b": Silent(signature)})
    assert holder.candidates("r") == {"a": Candidate("0", "0" * 64), "b": Candidate("1", "0" * 64)}
    assert holder.candidates("elsewhere") is None


def test_an_unknown_model_is_answered_with_at_most_a_few_names():
    live = replace(EMPTY, routes=dict.fromkeys([f"fraud-{number}" for number in range(1000)] + ["ranker"]))
    for name in ("rankr", "fraud-10000", "nothing-like-it", "x" * 100_000, "\x1b[2J"):
        with pytest.raises(UnknownRoute) as refused:
            find_route(live, name)
        sentence = str(refused.value)
        assert sentence.startswith("Request for unknown model: ")
        assert len(sentence) < 300
        assert sentence.isprintable()
        assert sentence.count("fraud-") <= 4
    with pytest.raises(UnknownRoute, match=r"did you mean ranker\?"):
        find_route(live, "rankr")
