"""Scopes and routes."""

import pytest

from gateway.access.caller import SCOPES, Caller, describe, read_grants
from gateway.errors import Forbidden

FRAUD, BOTH = frozenset({"fraud"}), frozenset({"fraud", "ranker"})


@pytest.mark.parametrize(
    ("scopes", "routes", "granted"),
    [
        ([], None, {}),
        (["predict"], None, {"predict": None}),
        (["predict:fraud"], None, {"predict": FRAUD}),
        (["predict:fraud", "predict:ranker"], None, {"predict": BOTH}),
        (["predict:fraud", "predict"], None, {"predict": None}),
        (["predict", "predict:fraud"], None, {"predict": None}),
        (["predict", "read"], ["fraud"], {"predict": FRAUD, "read": FRAUD}),
        (["predict:ranker", "read"], ["fraud"], {"read": FRAUD}),
        (["predict:fraud", "predict"], ["fraud", "ranker"], {"predict": BOTH}),
        (["predict"], [], {}),
        (["openid", "profile", "PREDICT", "predictive", ""], None, {}),
        (["predict:"], None, {"predict": frozenset({""})}),
    ],
)
def test_grants_are_read_within_the_limit(scopes, routes, granted):
    assert read_grants(scopes, routes) == granted


@pytest.mark.parametrize("held", SCOPES)
def test_no_scope_implies_another(held):
    caller = Caller("key x", read_grants([held], None))
    assert [scope for scope in SCOPES if caller.may(scope, "fraud")] == [held]


def test_a_limit_to_routes_does_not_cover_what_concerns_all_routes():
    caller = Caller("key x", read_grants(["read"], ["fraud"]))
    assert caller.may("read", "fraud")
    assert not caller.may("read", "ranker")
    assert not caller.may("read", None)


def test_an_unknown_scope_is_never_granted():
    assert not Caller("key x", read_grants(SCOPES, None)).may("everything", None)


@pytest.mark.parametrize(("route", "where"), [("ranker", "on route ranker"), (None, "on what concerns all routes")])
def test_a_refusal_names_the_missing_scope_and_the_grants(route, where):
    caller = Caller("key checkout", read_grants(["predict", "read:ranker", "read:fraud"], ["fraud", "ranker"]))
    caller.require("read", "ranker")
    with pytest.raises(Forbidden, match="The key checkout has no scope operate " + where) as refused:
        caller.require("operate", route)
    assert "read on fraud, ranker" in str(refused.value)


def test_nothing_is_described_as_nothing():
    assert describe({}) == "no scope at all"
