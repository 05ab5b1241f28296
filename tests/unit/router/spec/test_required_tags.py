"""The tags that a version must have before an alias leads to it."""

import pytest

from router.errors import Rejected
from router.spec.required_tags import MAX_TAGS, missing_tags, parse_required_tags


def test_tags_are_texts():
    assert parse_required_tags({"approved": "true", "team": "risk"}) == {"approved": "true", "team": "risk"}
    assert parse_required_tags(None) is None
    assert parse_required_tags({}) is None


@pytest.mark.parametrize("raw", [{"approved": True}, {"n": 1}, {1: "x"}, {"a": "x" * 251}, {"a": "x\n"}])
def test_a_value_that_is_no_text_is_rejected(raw):
    with pytest.raises(Rejected, match='write true and numbers in quotes: "true"'):
        parse_required_tags(raw)


@pytest.mark.parametrize("raw", ["approved", ["approved"], {str(number): "x" for number in range(MAX_TAGS + 1)}])
def test_something_else_is_rejected(raw):
    with pytest.raises(Rejected, match="require_tags must map at most 16 tags to their values"):
        parse_required_tags(raw)


def test_what_is_missing_is_named():
    required = {"approved": "true", "team": "risk"}
    assert missing_tags(required, {"approved": "false"}) == "approved=true, team=risk"
    assert missing_tags(required, {"approved": "true", "team": "risk", "more": "x"}) == ""
    assert missing_tags(None, {}) == ""
