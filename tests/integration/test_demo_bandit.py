"""The demo's bandit learns what a crowd likes, and the command that sends the crowd ends in order."""

import json
import signal
import subprocess
import threading

from tests.support.polling import wait_until

_LIMIT_S = 120.0


def is_liked_best(lines: list[str]) -> bool:
    """Return True if blue, which the crowd with seed 1 likes best, has most of the traffic."""
    weights = json.loads(lines[-1])["weights"] if lines else None
    return weights is not None and weights["blue"] > 0.6


def test_the_bandit_learns_what_the_crowd_likes_and_ctrl_c_ends_it(gateway):
    command = subprocess.Popen(
        ["pointsman", "demo", "bandit", "--json", "--seed", "1", "--rate", "60"],
        env=gateway.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(command.stdout))
    reader.start()
    try:
        wait_until(lambda: is_liked_best(lines), within_s=_LIMIT_S, shows=lambda: lines[-1:])
        command.send_signal(signal.SIGINT)
        assert command.wait(_LIMIT_S) == 0
    finally:
        command.kill()
        reader.join()
    last = json.loads(lines[-1])
    assert command.stderr.read() == ""
    assert [json.loads(line)["second"] for line in lines[:3]] == [1, 2, 3]
    assert last["policy"] >= 1
    assert last["failed"] == 0
    assert last["rewards"]["counted"] > 0
    assert last["regret"] < last["uniform_regret"]
    command.stdout.close()
    command.stderr.close()
