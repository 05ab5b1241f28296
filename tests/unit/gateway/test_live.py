"""What is computed once per snapshot: the log's contexts and the answer's headers."""

import pytest

from gateway.live import EMPTY, find_route
from router.errors import UnknownRoute
from runtimes.errors import ModelFailed


class Silent:
    """A runtime that is never run."""

    def __init__(self, signature) -> None:
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
