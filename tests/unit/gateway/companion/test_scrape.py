"""A scrape is answered by the companion, or by the replica itself while there is none that answers."""

import socket
import threading

import pytest

from gateway.companion import scrape as scrape_module
from gateway.companion.files import PROCESS, lock_file, scrape_socket
from gateway.companion.scrape import Scrapes, render_all, scrape
from gateway.companion.unix_socket import short_name
from gateway.telemetry.metric_table import UNCOUNTED
from gateway.telemetry.metrics import Metrics
from inference_log.process_lock import take_lock
from inference_log.spool import take_seat
from tests.support.polling import wait_until
from tests.unit.gateway.companion.support import home


@pytest.fixture
def settings(tmp_path):
    deep = tmp_path / ("a folder whose path is too long for the name of a socket " * 3)
    deep.mkdir()
    return home(deep)


@pytest.fixture
def answer(settings):
    """Return a function that answers scrapes with a text, or whatever it returns or raises."""
    stop, threads = threading.Event(), []

    def start(render) -> None:
        threads.append(threading.Thread(target=Scrapes(scrape_socket(settings), render).run, args=(stop,)))
        threads[-1].start()
        wait_until(scrape_socket(settings).exists)

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_the_companion_renders_the_text_however_long_the_path_and_the_text_are(settings, answer):
    text = b"pointsman_up 1\n" * 1_000_000
    answer(lambda: text)
    assert [scrape(settings) == text for _ in range(3)] == [True] * 3


def test_without_a_companion_the_replica_renders_the_text(settings):
    Metrics(settings.metrics_dir, "0").publish()
    assert b"pointsman_shed_total 0" in scrape(settings)


def test_a_companion_that_fails_is_not_asked_in_vain_and_answers_the_next_scrape(settings, answer):
    texts = [RuntimeError("no"), b"good"]

    def render() -> bytes:
        text = texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return text

    answer(render)
    assert b"pointsman" in scrape(settings)
    assert scrape(settings) == b"good"


def test_a_companion_that_does_not_answer_delays_a_scrape_and_no_more(settings, answer, monkeypatch):
    monkeypatch.setattr(scrape_module, "_PATIENCE_S", 0.2)
    goes_on = threading.Event()
    answer(lambda: b"late" if goes_on.wait(60) else b"")
    assert b"pointsman" in scrape(settings)
    goes_on.set()


def test_a_socket_that_a_killed_companion_left_is_replaced(settings, answer):
    scrape_socket(settings).touch()
    answer(lambda: b"new")
    wait_until(lambda: scrape(settings) == b"new")


def test_gauges_of_processes_that_do_not_run_are_left_out(settings):
    metrics = Metrics(settings.metrics_dir, PROCESS)
    metrics.set_gauge(UNCOUNTED, ((), 5))
    metrics.publish()
    assert b"pointsman_uncounted_bytes 5.0" not in render_all(settings)
    lock, seat = take_lock(lock_file(settings)), take_seat(settings.spool)
    assert b"pointsman_uncounted_bytes 5.0" in render_all(settings)
    lock.release()
    seat.release()


def test_the_text_of_a_companion_that_is_killed_in_the_middle_is_not_shown(settings):
    Metrics(settings.metrics_dir, "0").publish()
    with socket.socket(socket.AF_UNIX) as listener, short_name(scrape_socket(settings)) as name:
        listener.bind(name)
        listener.listen()

        def answer_in_part() -> None:
            connection, _ = listener.accept()
            connection.sendall(scrape_module._LENGTH.pack(1000) + b"pointsman_requests_total 12")
            connection.close()

        dying = threading.Thread(target=answer_in_part)
        dying.start()
        text = scrape(settings)
        dying.join()
    assert b"pointsman_shed_total 0" in text
