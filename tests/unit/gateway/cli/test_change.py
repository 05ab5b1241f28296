"""A change whose answer is late or lost: the client waits, then looks, and says what is known."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.gateway.cli.support import refused


class Gateway:
    """A server with one route, which answers a change late, or ends the connection before or after it is made."""

    def __init__(self) -> None:
        self.entries = [{"version": 7, "who": "ada", "what": "apply", "change_id": "first"}]
        self.takes_s = 0.0
        self.loses_answer = False
        self.is_made = True
        self.rival = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/api/replicas"):
                    replica = {
                        "replica": "x",
                        "state": "LIVE",
                        "age_s": 0.1,
                        "routes": {"r": outer.entries[0]["version"]},
                    }
                    self.answer([replica])
                elif "/history" in self.path:
                    self.answer(list(map(outer.view, outer.entries)))
                else:
                    self.answer(outer.view(outer.entries[0]))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                time.sleep(outer.takes_s)
                if outer.rival:
                    outer.entries.insert(0, {"version": 8, "who": "eve", "what": "pause", "change_id": "other"})
                elif outer.is_made:
                    made = {"version": 8, "who": "me", "what": "shift", "change_id": self.headers["x-change-id"]}
                    outer.entries.insert(0, made)
                if outer.loses_answer:
                    self.close_connection = True
                else:
                    self.answer(outer.view(outer.entries[0]))

            def answer(self, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @staticmethod
    def view(entry: dict) -> dict:
        return {"route": "r", "weights": {"a": "100%"}, "rollout": None, "why": "", "at_s": 0.0, **entry}


@pytest.fixture
def listening():
    gateway = Gateway()
    threading.Thread(target=gateway.server.serve_forever, args=(0.01,), daemon=True).start()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


@pytest.fixture
def shift(listening, run):
    url = f"http://127.0.0.1:{listening.server.server_port}"
    return lambda *more: run("shift", "r", "a=100", "--url", url, *more)


def test_a_late_answer_is_waited_for_with_progress(listening, shift, monkeypatch):
    monkeypatch.setattr("gateway.cli.client._SLOW_AFTER_S", 0.01)
    listening.takes_s = 0.5
    result = shift()
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)
    assert "the gateway is working on it; a version may have to be loaded" in result.stderr
    assert "No gateway" not in result.output


def test_a_change_whose_answer_is_lost_is_found_by_its_id(listening, shift):
    listening.loses_answer = True
    result = shift()
    assert (result.exit_code, "r is at version 8 (a=100%), live on 1 of 1 replicas" in result.stdout) == (0, True)


def test_a_change_that_is_not_made_so_far_is_said_to_be_unknown(listening, shift):
    listening.loses_answer, listening.is_made = True, False
    sentence = refused(shift("--patience", 0), exit_code=4)
    assert "got the change, but the connection ended before its answer came" in sentence
    assert "not made so far: route r is at version 7. It may still be made: `pointsman history r`" in sentence
    found = json.loads(shift("--patience", 0, "--json").stdout)
    assert (found["outcome"], found["seen"]) == ("unknown", {"r": 7})


def test_a_change_that_another_one_came_before_is_never_made(listening, shift):
    listening.loses_answer = listening.rival = True
    sentence = refused(shift())
    assert "Nothing was changed: eve changed route r first (pause), and it is at version 8." in sentence


def test_only_where_nothing_listens_no_gateway_answers(listening, shift):
    listening.server.shutdown()
    listening.server.server_close()
    assert "No gateway answers at" in refused(shift())
