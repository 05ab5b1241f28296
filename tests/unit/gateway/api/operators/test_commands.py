"""Commands over HTTP: what each does to the document, on which version, and what is rejected."""

import re

import pytest

from gateway.control.replica_view import ReplicaView
from registry_sync.catalogue import Catalogue
from router.document.document import Candidate
from tests.unit.gateway.api.operators.support import ROLLOUT, SPLIT, Operated, refused


@pytest.fixture
def operated(registry, tmp_path):
    with Operated(registry, tmp_path / "store.db") as operated:
        yield operated


@pytest.fixture
def split(operated):
    operated.declare("r", SPLIT)
    return operated


@pytest.fixture
def rollout(operated):
    operated.declare("r", ROLLOUT)
    return operated


def test_a_rollout_is_started_paused_resumed_and_promoted(rollout):
    seen = []
    for command in ("start", "pause", "resume", "promote"):
        response = rollout.request("POST", f"/api/routes/r/{command}", {"why": "a test"}, headers={"x-operator": "ada"})
        entry = response.json()
        assert (response.status_code, response.headers["etag"]) == (200, f'"{entry["version"]}"')
        assert (entry["who"], entry["what"], entry["why"]) == ("ada", command, "a test")
        seen.append((entry["rollout"]["phase"], entry["rollout"]["step"], entry["weights"]["canary"]))
    assert seen == [
        ("PROGRESSING", 1, "5%"),
        ("PAUSED", 1, "5%"),
        ("PROGRESSING", 1, "5%"),
        ("PROMOTED", 3, "100%"),
    ]
    assert rollout.get("/api/routes/r")["rollout"]["candidate"] == "linear:2"


def test_a_body_may_be_left_out(rollout):
    assert rollout.request("POST", "/api/routes/r/start").json()["why"] == ""


def test_what_is_aborted_is_in_quarantine_until_it_is_released(rollout):
    rollout.make("r", "start")
    entry = rollout.make("r", "abort", why="it is bad")
    (held,) = entry["quarantine"]
    assert (entry["weights"], entry["rollout"]["phase"]) == ({"stable": "100%", "canary": "0%"}, "ABORTED")
    assert (held["model"], held["version"], held["why"]) == ("linear", "2", "it is bad")
    assert "is in quarantine: it is bad" in refused(rollout.request("POST", "/api/routes/r/start"), 400)
    assert rollout.make("r", "release", version="2")["quarantine"] == []
    assert rollout.make("r", "start")["rollout"]["phase"] == "PROGRESSING"


def test_who_aborts_without_a_reason_is_the_reason(rollout):
    rollout.make("r", "start")
    response = rollout.request("POST", "/api/routes/r/abort", headers={"x-operator": "ada"}).json()
    assert (response["why"], response["quarantine"][0]["why"]) == ("", "ada aborted it.")


def test_an_arm_of_a_split_is_aborted_by_its_name(split):
    assert "Say which arm of r" in refused(split.request("POST", "/api/routes/r/abort"), 400)
    assert "has no arm 'z'" in refused(split.request("POST", "/api/routes/r/abort", {"arm": "z"}), 400)
    entry = split.make("r", "abort", arm="b")
    assert (entry["what"], entry["weights"]) == ("abort b", {"a": "100%", "b": "0%"})
    assert entry["quarantine"][0]["version"] == "2"
    assert "would serve linear:2" in refused(split.request("POST", "/api/routes/r/shift", {"weights": {"b": 5}}), 400)


def test_an_abort_blames_what_the_arm_is_bound_to_also_where_a_replica_still_serves_what_was_before(
    operated, monkeypatch
):
    operated.declare("r", {**SPLIT, "arms": {"a": "linear:1", "b": "linear@challenger"}})
    behind = {arm: Candidate("1", "a digest") for arm in ("a", "b")}
    monkeypatch.setattr(ReplicaView, "candidates", lambda *_: behind)
    assert operated.make("r", "abort", arm="b")["quarantine"][0]["version"] == "2"


def test_undo_goes_back_to_the_version_before_or_to_the_one_named(split):
    assert "nothing to undo" in refused(split.request("POST", "/api/routes/r/undo"), 400)
    split.make("r", "shift", weights={"b": 40})
    split.make("r", "shift", weights={"b": 50})
    entry = split.make("r", "undo")
    assert (entry["version"], entry["what"], entry["weights"]["b"]) == (4, "undo", "40%")
    entry = split.make("r", "undo", to=1)
    assert (entry["version"], entry["what"], entry["weights"]["b"]) == (5, "undo to 1", "25%")
    assert "has no version 99" in refused(split.request("POST", "/api/routes/r/undo", {"to": 99}), 400)


def test_an_undo_does_not_wait_for_a_registry_that_does_not_answer(operated, monkeypatch):
    operated.declare("r", {**SPLIT, "arms": {"a": "linear:1", "b": "linear@challenger"}})
    operated.make("r", "shift", weights={"b": 40})

    resolve_any = Catalogue.resolve

    def resolve(catalogue, ref):
        assert ref.alias is None, "it is waited for what an alias names now"
        return resolve_any(catalogue, ref)

    monkeypatch.setattr(Catalogue, "resolve", resolve)
    assert operated.make("r", "undo")["weights"]["b"] == "25%"


def test_a_shadow_becomes_the_candidate(operated):
    arms = {"stable": "linear:1", "canary": "linear:1"}
    operated.declare("r", {**ROLLOUT, "arms": arms, "shadow": [{"arm": "linear:2"}]})
    entry = operated.make("r", "promote", shadow="linear:2")
    assert (entry["what"], entry["rollout"]["candidate"]) == ("promote shadow linear:2", "linear:2")
    assert (entry["spec"]["arms"]["canary"], "shadow" in entry["spec"]) == ("linear:2", False)
    sentence = refused(operated.request("POST", "/api/routes/r/promote", {"shadow": "linear:9"}), 400)
    assert "has no shadow 'linear:9'" in sentence


def test_a_rollout_of_what_cannot_be_served_does_not_begin(operated, own_registry, tmp_path):
    with Operated(own_registry, tmp_path / "own.db") as own:
        own.declare("r", ROLLOUT)
        (own_registry / "linear" / "aliases.yaml").write_text("champion: '1'\nchallenger: '7'\n")
        assert "no version '7'" in refused(own.request("POST", "/api/routes/r/start"), 400)
        (own_registry / "linear" / "2" / "model.onnx").write_bytes(b"damaged")
        (own_registry / "linear" / "aliases.yaml").write_text("champion: '1'\nchallenger: '2'\n")
    with Operated(own_registry, tmp_path / "own.db") as own:  # a new replica, which has loaded nothing yet
        assert "was changed or damaged" in refused(own.request("POST", "/api/routes/r/start"), 400)
        assert own.get("/api/routes/r")["rollout"]["phase"] == "READY"


@pytest.mark.parametrize("command", ["start", "pause", "resume", "promote"])
def test_a_split_has_no_rollout_to_command(split, command):
    assert "is a split, not a rollout" in refused(split.request("POST", f"/api/routes/r/{command}"), 400)


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("start", {}), ("pause", {}), ("resume", {}), ("promote", {}), ("promote", {"shadow": "x"}), ("abort", {}),
        ("undo", {}), ("release", {"version": "2"}), ("shift", {"weights": {"a": 1}}),
    ],
)  # fmt: skip
def test_every_command_on_a_route_that_is_not_there_is_404(operated, command, body):
    sentence = refused(operated.request("POST", f"/api/routes/nowhere/{command}", body), 404)
    assert sentence == "There is no route 'nowhere'; there are none."


@pytest.mark.parametrize(
    ("command", "body", "sentence"),
    [
        ("abort", {"arms": "b"}, "body.arms: Extra inputs are not permitted"),
        ("undo", {"to": 0}, "greater than or equal to 1"),
        ("undo", {"to": 10**30}, "less than or equal to"),
        ("undo", {"to": "1"}, "valid integer"),
        ("release", {}, "body.version: Field required"),
        ("release", {"version": "\ud800"}, "unable to parse raw data as a unicode string"),
        ("start", {"why": 7}, "valid string"),
        ("shift", {"weights": {"\ud800": "x"}}, "weight of arm ?"),
    ],
)
def test_a_body_that_is_not_allowed_changes_nothing(split, command, body, sentence):
    assert sentence in refused(split.request("POST", f"/api/routes/r/{command}", body), 400)
    assert split.get("/api/routes/r")["version"] == 1


def test_a_reason_that_is_no_text_is_kept_as_far_as_it_is(split):
    assert split.make("r", "shift", weights={"b": 5}, why="\ud800 and \x00")["why"] == "? and \x00"


def test_with_a_version_a_command_is_made_on_it_or_not_at_all(rollout):
    rollout.make("r", "start")
    for command, body in (
        ("pause", {}),
        ("abort", {}),
        ("undo", {}),
        ("start", {}),
        ("shift", {"weights": {"canary": 1}}),
    ):
        sentence = refused(rollout.request("POST", f"/api/routes/r/{command}", body, headers={"if-match": '"1"'}), 409)
        assert "is at version 2, not 1: another change came first" in sentence
    assert "must be a version" in refused(
        rollout.request("POST", "/api/routes/r/pause", headers={"if-match": "x"}), 400
    )
    assert rollout.get("/api/routes/r")["version"] == 2
    assert rollout.request("POST", "/api/routes/r/pause", headers={"if-match": '"2"'}).json()["version"] == 3


def test_of_two_operators_at_once_one_is_told_that_he_was_second(split):
    shifts = [("POST", "/api/routes/r/shift", {"weights": {"b": percent}}) for percent in (40, 60)]
    first, second = sorted(split.request_all(shifts, headers={"if-match": '"1"'}), key=lambda each: each.status_code)
    assert first.json()["version"] == 2
    assert "is at version 2, not 1" in refused(second, 409)
    newest, _ = split.get("/api/routes/r/history")
    assert newest["weights"] == split.get("/api/routes/r")["weights"] == first.json()["weights"]


def test_commands_at_once_without_a_version_are_all_made(split):
    shifts = [("POST", "/api/routes/r/shift", {"weights": {"b": percent}}) for percent in range(100)]
    responses = split.request_all(shifts)
    assert {response.status_code for response in responses} == {200}
    assert sorted(response.json()["version"] for response in responses) == list(range(2, 102))
    kept = split.get("/api/routes/r/history?limit=1000")
    assert [entry["version"] for entry in kept] == list(range(101, 0, -1))
    made = {response.json()["version"]: response.json()["weights"] for response in responses}
    assert all(entry["weights"] == made[entry["version"]] for entry in kept[:-1])


def test_a_store_that_is_away_or_lost_is_not_commanded(split):
    split.look()
    split.store.is_away = True
    assert (
        refused(split.request("POST", "/api/routes/r/shift", {"weights": {"b": 5}}), 503)
        == "The store does not answer."
    )
    split.store.is_away = False
    split.replace_store()
    split.wanted.look()
    for command, body in (("shift", {"weights": {"b": 5}}), ("abort", {"arm": "b"}), ("release", {"version": "2"})):
        assert "has lost its routes" in refused(split.request("POST", f"/api/routes/r/{command}", body), 503)
    assert split.store.revision().number == 0


def test_what_a_command_is_called_fits_its_sentence(rollout):
    rollout.make("r", "start")
    sentence = refused(rollout.request("POST", "/api/routes/r/start"), 400)
    assert re.fullmatch(r"The rollout is PROGRESSING, where start is not possible; possible are: .+\.", sentence)
