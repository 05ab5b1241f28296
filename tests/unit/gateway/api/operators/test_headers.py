"""The version of a document that If-Match and If-None-Match name."""

import pytest

from gateway.api.operators.headers import replaced_version, seen_version
from gateway.errors import BadRequest, PreconditionMissing


@pytest.mark.parametrize(
    ("header", "version"), [(None, None), ('"3"', 3), (" 12 ", 12), ('"0"', 0), ("9" * 18, 10**18 - 1)]
)
def test_a_version_is_read(header, version):
    assert seen_version(header) == version


@pytest.mark.parametrize("header", ["", "*", "-1", "1.0", 'W/"1"', "\xb2", "9" * 19, '"1", "2"'])
def test_what_is_no_version_is_refused(header):
    with pytest.raises(BadRequest, match="must be a version"):
        seen_version(header)


def test_whoever_replaces_says_what():
    assert replaced_version(None, "*") == 0
    assert replaced_version('"7"', "*") == 7
    for if_none_match in (None, '"1"'):
        with pytest.raises(PreconditionMissing, match="Say which version"):
            replaced_version(None, if_none_match)


def test_a_change_has_the_id_that_its_client_gave(gateway):
    spec = {"arms": {"a": "linear:1"}, "split": {"a": "100%"}}
    headers = {"if-none-match": "*", "x-change-id": "mine-1"}
    assert gateway.http.put("/api/routes/named-change", json=spec, headers=headers).json()["change_id"] == "mine-1"
    (entry,) = gateway.http.get("/api/routes/named-change/history").json()
    assert entry["change_id"] == "mine-1"
    refused = gateway.http.put("/api/routes/named-change", json=spec, headers={"if-match": "1", "x-change-id": "a b"})
    assert refused.status_code == 400
