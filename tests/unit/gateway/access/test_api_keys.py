"""How API keys are made."""

import hashlib
import math
import re

import pytest

from gateway.access.api_keys import LENGTH, make_key, state


def made(name="checkout", scopes=("predict",), **more):
    return make_key(name, scopes, created_by="ada", now_s=1000.0, **more)


def test_a_key_is_shown_in_full_and_stored_as_a_digest():
    key, shown = made()
    assert re.fullmatch(r"pk_[0-9a-f]{12}_[0-9a-f]{64}", shown)
    assert len(shown) == LENGTH
    assert shown.split("_")[1] == key.id
    assert key.digest == hashlib.sha256(shown.encode()).digest()
    assert shown.split("_")[2] not in repr(key)


def test_keys_differ():
    assert len({made()[1].split("_")[2] for _ in range(100)}) == 100
    assert len({made()[0].id for _ in range(100)}) == 100


def test_all_arguments_are_in_the_record():
    key, _ = made(scopes=["predict", "read:fraud"], routes=["fraud"], rate_per_s=2.5, burst=7, expires_at_s=2000.0)
    assert (key.name, key.scopes, key.routes) == ("checkout", ("predict", "read:fraud"), ("fraud",))
    assert (key.rate_per_s, key.burst, key.expires_at_s, key.revoked_at_s) == (2.5, 7, 2000.0, None)
    assert (key.created_at_s, key.created_by) == (1000.0, "ada")


@pytest.mark.parametrize(("rate_per_s", "burst"), [(100, 100), (2.5, 3), (0.1, 1), (None, 1)])
def test_without_a_burst_a_seconds_worth_may_come_at_once(rate_per_s, burst):
    assert made(rate_per_s=rate_per_s)[0].burst == burst


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": ""}, "A key's name"),
        ({"name": "x" * 65}, "A key's name"),
        ({"name": "smörgås"}, "A key's name"),
        ({"name": "two\nlines"}, "A key's name"),
        ({"scopes": ()}, "at least one scope"),
        ({"scopes": ("admin",)}, "'admin' is no scope"),
        ({"scopes": ("predict:",)}, "'predict:' is no scope"),
        ({"scopes": ("predict:ranker",), "routes": ["fraud"]}, "outside the routes"),
        ({"routes": []}, "outside the routes"),
        ({"burst": 5}, "A burst needs a rate"),
        ({"rate_per_s": 0}, "A rate is"),
        ({"rate_per_s": -1}, "A rate is"),
        ({"rate_per_s": math.nan}, "A rate is"),
        ({"rate_per_s": math.inf}, "A rate is"),
        ({"rate_per_s": 1, "burst": 0.5}, "A burst is"),
        ({"rate_per_s": 1, "burst": math.nan}, "A burst is"),
        ({"expires_at_s": 1000.0}, "later than now"),
        ({"expires_at_s": math.nan}, "later than now"),
        ({"expires_at_s": math.inf}, "later than now"),
    ],
)
def test_arguments_that_are_not_valid_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(**arguments)


def test_a_key_is_active_until_it_expires_or_is_revoked():
    key, _ = made(expires_at_s=2000.0)
    assert [state(key, now_s) for now_s in (1000.0, 1999.9, 2000.0)] == ["ACTIVE", "ACTIVE", "EXPIRED"]
    assert state(made()[0], 1e12) == "ACTIVE"
