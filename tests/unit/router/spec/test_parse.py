"""The keys of any declared route, and the sentences that reject them."""

import pytest

from router.errors import Rejected
from router.spec.parse import MAX_ARMS, PLACEMENTS, parse_spec
from router.spec.spec import DEFAULT_ALPHA, ArmRef, RouteSpec
from tests.unit.router.support import SPLIT


def test_a_full_declaration_is_read():
    assert parse_spec(SPLIT) == RouteSpec(
        route="fraud",
        arms={"stable": ArmRef("fraud", alias="champion"), "canary": ArmRef("fraud", version="17")},
        split={"stable": 9000, "canary": 1000},
        seed="spring",
        unit="header:x-user-id",  # names of headers are compared in lower case
        fallbacks={"canary": "stable"},
        trusted_arm="stable",
        deadline_s=0.2,
        batch_wait_s=0.002,
        placement="dedicated",
    )


def test_what_is_not_said_has_a_default():
    spec = parse_spec({"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "split": {"b": 1}})
    assert (spec.seed, spec.unit, spec.fallbacks, spec.trusted_arm, spec.deadline_s) == ("r", None, None, None, None)
    assert (spec.batch_wait_s, spec.placement, spec.alpha, spec.limits) == (None, None, DEFAULT_ALPHA, None)
    assert (spec.guarded_arms, spec.is_exclusive) == ((), False)
    assert spec.split == {"a": 0, "b": 10_000}


def test_the_case_of_a_parameter_is_kept():
    assert parse_spec({**SPLIT, "unit": "parameters.userId"}).unit == "parameters.userId"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"route": None}, "route must be a name.*not None"),
        ({"route": "a/b"}, "route must be a name.*'a/b'"),
        ({"arms": None}, "arms must name at least one arm"),
        ({"arms": {}}, "arms must name at least one arm"),
        ({"arms": ["stable"]}, "arms must name at least one arm"),
        ({"arms": {"a b": "m:1"}}, "An arm's name must be.*'a b'"),
        ({"arms": {1: "m:1"}}, "An arm's name must be.*not 1"),
        ({"arms": {"stable": "fraud"}}, "Arm stable must be bound to model@alias or model:version, not 'fraud'"),
        ({"arms": {"stable": 17}}, "Arm stable must be bound to.*not 17"),
        ({"split": None}, "Route fraud must have one of split, rollout and bandit; it has none"),
        ({"rollout": {}}, "Route fraud must have one of split, rollout and bandit; it has split and rollout"),
        ({"split": None, "bandit": 5}, "bandit must say which policy"),
        ({"split": {}}, "split must give every arm its share"),
        ({"split": [0.9, 0.1]}, "split must give every arm its share"),
        ({"split": {"stable": "90%", "beta": "10%"}}, r"split names arm 'beta'.*\(stable, canary\)"),
        ({"split": {"stable": "90%", "canary": "7%"}}, "sum to 97%; they must sum to 100%"),
        ({"split": {"stable": 0, "canary": 0}}, "sum to 0%"),
        ({"split": {"stable": "most", "canary": "10%"}}, "The weight of arm stable must be a share"),
        ({"split": {"stable": 90, "canary": 10}}, "The weight of arm stable is 90; a share lies between"),
        ({"split": {"stable": None, "canary": 1}}, "The weight of arm stable must be a share.*not None"),
        ({"unit": "x-user-id"}, "unit must be header:<name> or parameters.<name>, not 'x-user-id'"),
        ({"unit": "header:"}, "unit must be"),
        ({"unit": 7}, "unit must be.*not 7"),
        ({"deadline": "200"}, "deadline must be a duration with its unit"),
        ({"deadline": 0.2}, "deadline must be a duration with its unit"),
        (
            {"deadline": "0s"},
            "deadline is 0s; it must be a whole number of microseconds, at least one and at most 365d",
        ),
        ({"deadline": "366d"}, "deadline is 366d; it must be .* at most 365d"),
        ({"batch_wait": 2}, "batch_wait must be a duration with its unit"),
        ({"batch_wait": "0ms"}, "batch_wait is 0ms; it must be a whole number of microseconds, at least one"),
        ({"batch_wait": "1001ms"}, "batch_wait is 1001ms; it may be 1s at most"),
        ({"placement": "gpu"}, "placement must be replica, process or dedicated, not 'gpu'"),
        ({"placement": True}, "placement must be replica, process or dedicated, not True"),
        ({"placement": ["replica"]}, r"placement must be replica, process or dedicated, not \['replica'\]"),
        ({"seed": ""}, "seed must be a non-empty string"),
        ({"seed": 5}, "seed must be a non-empty string"),
        ({"seed": "a\x1f"}, "seed must be a non-empty string of printable characters"),
        ({"seed": "\ud800"}, "seed must be a non-empty string of printable characters"),
        ({"alpha": "much"}, "alpha must be a share"),
        ({"alpha": "0.009%"}, r"alpha is 0.009%; it must lie between 0.01% and 20%"),
        ({"alpha": 0.21}, r"alpha is 0.21; it must lie between 0.01% and 20%"),
        ({"target": ["gold"]}, "target"),
        ({"layer": {"name": "l"}}, "layer must have a name and a range"),
        ({"holdout": "half"}, "holdout must be a share"),
        ({"colour": "red"}, "Unknown key colour in a route; there may be route, arms, split"),
        ({3: 4}, "Unknown key 3 in a route"),
    ],
)
def test_an_illegal_declaration_is_refused_with_a_sentence(change, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**SPLIT, **change})


@pytest.mark.parametrize("raw", [None, [], "route: r", 7])
def test_what_is_no_mapping_is_refused(raw):
    with pytest.raises(Rejected, match="A route must be a mapping"):
        parse_spec(raw)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_placement_may_be_asked_for(placement):
    assert parse_spec({**SPLIT, "placement": placement}).placement == placement


def test_the_longest_wait_for_company_is_a_second():
    assert parse_spec({**SPLIT, "batch_wait": "1s"}).batch_wait_s == 1.0


def test_a_route_has_a_limited_number_of_arms():
    def many(count: int) -> dict[str, object]:
        return {"route": "r", "arms": {f"a{n}": "m:1" for n in range(count)}, "split": {"a0": 1}}

    assert len(parse_spec(many(MAX_ARMS)).arms) == MAX_ARMS
    with pytest.raises(Rejected, match=f"at most {MAX_ARMS} arms; this one has {MAX_ARMS + 1}"):
        parse_spec(many(MAX_ARMS + 1))
