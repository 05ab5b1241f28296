"""Work in the background: asked for without waiting, handed over once, and never in the way of other work."""

import sys
import threading

import pytest

from registry_sync.background import Background, Pending, at_once, in_daemon_thread
from tests.support.polling import PATIENCE_S, wait_until


class Held:
    """Work that ends when it may, and counts how often it was begun."""

    def __init__(self, result: object = "done") -> None:
        self.may_end = threading.Event()
        self.has_begun = threading.Event()
        self.begun = 0
        self._result = result

    def __call__(self) -> object:
        self.begun += 1
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE_S)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_result_is_handed_over_once(clock):
    background, work = Background(in_daemon_thread, 30.0, clock=clock), Held()
    for age_s, words in ((0.0, "since 0 s"), (3.5, "since 3 s"), (14.0, "since 10 s")):
        clock.now_s = 100.0 + age_s
        with pytest.raises(Pending, match=words):
            background.ask("a", work)
        assert not background.has_news()
    work.may_end.set()
    wait_until(background.has_news)
    assert not background.has_news()
    assert background.ask("a", work) == "done"
    assert work.begun == 1
    assert Background(at_once, 30.0).ask("a", lambda: 7) == 7


def test_work_that_hangs_does_not_keep_other_work_from_beginning(clock):
    background, hanging = Background(in_daemon_thread, 30.0, clock=clock), [Held(), Held()]
    for name, work in enumerate(hanging):
        with pytest.raises(Pending):
            background.ask(name, work)
        assert work.has_begun.wait(PATIENCE_S)
    third = Held()
    with pytest.raises(Pending):
        background.ask("third", third)
    assert third.begun == 0  # two at a time
    clock.now_s += 6.0
    assert not background.has_news()  # which begins what waits
    assert third.has_begun.wait(PATIENCE_S)
    third.may_end.set()
    wait_until(background.has_news)
    assert background.ask("third", third) == "done"
    for work in hanging:
        work.may_end.set()


def test_work_that_failed_is_done_again_after_a_while_and_says_why_it_failed_until_then(clock):
    background, bad = Background(in_daemon_thread, 30.0, clock=clock), Held(ValueError("It is bad."))
    with pytest.raises(Pending):
        background.ask("a", bad)
    bad.may_end.set()
    wait_until(background.has_news)
    again = Held()
    for _ in range(3):
        with pytest.raises(ValueError, match="It is bad"):
            background.ask("a", again)
    assert again.begun == 0
    clock.now_s += 31.0
    with pytest.raises(ValueError, match="It is bad"):
        background.ask("a", again)
    again.may_end.set()
    wait_until(background.has_news)
    assert background.ask("a", again) == "done"


def test_what_is_not_wanted_any_more_is_discarded():
    discarded: list[object] = []
    background = Background(in_daemon_thread, 30.0, discarded.append)
    running, ended = Held("running"), Held("ended")
    for name, work in (("running", running), ("ended", ended)):
        with pytest.raises(Pending):
            background.ask(name, work)
    ended.may_end.set()
    wait_until(background.has_news)
    background.retain(lambda _: False)
    assert discarded == ["ended"]
    running.may_end.set()
    wait_until(lambda: discarded == ["ended", "running"])


def test_a_thread_that_waits_shares_the_work_of_one_that_asks():
    background, work, results = Background(in_daemon_thread, 30.0), Held(), []
    with pytest.raises(Pending):
        background.ask("a", work)
    waiting = threading.Thread(target=lambda: results.append(background.wait("a", work, PATIENCE_S)))
    waiting.start()
    background.retain(lambda _: False)  # what is waited for is wanted
    work.may_end.set()
    waiting.join()
    assert (results, work.begun) == (["done"], 1)
    assert background.has_news()


def test_waiting_has_a_limit_and_ends_with_the_process():
    background, work = Background(in_daemon_thread, 30.0), Held()
    with pytest.raises(Pending):
        background.wait("a", work, 0.01)
    background.close()
    with pytest.raises(Pending):
        background.wait("a", work, PATIENCE_S)
    work.may_end.set()


def test_work_that_ends_the_interpreter_ends_nothing():
    with pytest.raises(RuntimeError, match="SystemExit"):
        Background(at_once, 30.0).ask("a", sys.exit)


def test_work_for_which_no_thread_can_be_started_has_failed(clock):
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    background = Background(refuse, 30.0, clock=clock)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        background.ask("a", Held())


def test_asking_does_not_take_longer_the_more_work_waits():
    """With 5,000 pieces of work a look at all of them in each of the calls took 2.2 s, and 0.1 s without."""
    background, looks, hanging = Background(lambda _: None, 30.0), 0, 5000

    class Counted(dict):
        def values(self):
            nonlocal looks
            looks += 1
            return super().values()

    background._jobs = Counted()
    for number in range(hanging):
        with pytest.raises(Pending):
            background.ask(number, lambda: None)
        assert not background.has_news()
    assert looks == 0


def test_work_that_is_not_wanted_any_more_never_begins():
    background, first, second = Background(in_daemon_thread, 30.0), [Held(), Held()], Held()
    for name, work in (("a", first[0]), ("b", first[1]), ("c", second)):
        with pytest.raises(Pending):
            background.ask(name, work)
    background.retain(lambda name: name != "c")
    for work in first:
        work.may_end.set()
    wait_until(background.has_news)
    assert [background.wait(name, Held(), PATIENCE_S) for name in ("a", "b")] == ["done", "done"]
    assert second.begun == 0


def test_work_that_hangs_takes_a_limited_number_of_threads(clock):
    background = Background[int, object](in_daemon_thread, 0.0, clock=clock)
    works = [Held() for _ in range(200)]
    for at in range(200):
        with pytest.raises(Pending):
            background.ask(at, works[at])
        clock.now_s += 10.0
        background.has_news()
    assert sum(work.begun for work in works) <= 64
    for work in works:
        work.may_end.set()
