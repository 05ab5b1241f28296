"""The log counter step by step: what it asks of the store and when, and what it keeps."""

import random
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.control.log_counter import LogCounter
from inference_log.pieces import written_end
from inference_log.record import SegmentHeader
from inference_log.segment import FRAME, frame
from inference_log.spool import all_segments, segments, take_seat
from inference_log.writer import LogWriter
from store.errors import StoreUnavailable
from tests.unit.gateway.control.support import NOON_US, Machine, MemorySums, context_of, make_record

CANARY = context_of("canary", 1)


@pytest.fixture
def store() -> MemorySums:
    return MemorySums()


@pytest.fixture
def machine(tmp_path, store):
    made = Machine(tmp_path, "w", store, piece_bytes=4096)
    yield made
    made.seat.release()


def requests(store: MemorySums) -> int:
    return sum(value for key, value in store.added.items() if key.name == "requests")


def fail() -> None:
    raise StoreUnavailable("The store does not answer.")


@pytest.mark.parametrize("seed", range(10))
def test_two_replicas_that_count_one_segment_at_once_count_it_once(tmp_path, store, machine, seed):
    # Whenever one counter is about to write, the other counts some pieces, of another size, of the same segment.
    for _ in range(300):
        machine.append(CANARY, NOON_US)
    path = machine.writer.rotate(0, 0)
    one, other = LogCounter(store, machine.spool, 1000), LogCounter(store, machine.spool, 1700)
    dice = random.Random(seed)  # noqa: S311  # a test that can be repeated
    left: list[int] = []

    def intrude() -> None:
        if not left:
            left.append(dice.randrange(4))
            other.tick()
            left.clear()
        elif left[0] == 0:
            fail()
        else:
            left[0] -= 1

    store.before_write = intrude
    assert one.finish(path)
    assert requests(store) == 300


def test_threads_that_append_count_and_ship_at_once_agree(tmp_path, store):
    machine = Machine(tmp_path, "w", store, piece_bytes=5000)
    done = threading.Event()

    def over_and_over(work: Callable[[], None]) -> None:
        while not done.is_set():
            work()

    threads = [threading.Thread(target=over_and_over, args=(work,)) for work in (machine.counter.tick, machine.roll)]
    for thread in threads:
        thread.start()
    for _ in range(5000):
        machine.append(CANARY, NOON_US)
    done.set()
    for thread in threads:
        thread.join()
    machine.roll()
    machine.counter.tick()
    assert (requests(store), machine.counter.failures, machine.shipper.failures) == (5000, 0, 0)
    assert (store.ends, machine.counter.behind_bytes) == ({}, 0)
    machine.seat.release()


def test_a_tick_counts_what_is_new_and_asks_nothing_where_nothing_is(machine, store):
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert (requests(store), store.asked) == (1, ["counted", "count"])
    machine.counter.tick()
    assert store.asked == ["counted", "count"]
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert (requests(store), store.asked) == (2, ["counted", "count", "count"])


def begin_second(machine: Machine) -> LogWriter:
    """Return the writer of another replica of the machine, whose first record is counted."""
    other = LogWriter(machine.seat.folder, "other")
    assert other.append(CANARY, lambda number, sequence: make_record(number, sequence, f"o{sequence}", NOON_US))
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    return other


def test_what_is_new_in_several_segments_is_added_in_one_step(machine, store):
    other = begin_second(machine)
    store.asked.clear()
    machine.append(CANARY, NOON_US)
    assert other.append(CANARY, lambda number, sequence: make_record(number, sequence, f"o{sequence}", NOON_US))
    machine.counter.tick()
    assert (requests(store), store.asked) == (4, ["count"])
    machine.counter.tick()
    assert store.asked == ["count"]


@pytest.mark.parametrize("loses_the_reply", [False, True])
def test_several_segments_are_counted_once_whatever_becomes_of_the_write(machine, store, loses_the_reply):
    other = begin_second(machine)
    machine.append(CANARY, NOON_US)
    assert other.append(CANARY, lambda number, sequence: make_record(number, sequence, f"o{sequence}", NOON_US))
    name = "after_write" if loses_the_reply else "before_write"
    setattr(store, name, fail)
    machine.counter.tick()
    assert machine.counter.trouble
    setattr(store, name, lambda: None)
    machine.counter.tick()
    assert (requests(store), machine.counter.behind_bytes) == (4, 0)


def test_if_another_process_has_counted_one_of_several_segments_each_is_counted_once(machine, store):
    other = begin_second(machine)
    machine.append(CANARY, NOON_US)
    assert other.append(CANARY, lambda number, sequence: make_record(number, sequence, f"o{sequence}", NOON_US))
    LogCounter(store, machine.spool).count_now(other.active_path)
    machine.counter.tick()
    assert (requests(store), machine.counter.behind_bytes) == (4, 0)


def damaged_beside(machine) -> Path:
    """Return the segment of a second writer, which cannot be read to its end."""
    path = begin_second(machine).active_path
    with path.open("r+b") as file:
        file.seek(written_end(path))
        file.write(frame_of_garbage())
    return path


def test_a_segment_that_cannot_be_read_does_not_keep_others_from_being_counted(machine, store):
    damaged_beside(machine)
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert (requests(store), machine.counter.failures) == (3, 1)


def test_a_segment_that_is_counted_alone_does_not_wait_for_what_is_added_in_one_step(machine, store):
    path = damaged_beside(machine)
    machine.append(CANARY, NOON_US)
    alone, has_ended = threading.Thread(target=machine.counter.count_now, args=(path,), daemon=True), []

    def while_it_is_added() -> None:
        if not has_ended:
            alone.start()
            alone.join(10.0)
            has_ended.append(not alone.is_alive())

    store.before_write = while_it_is_added
    machine.counter.tick()
    assert (requests(store), has_ended) == (3, [True])


def frame_of_garbage() -> bytes:
    content = b"no entry"
    return FRAME.pack(len(content), zlib.crc32(content)) + content


def test_a_segment_that_was_begun_since_the_others_were_listed_is_counted_by_one_thread_at_a_time(
    machine, store, monkeypatch
):
    """What is known of it is kept. Else two threads may count it, and a caller hears `duplicate`."""
    machine.append(CANARY, NOON_US)
    machine.counter.count_now(machine.writer.active_path)
    with monkeypatch.context() as patched:
        patched.setattr("gateway.control.log_counter.all_segments", lambda _: [])
        machine.counter.tick()
    machine.append(CANARY, NOON_US)
    machine.counter.count_now(machine.writer.active_path)
    assert (requests(store), store.asked) == (2, ["counted", "count", "count"])


def test_a_torn_frame_is_counted_when_it_is_whole(machine, store):
    machine.append(CANARY, NOON_US)
    machine.begin_a_frame(0.9)
    machine.counter.tick()
    machine.counter.tick()
    assert requests(store) == 1
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert requests(store) == 2


@pytest.mark.parametrize("applied", [False, True])
def test_while_the_store_is_gone_nothing_is_lost_and_little_is_done(machine, store, applied):
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    setattr(store, "after_write" if applied else "before_write", fail)
    for _ in range(100):
        machine.append(CANARY, NOON_US)
    for _ in range(3):
        machine.counter.tick()
    assert machine.counter.failures == 3
    assert machine.counter.behind_bytes > 0
    if not applied:
        assert machine.counter.behind_bytes > 100 * 50
        assert store.asked == ["counted", "count", "count", "counted", "counted"]  # no piece is decoded in vain
    store.after_write = store.before_write = lambda: None
    machine.counter.tick()
    assert (requests(store), machine.counter.behind_bytes) == (101, 0)


def test_a_store_that_lost_everything_gets_what_the_segment_still_has(machine, store):
    for _ in range(50):
        machine.append(CANARY, NOON_US)
    machine.counter.tick()
    store.ends.clear()
    store.added.clear()
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert requests(store) == 51


def test_whoever_takes_over_knows_the_contexts_that_lie_before(tmp_path, store, machine):
    for _ in range(100):
        machine.append(CANARY, NOON_US)
    machine.counter.tick()
    machine.append(CANARY, NOON_US)
    machine.seat.release()
    heir = Machine(tmp_path, "heir", store, piece_bytes=1000)
    heir.counter.tick()
    assert (requests(store), heir.counter.failures) == (101, 0)
    heir.seat.release()
    take_seat(tmp_path / "spool")  # the fixture releases it


def test_a_segment_is_kept_until_it_is_counted_and_forgotten_after_it_is_deleted(machine, store):
    machine.append(CANARY, NOON_US)
    store.before_write = fail
    machine.roll()
    assert len(segments(machine.writer.folder)) == 1
    assert machine.counter.failures == 1
    store.before_write = lambda: None
    machine.counter.tick()
    machine.roll()
    assert segments(machine.writer.folder) == []
    assert (requests(store), list(store.ends)) == (1, ["w-00000000.segment"])
    machine.counter.tick()
    assert store.ends == {}


def test_a_store_that_does_not_answer_is_not_asked_for_every_segment_that_waits(machine, store):
    for _ in range(5):
        machine.append(CANARY, NOON_US)
        machine.writer.rotate(0, 0)
    store.before_write = fail
    machine.roll()
    machine.counter.tick()
    assert (store.asked, len(segments(machine.writer.folder))) == (["counted"] * 2, 5)


def test_a_segment_is_counted_at_once_while_another_one_waits_for_the_store(tmp_path, machine, store):
    other = Machine(tmp_path, "other", store)
    for each in (machine, other):
        each.append(CANARY, NOON_US)
    waits, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        store.before_write = lambda: None
        waits.set()
        goes_on.wait(60)

    store.before_write = wait
    slow = threading.Thread(target=machine.counter.count_now, args=(machine.writer.active_path,))
    slow.start()
    assert waits.wait(60)
    machine.counter.count_now(other.writer.active_path)
    assert requests(store) == 1
    goes_on.set()
    slow.join()
    assert requests(store) == 2
    other.seat.release()


def test_a_store_that_does_not_answer_when_it_is_asked_at_once_is_trouble_until_a_tick(machine, store):
    machine.append(CANARY, NOON_US)
    store.before_write = fail
    with pytest.raises(StoreUnavailable):
        machine.counter.count_now(machine.writer.active_path)
    assert machine.counter.trouble == "The store does not answer."
    machine.counter.tick()
    assert machine.counter.trouble
    store.before_write = lambda: None
    machine.counter.tick()
    assert (machine.counter.trouble, requests(store)) == ("", 1)


def test_a_source_that_could_not_be_forgotten_is_forgotten_later(machine, store):
    machine.append(CANARY, NOON_US)
    machine.roll()
    store.before_write = fail
    machine.counter.tick()
    store.before_write = lambda: None
    machine.counter.tick()
    assert (store.ends, machine.counter.failures) == ({}, 1)


def test_what_a_dead_replica_left_is_counted_by_who_ships_it(tmp_path, store, machine):
    other = Machine(tmp_path, "other", store)
    for _ in range(7):
        other.append(CANARY, NOON_US)
    other.die()  # its segment ends in zeros
    machine.roll()
    assert (requests(store), all_segments(tmp_path / "spool")) == (7, [])


def test_a_segment_that_cannot_be_read_holds_up_no_other(machine, store, tmp_path):
    poison = machine.writer.folder / "a-00000000.segment"
    poison.write_bytes(b"".join(map(frame, (SegmentHeader("a", 0), make_record(7, 0, "d", NOON_US)))))
    (machine.writer.folder / "b-00000000.segment").mkdir()  # stands for a bad sector: reading it fails
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    machine.counter.tick()
    assert requests(store) == 1
    # A segment that cannot be decoded is a failure once; one that cannot be read is a failure every time.
    assert machine.counter.failures == 1 + 2
    assert "a-00000000.segment" not in store.ends


def test_behind_is_what_waits_and_zeros_do_not(machine, store, tmp_path):
    other = Machine(tmp_path, "other", store)
    other.append(CANARY, NOON_US)
    other.die()
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    assert (requests(store), machine.counter.behind_bytes) == (2, 0)
    store.before_write = fail
    before = written_end(machine.writer.active_path)
    machine.append(CANARY, NOON_US)
    machine.counter.tick()
    waiting = written_end(machine.writer.active_path) - before
    assert machine.counter.behind_bytes == waiting > 0
