"""Shadows as operators declare them."""

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.parse_shadows import MAX_SHADOWS
from router.spec.spec import ArmRef, ShadowSpec

SPLIT = {"route": "r", "arms": {"a": "m:1", "b": "m:2", "c": "m:3"}, "split": {"a": 1}}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"arm": "m:17"}, ShadowSpec(10_000, ref=ArmRef("m", version="17"))),
        ({"arm": "m@next", "sample": "20%"}, ShadowSpec(2000, ref=ArmRef("m", alias="next"))),
        ({"arm": "b", "against": "a"}, ShadowSpec(10_000, arm="b", against=("a",))),
        ({"arm": "b", "against": ["a", "c", "a"]}, ShadowSpec(10_000, arm="b", against=("a", "c"))),
        (
            {"arm": "b", "deadline": "60s", "placement": "dedicated", "tolerance": 1},
            ShadowSpec(10_000, arm="b", deadline_s=60.0, placement="dedicated", tolerance=1.0),
        ),
    ],
)
def test_a_shadow_is_an_arm_or_another_version(raw, expected):
    assert parse_spec({**SPLIT, "shadow": [raw]}).shadows == (expected,)


def test_a_shadow_is_called_by_its_arm_or_version():
    shadows = parse_spec({**SPLIT, "shadow": [{"arm": "b"}, {"arm": "m:17"}, {"arm": "m@next"}]}).shadows
    assert [shadow.name for shadow in shadows] == ["b", "m:17", "m@next"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"arm": "b"}, f"shadow must be a list of at most {MAX_SHADOWS}"),
        ([{"arm": f"m:{n}"} for n in range(MAX_SHADOWS + 1)], "shadow must be a list of at most"),
        (["b"], r"shadow\[0\] must be a mapping such as"),
        ([{"arm": "b"}, {"arm": "b", "sample": 0.5}], "shadow names b twice"),
        ([{"arm": "m:4"}, {"arm": "m:4"}], "shadow names m:4 twice"),
        (
            [{}],
            r"shadow\[0\].arm is no arm of the route, so it must be bound to model@alias or model:version, not None",
        ),
        ([{"arm": "z"}], r"shadow\[0\].arm is no arm of the route, so it must be bound to .*, not 'z'"),
        ([{"arm": ["b"]}], r"shadow\[0\].arm is no arm of the route"),
        ([{"arm": "b", "share": 1}], r"Unknown key share in shadow\[0\]; there may be arm, sample"),
        ([{"arm": "b", "sample": "0%"}], r"shadow\[0\].sample is nothing; the least is 0.01%"),
        ([{"arm": "b", "sample": 20}], r"shadow\[0\].sample is 20; a share lies between"),
        ([{"arm": "b", "against": "z"}], r"shadow\[0\].against names 'z', which is not among the arms \(a, b, c\)"),
        ([{"arm": "b", "against": [["a"]]}], r"shadow\[0\].against names \['a'\]"),
        ([{"arm": "b", "against": {"a": 1}}], r"shadow\[0\].against names {'a': 1}"),
        ([{"arm": "b", "against": "b"}], r"shadow\[0\].against names b itself"),
        ([{"arm": "b", "deadline": 1}], r"shadow\[0\].deadline must be a duration"),
        ([{"arm": "b", "deadline": "61s"}], r"shadow\[0\].deadline may be 60s at most"),
        ([{"arm": "b", "placement": "gpu"}], "placement must be replica, process or dedicated, not 'gpu'"),
        ([{"arm": "b", "tolerance": True}], "tolerance must be a number that is not negative, not True"),
        ([{"arm": "b", "tolerance": "1"}], "tolerance must be a number"),
        ([{"arm": "b", "tolerance": float("nan")}], "tolerance must be a number"),
        ([{"arm": "b", "tolerance": float("inf")}], "tolerance must be a number"),
        ([{"arm": "b", "tolerance": 10**400}], "tolerance must be a number.*not a number of over 40 digits"),
    ],
)
def test_an_illegal_shadow_is_refused_with_a_sentence(raw, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**SPLIT, "shadow": raw})
