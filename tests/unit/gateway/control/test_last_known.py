"""The last known state of a store: a file that is replaced whole, is readable by its owner only, and fits one store."""

import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.control.last_known import LastKnownFile, StoreState
from router.document.apply import apply
from router.document.commands import Declare, Start
from router.document.document import Candidate
from router.spec.parse import parse_spec
from store.api_key import ApiKey
from store.entry import Change, Entry
from store.revision import Revision

URL = "rediss://pointsman:hunter2@store.example:6380/0"
KEY = ApiKey("k1", "checkout", bytes(range(224, 256)), ("predict",), 1_800_000_000.5, "ada", routes=("r",))


def entry(route: str = "r", who: str = "ada") -> Entry:
    spec = {"route": route, "arms": {"a": "m:1", "b": "m@new"}, "rollout": {"of": "b", "steps": [1], "every": "1m"}}
    document = apply(apply(None, Declare(parse_spec(spec), 5.0)), Start(Candidate("2", "d" * 64), 7.5))
    return Entry(document, Change(who, 1_800_000_000.25, "start", "because", "id-1", "replica-0"))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "home" / "remembered.json"


@pytest.fixture
def state() -> StoreState:
    return StoreState(Revision("identity", 7), {"r": entry(), "other": entry("other")}, [KEY])


def test_what_was_kept_is_remembered_by_the_next_one(path, state):
    LastKnownFile(path, URL).keep(state)
    assert LastKnownFile(path, URL).load() == state


def test_nothing_is_remembered_at_first_and_nobody_complains(path):
    with capture_logs() as lines:
        assert LastKnownFile(path, URL).load() == StoreState()
    assert lines == []


def test_what_another_store_said_is_not_remembered(path, state):
    LastKnownFile(path, URL).keep(state)
    assert LastKnownFile(path, "sqlite:///p.db").load() == StoreState()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-10],
        lambda _: b"",
        lambda _: b"null",
        lambda content: b"\xff" + content,
        lambda content: content.replace(b'"slots"', b'"spots"'),
        lambda content: content.replace(b'"rollout":{"of"', b'"rollout":{"if"'),
        lambda content: content.replace(b'"digest"', b'"dig"'),
    ],
    ids=["cut", "empty", "null", "no text", "no document", "no spec", "no key"],
)
def test_a_damaged_file_is_as_good_as_none_and_is_said(path, state, damage):
    LastKnownFile(path, URL).keep(state)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    with capture_logs() as lines:
        assert LastKnownFile(path, URL).load() == StoreState()
    assert [(line["event"], line["path"]) for line in lines] == [("gateway.memory.unreadable", str(path))]


def test_a_damaged_file_is_replaced_by_what_is_known(path, state):
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    file = LastKnownFile(path, URL)
    file.load()
    file.keep(state)
    assert LastKnownFile(path, URL).load() == state


def test_only_its_owner_may_read_it_and_it_holds_no_password(path, state):
    before = os.umask(0)
    try:
        LastKnownFile(path, URL).keep(state)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert not any(word in content for word in (b"hunter2", b"pointsman:", b"store.example"))


def test_whoever_reads_meanwhile_sees_the_old_one_or_the_new_one(path, state, monkeypatch):
    file = LastKnownFile(path, URL)
    file.keep(state)
    replace, seen = Path.replace, []

    def look(fresh: Path, target: Path) -> Path:
        seen.append(LastKnownFile(path, URL).load())
        replaced = replace(fresh, target)
        seen.append(LastKnownFile(path, URL).load())
        return replaced

    monkeypatch.setattr(Path, "replace", look)
    changed = StoreState(Revision("identity", 8), {"r": entry(who="bea")}, [])
    file.keep(changed)
    assert seen == [state, changed]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_is_known_already_is_not_written_again(path, state):
    file = LastKnownFile(path, URL)
    file.keep(state)
    written = path.stat().st_ino
    file.keep(StoreState(state.revision, dict(state.entries), list(state.keys)))
    following = LastKnownFile(path, URL)
    following.keep(following.load())
    assert path.stat().st_ino == written


def test_a_disk_that_cannot_take_it_is_only_logged_and_is_tried_again(path, state):
    path.parent.parent.joinpath("home").write_text("a file where the folder should be")
    file = LastKnownFile(path, URL)
    with capture_logs() as lines:
        file.keep(state)
    assert [line["event"] for line in lines] == ["gateway.memory.not_kept"]
    path.parent.unlink()
    file.keep(state)
    assert LastKnownFile(path, URL).load() == state
