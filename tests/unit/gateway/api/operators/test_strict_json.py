"""A body with a key twice is refused: the operator meant one of the two values, and the gateway cannot know which."""

import pytest

from gateway.api.operators.strict_json import refuse_repeated_keys
from gateway.errors import BadRequest


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"a": 1, "a": 1}}]', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_is_there_twice_is_refused(body):
    with pytest.raises(BadRequest, match="The body has the key 'a' twice"):
        refuse_repeated_keys(body)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": {"b": 1}, "b": {"a": 1}}', b"[" * 100_000])
def test_what_has_no_key_twice_or_is_no_json_is_left_to_the_parser(body):
    refuse_repeated_keys(body)


@pytest.mark.parametrize("size", [0, 70_000])
def test_no_document_of_the_api_is_taken_with_a_key_twice(gateway, size):
    why = "x" * size
    headers = {"content-type": "application/json", "if-none-match": "*"}
    spec = '{"arms": {"a": "linear:1"}, "split": {"a": 1}, "split": {"a": 1}}'
    for method, path, body in (
        ("PUT", "/api/routes/twice", spec),
        ("POST", "/api/apply", f'{{"why": "{why}", "routes": [{{"spec": {spec}, "expected": 0}}]}}'),
        ("POST", "/api/routes/half/shift", '{"weights": {"a": 50, "a": 60}}'),
        ("POST", "/api/routes/half/release", '{"version": "1", "version": "2"}'),
    ):
        refused = gateway.http.request(method, path, content=body, headers=headers)
        assert refused.status_code == 400, path
        assert "twice in one object" in refused.json()["error"]
