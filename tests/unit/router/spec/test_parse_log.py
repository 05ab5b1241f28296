"""What a route declares of its log."""

import pytest

from router.errors import Rejected
from router.spec.log import DEFAULT_LOG, Durability, LogSpec, RedactAction, Redaction
from router.spec.parse import parse_spec
from router.spec.parse_log import parse_log, unparse_log
from tests.unit.router.support import SPLIT

REDACT = {"age": "bucket 10", "email": "hmac", "name": "drop", "postcode": "truncate 3", "iban": "mask"}


def test_without_the_key_everything_but_bodies_is_kept():
    assert parse_log(None) == parse_log({}) == parse_spec(SPLIT).log == DEFAULT_LOG
    assert LogSpec(Durability.DURABLE, 10_000, False, {}) == DEFAULT_LOG
    assert unparse_log(DEFAULT_LOG) == {}


def test_a_log_is_written_as_it_is_read():
    declared = {"durability": "best_effort", "sample": "10%", "redact": REDACT}
    spec = parse_log(declared)
    assert spec.durability is Durability.BEST_EFFORT
    assert spec.sample_slots == 1000
    assert spec.redact == {
        "age": Redaction(RedactAction.BUCKET, 10.0),
        "email": Redaction(RedactAction.HMAC),
        "name": Redaction(RedactAction.DROP),
        "postcode": Redaction(RedactAction.TRUNCATE, 3.0),
        "iban": Redaction(RedactAction.MASK),
    }
    assert unparse_log(spec) == declared
    assert parse_log({"payloads": True}).payloads
    assert unparse_log(parse_log({"durability": "strict"})) == {"durability": "strict"}


@pytest.mark.parametrize("width", ["10", "0.5", "123456789.012345", "0.000001"])
def test_a_width_is_kept_exactly(width):
    assert unparse_log(parse_log({"redact": {"age": f"bucket {width}"}})) == {"redact": {"age": f"bucket {width}"}}


@pytest.mark.parametrize("name", ["a b", "Ärger", "\x00", "'; DROP TABLE", "a\n", "⚑" * 256])
def test_a_feature_may_have_any_name(name):
    assert list(parse_log({"redact": {name: "drop"}}).redact) == [name]


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("10%", "log must be a mapping"),
        ({"samples": 1}, "Unknown key samples in log; there may be durability, sample, payloads, redact"),
        ({"durability": "safe"}, "must be best_effort, durable, strict, not 'safe'"),
        ({"durability": ["strict"]}, "must be best_effort"),
        ({"sample": 0}, "log.sample is 0; it must be 0.01% to 100%"),
        ({"sample": "0.015%"}, "with at most two decimals"),
        ({"sample": "half"}, "log.sample must be a share"),
        ({"payloads": "yes"}, "log.payloads must be true or false"),
        ({"payloads": True, "redact": {"a": "drop"}}, "log has payloads and redact. A body holds every value"),
        ({"redact": ["a"]}, "log.redact must map at most 256 names"),
        ({"redact": {str(each): "drop" for each in range(257)}}, "log.redact must map at most 256 names"),
        ({"redact": {1: "drop"}}, "has the name 1, which is no text"),
        ({"redact": {"": "drop"}}, "has the name ''"),
        ({"redact": {"\ud800": "drop"}}, "which is no text"),
        ({"redact": {"a" * 257: "drop"}}, "at most 256 characters"),
        ({"redact": {"a": "delete"}}, r"log.redact.a must be drop, hmac, mask, `truncate N` or `bucket WIDTH`"),
        ({"redact": {"a": 10}}, "must be drop, hmac"),
        ({"redact": {"a": "hmac 3"}}, "hmac takes no number"),
        ({"redact": {"a": "truncate"}}, "must say how many characters stay, 1 to 64"),
        ({"redact": {"a": "truncate 0"}}, "1 to 64"),
        ({"redact": {"a": "truncate 65"}}, "1 to 64"),
        ({"redact": {"a": "truncate 9999999990"}}, "1 to 64"),
        ({"redact": {"a": "truncate ²"}}, "1 to 64"),
        ({"redact": {"a": "bucket"}}, "must say a width above 0"),
        ({"redact": {"a": "bucket 0"}}, "must say a width above 0"),
        ({"redact": {"a": "bucket -1"}}, "must say a width above 0"),
        ({"redact": {"a": "bucket nan"}}, "must say a width above 0"),
        ({"redact": {"a": "bucket 1e400"}}, "must say a width above 0"),
    ],
)
def test_what_is_refused(declared, why):
    with pytest.raises(Rejected, match=why.replace("(", r"\(").replace(".", r"\.")):
        parse_log(declared)


BANDIT = {
    "route": "prices",
    "arms": {"a": "price@low", "b": "price@high"},
    "metrics": {"sale": {"window": "1h"}},
    "bandit": {"reward": "sale", "policy": "thompson"},
}


def test_a_bandit_keeps_all_its_decisions():
    with pytest.raises(Rejected, match="a bandit's decisions must all be there"):
        parse_spec({**BANDIT, "log": {"sample": "50%"}})
    assert parse_spec({**BANDIT, "log": {"redact": {"age": "drop"}}}).log.redact


def test_what_a_bandit_sees_of_a_request_cannot_be_hidden():
    seen = {"bandit": {"reward": "sale", "policy": "thompson", "context": {"inputs.X.3": {"from": 0, "to": 9}}}}
    with pytest.raises(Rejected, match="hides a value of input X, and the log keeps what the bandit sees"):
        parse_spec({**BANDIT, **seen, "log": {"redact": {"X_3": "drop"}}})
    with pytest.raises(Rejected, match="hides a value of input X"):
        parse_spec({**BANDIT, **seen, "log": {"redact": {"X": "drop"}}})
    assert parse_spec({**BANDIT, **seen, "log": {"redact": {"X_2": "drop"}}}).log.redact


def test_a_check_of_versions_needs_values_as_they_came():
    with pytest.raises(Rejected, match="check asks a version logged requests again, and log"):
        parse_spec({**SPLIT, "check": {"logged": 10}, "log": {"redact": {"age": "drop"}}})
