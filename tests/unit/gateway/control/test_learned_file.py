"""The file of learned policies: exact, bounded, written rarely, of one store, and harmless when it is damaged."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.control import learned_file
from gateway.control.learned_file import EVERY_S, LearnedFile
from router.document.learned import LearnedPolicy

URL = "rediss://pointsman:hunter2@store.example:6380/0"
MODELS = [[[-(2**49), 3], 40, [1, 2**48, 5], 41]] * 2


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 5.0

    def __call__(self) -> float:
        return self.now_s


def policy(route: str = "r", number: int = 3, **content: object) -> LearnedPolicy:
    slots = {"a": ((0, 7000), (9000, 1000)), "b": ((7000, 2000),)}
    return LearnedPolicy(route, 10**15, number, 2, slots, 10**15 + 7, {"estimates": [[5.0], [0.1 + 0.2]], **content})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "home" / "learned.jsonl"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def policies() -> dict[str, LearnedPolicy]:
    return {"r": policy(), "é": policy("é", models=MODELS), "other": policy("other", number=7)}


def load(path, identity="one", url=URL) -> dict[str, LearnedPolicy]:
    return LearnedFile(path, url).load(identity)


def test_policies_come_back_as_they_were_learned(path, policies):
    LearnedFile(path, URL).keep("one", policies)
    assert load(path) == policies


def test_without_a_file_there_are_none_and_nothing_is_said(path):
    with capture_logs() as lines:
        assert load(path) == {}
    assert lines == []


def test_those_of_another_store_and_of_a_store_that_lost_its_data_are_left(path, policies):
    LearnedFile(path, URL).keep("one", policies)
    assert load(path, url="redis://other") == {}
    assert load(path, identity="two") == {}
    assert load(path, identity="") == {}


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda whole: whole[:-10], {"r", "other"}),
        (lambda whole: whole[: whole.rindex(b"\n")], {"r", "other"}),
        (lambda whole: whole.replace(b'"number":7', b'"number":8'), {"r", "é"}),
        (lambda whole: whole.replace(b"[7000,2000]", b"[7000,3000]"), set()),
        (lambda whole: whole.replace(b'"format":1', b'"format":2'), set()),
        (lambda _: b"", set()),
        (lambda _: b"null\n", set()),
        (lambda whole: b"\xff" + whole, set()),
        (lambda whole: whole[:20] + b"\x00" * len(whole), set()),
    ],
    ids=["cut", "cut at a line", "number", "slots", "format", "empty", "null", "no text", "zeros"],
)
def test_what_is_damaged_is_not_served_and_is_said(path, policies, damage, left):
    LearnedFile(path, URL).keep("one", policies)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    with capture_logs() as lines:
        assert load(path) == {route: policies[route] for route in left}
    assert [line["event"] for line in lines] == ["gateway.learned.unreadable"]
    assert lines[0]["error"].endswith("bandits without a policy serve the weights of their documents.")


def test_a_line_with_a_true_hash_that_is_no_policy_is_damaged(path, policies):
    LearnedFile(path, URL).keep("one", policies)
    head, *lines = path.read_bytes().split(b"\n")
    lines += [learned_file._digest(text) + b" " + text for text in (b"[]", b"{}", b"1", b"\xff", b"nonsense", b"")]
    path.write_bytes(b"\n".join([head.replace(b'"policies":3', b'"policies":9'), *lines]))
    with capture_logs() as said:
        assert load(path) == policies
    assert said[0]["error"].startswith("6 of its 9 policies are damaged.")


def test_it_is_written_at_most_twice_a_minute_and_only_if_something_is_new(path, policies, clock):
    file = LearnedFile(path, URL, clock)
    file.keep("one", policies)
    newer = {**policies, "r": policy(number=4)}
    clock.now_s += EVERY_S - 1
    assert not file.is_due()
    file.keep("one", newer)
    assert load(path) == policies
    clock.now_s += 1
    assert file.is_due()
    file.keep("one", newer)
    assert load(path) == newer
    clock.now_s += EVERY_S
    written = path.stat().st_ino
    file.keep("one", dict(newer))
    assert path.stat().st_ino == written
    file.keep("two", newer)
    assert load(path, "two") == newer


def test_a_disk_that_takes_long_is_written_less_often(path, policies, clock, monkeypatch):
    def slow(fresh: Path, target: Path) -> None:
        clock.now_s += 2
        os.replace(fresh, target)  # noqa: PTH105  # Path.replace is this one

    monkeypatch.setattr(Path, "replace", slow)
    file = LearnedFile(path, URL, clock)
    file.keep("one", policies)
    clock.now_s += 199
    assert not file.is_due()
    clock.now_s += 1
    assert file.is_due()


def test_of_too_many_the_shortest_are_kept_and_the_rest_is_said_once(path, policies, clock, monkeypatch):
    LearnedFile(path, URL).keep("one", policies)
    monkeypatch.setattr(learned_file, "MOST_BYTES", path.stat().st_size + 100)
    file = LearnedFile(path, URL, clock)
    with capture_logs() as lines:
        for number in (8, 9):
            policies["other"] = policy("other", number=number)
            file.keep("one", policies)
            clock.now_s += EVERY_S
    assert load(path) == {"r": policies["r"], "other": policies["other"]}
    assert [line["event"] for line in lines] == ["gateway.learned.too_large"]
    assert lines[0]["error"].startswith("1 of 3 learned policies do not fit")


def test_a_file_that_is_too_large_is_not_read(path, policies, monkeypatch):
    LearnedFile(path, URL).keep("one", policies)
    monkeypatch.setattr(learned_file, "MOST_BYTES", path.stat().st_size - 1)
    with capture_logs() as lines:
        assert load(path) == {}
    assert [line["event"] for line in lines] == ["gateway.learned.unreadable"]


def test_only_its_owner_may_read_it_and_it_holds_no_password(path, policies):
    before = os.umask(0)
    try:
        LearnedFile(path, URL).keep("one", policies)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert not any(word in content for word in (b"hunter2", b"pointsman:", b"store.example"))


def test_a_reader_sees_the_old_file_or_the_new_one(path, policies, clock, monkeypatch):
    file = LearnedFile(path, URL, clock)
    file.keep("one", policies)
    replace_path, seen = Path.replace, []

    def look(fresh: Path, target: Path) -> Path:
        seen.append(load(path))
        replaced = replace_path(fresh, target)
        seen.append(load(path))
        return replaced

    monkeypatch.setattr(Path, "replace", look)
    clock.now_s += EVERY_S
    newer = {"r": replace(policies["r"], number=4)}
    file.keep("one", newer)
    assert seen == [policies, newer]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_disk_that_cannot_take_it_is_logged_and_tried_again(path, policies, clock):
    path.parent.parent.joinpath("home").write_text("a file where the folder should be")
    file = LearnedFile(path, URL, clock)
    with capture_logs() as lines:
        for _ in range(2):
            file.keep("one", policies)
            clock.now_s += EVERY_S
    assert [line["event"] for line in lines] == ["gateway.learned.not_kept"]
    path.parent.unlink()
    file.keep("one", policies)
    assert load(path) == policies
