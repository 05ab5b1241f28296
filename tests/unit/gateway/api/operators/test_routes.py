"""Operators change documents: only versions that they have read, and only to what can be served."""

import threading

import httpx
import pytest

from tests.support.polling import wait_until

SPEC = {"arms": {"a": "linear:1", "b": "linear@challenger"}, "split": {"a": "75%", "b": "25%"}}
NEW = {"if-none-match": "*"}


@pytest.fixture
def put(gateway):
    def send(route: str, spec=SPEC, headers=NEW, **more):
        return gateway.http.put(f"/api/routes/{route}", json=spec, headers=headers, **more)

    return send


def refused(response, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    return response.json()["error"]


def test_a_new_route_is_declared_read_and_served(gateway, put):
    response = put("op1", headers={**NEW, "x-operator": "ada"}, params={"why": "because"})
    assert (response.status_code, response.headers["etag"]) == (200, '"1"')
    entry = response.json()
    assert (entry["route"], entry["version"], entry["who"], entry["what"], entry["why"]) == (
        "op1", 1, "ada", "apply", "because",
    )  # fmt: skip
    assert entry["spec"] == {"route": "op1", **SPEC}
    got = gateway.http.get("/api/routes/op1")
    assert (got.json(), got.headers["etag"]) == (entry, '"1"')
    (listed,) = [each for each in gateway.http.get("/api/routes").json() if each["route"] == "op1"]
    assert listed.items() < entry.items()
    wait_until(lambda: gateway.infer("op1").status_code == 200)
    assert gateway.infer("op1", headers={"x-force-arm": "b"}).headers["x-model-version"] == "2"


def test_a_change_names_the_version_it_replaces(gateway, put):
    put("op2")
    assert "Say which version" in refused(put("op2", headers={}), 428)
    assert "is at version 1, not 0" in refused(put("op2", headers=NEW), 409)
    assert "is at version 1, not 7" in refused(put("op2", headers={"if-match": '"7"'}), 409)
    assert 'must be a version such as "3"' in refused(put("op2", headers={"if-match": "new"}), 400)
    assert gateway.http.get("/api/routes/op2").json()["version"] == 1
    response = put("op2", headers={"if-match": '"1"'})
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    assert refused(put("op2", headers={"if-match": '"1"'}), 409)


def test_a_version_of_a_route_that_is_not_there_conflicts(put):
    assert "is at version 0, not 3" in refused(put("op3", headers={"if-match": '"3"'}), 409)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({**SPEC, "split": {"a": "80%", "b": "25%"}}, "must sum to 100%"),
        ({**SPEC, "arms": {}}, "arms"),
        ({**SPEC, "colour": "red"}, "Unknown key colour"),
        ({**SPEC, "route": "other"}, "The path names route opbad, the document route other"),
        ({**SPEC, "fallback": "z"}, "fallback names 'z'"),
        ({**SPEC, "deadline": "soon"}, "deadline must be a duration"),
        ({"arms": {"a": "linear:9"}, "split": {"a": 1}}, "has no version '9'"),
        ({"arms": {"a": "linear@nobody"}, "split": {"a": 1}}, "has no alias 'nobody'"),
        ({"arms": {"a": "nothing:1"}, "split": {"a": 1}}, "no model 'nothing'"),
        ({"arms": {"a": "damaged:1"}, "split": {"a": 1}}, "was changed or damaged"),
        ({"arms": {"a": "linear:1", "b": "wide:1"}, "split": {"a": 1, "b": 0}}, "another signature"),
    ],
)
def test_a_bad_document_is_refused_and_leaves_everything_as_it_was(gateway, put, spec, sentence):
    before = gateway.http.get("/api/routes").json()
    assert sentence in refused(put("opbad", spec), 400)
    assert refused(gateway.http.get("/api/routes/opbad"), 404)
    assert gateway.http.get("/api/routes").json() == before
    assert gateway.infer().status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"1", b'{"arms": "\xff"}'])
def test_a_body_that_is_no_document_is_refused(gateway, content):
    headers = {**NEW, "content-type": "application/json"}
    refused(gateway.http.put("/api/routes/opbad", content=content, headers=headers), 400)


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        (b'{"\\ud800": 1}', {b"if-none-match": b"*"}),  # the error sentence repeats the key, which UTF-8 cannot encode
        (
            b'{"arms":{"a":"linear:1"},"split":{"a":1}}',
            {b"if-match": b"\xb2"},
        ),  # a superscript two, which is a digit
        (b'{"arms":{"a":"linear:1"},"split":{"a":1}}', {b"if-match": b"9" * 5000}),
    ],
    ids=["lone surrogate", "superscript", "many digits"],
)
def test_illegal_input_is_refused_with_a_sentence(gateway, content, condition):
    headers = {b"content-type": b"application/json", **condition}
    url = f"http://127.0.0.1:{gateway.port}/api/routes/opbad"
    with httpx.Client(trust_env=False) as own:  # the server may close the connection after such a request
        response = own.put(url, content=content, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]


def test_a_shift_moves_weight_and_is_kept_in_the_history(gateway, put):
    put("op4")
    body = {"weights": {"b": "40%"}, "why": "it is better"}
    response = gateway.http.post("/api/routes/op4/shift", json=body, headers={"x-operator": "bob"})
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    assert response.json()["spec"]["split"] == {"a": "60%", "b": "40%"}
    newest, oldest = gateway.http.get("/api/routes/op4/history").json()
    assert (newest["version"], newest["who"], newest["what"], newest["why"]) == (
        2,
        "bob",
        "shift b=40%",
        "it is better",
    )
    assert (oldest["version"], oldest["what"]) == (1, "apply")
    assert len(gateway.http.get("/api/routes/op4/history", params={"limit": 1}).json()) == 1
    wait_until(lambda: gateway.infer("op4", headers={"x-force-arm": "a"}).status_code == 200)
    wait_until(lambda: {gateway.infer("op4").headers["x-propensity"] for _ in range(9)} <= {"0.6", "0.4"})


@pytest.mark.parametrize(
    ("weights", "status"),
    [
        ({"z": 10}, 400),
        ({"a": 80, "b": 30}, 400),
        ({"a": "much"}, 400),
        ({"a": -1}, 400),
        ({}, 400),
        ({"a": [1]}, 400),
        pytest.param({"b": True}, 400),
    ],
)
def test_a_shift_that_is_not_allowed_changes_nothing(gateway, put, weights, status):
    put("op5")
    before = gateway.http.get("/api/routes/op5").json()
    refused(gateway.http.post("/api/routes/op5/shift", json={"weights": weights}), status)
    assert gateway.http.get("/api/routes/op5").json() == before


def test_shifts_at_once_are_all_applied(gateway, put):
    put("op6")
    shifts = [
        threading.Thread(
            target=gateway.http.post, args=("/api/routes/op6/shift",), kwargs={"json": {"weights": {"b": w}}}
        )
        for w in (10, 20, 30)
    ]
    for thread in shifts:
        thread.start()
    for thread in shifts:
        thread.join()
    assert gateway.http.get("/api/routes/op6").json()["version"] == 4


@pytest.mark.parametrize("path", ["", "/history"])
def test_an_unknown_route_is_404(gateway, path):
    assert "There is no route 'nowhere'" in refused(gateway.http.get(f"/api/routes/nowhere{path}"), 404)


def test_shifting_an_unknown_route_is_404(gateway):
    refused(gateway.http.post("/api/routes/nowhere/shift", json={"weights": {"a": 1}}), 404)


def test_status_shows_what_is_wanted_and_what_is_served(gateway, put):
    put("op7")

    def status() -> dict:
        return gateway.http.get("/api/status").json()

    def route() -> dict:
        return next(each for each in status()["routes"] if each["route"] == "op7")

    wait_until(lambda: route()["converged"])
    (replica,) = status()["replicas"]
    assert route()["applied"] == {replica["replica"]: 1}
    assert (replica["state"], replica["problems"]) == ("LIVE", {})
    assert replica["routes"]["op7"] == 1
    assert replica["age_s"] < 5


def test_models_are_those_that_the_replica_holds(gateway):
    held = {(each["model"], each["version"]): each["state"] for each in gateway.http.get("/api/models").json()}
    assert held["linear", "1"] == held["linear", "2"] == "READY"
