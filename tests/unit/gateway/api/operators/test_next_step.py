"""The sentence that says what a rollout waits for, in every phase."""

from dataclasses import replace

import pytest

from gateway.api.operators.next_step import next_step
from router.document.apply import apply
from router.document.commands import Abort, Advance, Command, Declare, Hold, Pause, Promote, Release, Resume, Start
from router.document.document import Candidate, Document
from router.spec.parse import parse_spec

CANDIDATE = Candidate("18", "d")


def rollout(*commands: Command, **more) -> Document:
    steps = {"of": "canary", "steps": ["1%", "5%", "100%"], **more.pop("rollout", {"every": "10m"})}
    arms = {"stable": "fraud:17", "canary": "fraud@challenger"}
    document = apply(None, Declare(parse_spec({"route": "r", "arms": arms, "rollout": steps, **more})))
    for command in commands:
        document = apply(document, command)
    return document


START = Start(CANDIDATE, 1000.0)
SAMPLED = {"samples": 500}
BOTH = {"every": "10m", "samples": 500}
ASKING = {"steps": [{"weight": "1%", "approve": True}, "5%", "100%"], "every": "10m"}
LIMITED = {"limits": {"canary": {"ceiling": "2%"}}}
ONE_MORE = "nce 1 more drawn request is counted for arm canary"
MANY_MORE = "Once 120 more drawn requests are counted for arm canary"
QUARANTINE = "`pointsman start r` begins it with another version; fraud:18 is in quarantine until"


@pytest.mark.parametrize(
    ("document", "samples", "now_s", "sentence"),
    [
        (rollout(), 0, 0, "`pointsman start r` begins it with 1%."),
        (rollout(START), 7, 1400, "In 3m 20s, step 2 of 3 begins (5%)."),
        (rollout(START), 0, 1400, f"In 3m 20s at the earliest, and o{ONE_MORE},"),
        (rollout(START, rollout=SAMPLED), 380, 1400, f"{MANY_MORE}, step 2 of 3"),
        (
            rollout(START, rollout=BOTH), 499, 1400,
            f"In 3m 20s at the earliest, and o{ONE_MORE}, step 2 of 3 begins (5%).",
        ),
        (rollout(START, rollout=BOTH), 500, 1400, "In 3m 20s, step 2 of 3 begins (5%)."),
        (rollout(START), 7, 1700, "At any moment, step 2 of 3 begins (5%)."),
        (rollout(START), None, 1700, "Nothing, until the store answers."),
        (rollout(START, Advance(1600)), 7, 1900, "In 5m, arm canary gets all the traffic."),
        (rollout(START, rollout={"steps": ["100%"]}), 0, 1900, f"O{ONE_MORE}, the rollout is over."),
        (
            rollout(START, rollout=ASKING), 7, 1400,
            "In 3m 20s, approval is asked for, after which step 2 of 3 begins (5%).",
        ),
        (rollout(START, **LIMITED), 7, 1400, "In 3m 20s, it waits: arm canary may have 2% at most by itself."),
        (rollout(START, Hold()), 7, 1700, "After `pointsman resume r`, step 2 of 3 begins (5%)."),
        (
            rollout(START, Hold(), **LIMITED), 7, 1700,
            "Arm canary may have 2% at most by itself; `pointsman promote r` gives it everything.",
        ),
        (rollout(START, Pause()), 7, 1700, "After `pointsman resume r`, step 1 of 3 begins (1%) anew."),
        (rollout(START, Promote(2000)), 7, 2100, "Nothing: arm canary has all the traffic."),
        (rollout(START, Abort(2000, "bad")), 7, 2100, f"{QUARANTINE} `pointsman release r fraud:18`."),
        (rollout(START, Abort(2000, "bad"), Release("18")), 7, 2100, "`pointsman start r` begins it again."),
    ],
)  # fmt: skip
def test_what_comes_next_is_said(document, samples, now_s, sentence):
    assert next_step(document, samples, now_s - document.rollout.since_s).startswith(sentence)


def test_a_split_waits_for_nothing():
    split = apply(None, Declare(parse_spec({"route": "r", "arms": {"a": "m:1"}, "split": {"a": 1}})))
    assert next_step(split, 0, 0.0) == ""


@pytest.mark.parametrize("limited", [{}, LIMITED])
def test_what_is_said_of_resuming_is_what_comes_of_it(limited):
    held = rollout(START, Hold(), **limited)
    if limited:
        with pytest.raises(Exception, match="2% at most by itself"):
            apply(held, Resume(1700))
    else:
        assert apply(held, Resume(1700)).weights["canary"] == 500


def test_steps_that_were_declared_anew_count_from_what_the_candidate_has():
    document = rollout(START)
    spec = replace(document.spec.rollout, steps=document.spec.rollout.steps[1:])
    declared = apply(document, Declare(replace(document.spec, rollout=spec)))
    assert "step 1 of 2 begins (5%)" in next_step(declared, 7, 400)


def test_while_a_guardrail_is_blind_nothing_comes_by_itself():
    blind = next_step(rollout(START), 7, 400, is_blind=True)
    assert blind == "Nothing by itself: a guardrail is BLIND. Take it out, or `pointsman promote r` without it."
    assert next_step(rollout(), 0, 0, is_blind=True) == next_step(rollout(), 0, 0)


def test_a_rollout_that_starts_by_alias_says_which_version_it_waits_beyond():
    arms = {"stable": "m@champion", "canary": "m@champion"}
    steps = {"of": "canary", "steps": ["1%"], "every": "10m", "starts": "by_alias"}
    spec, one, two = parse_spec({"route": "r", "arms": arms, "rollout": steps}), Candidate("1", "a"), CANDIDATE
    ready = apply(None, Declare(spec, 1.0, {"stable": one, "canary": one}))
    other = "m@champion names another version than"
    assert next_step(ready, 0, 0.0) == (f"It begins with 1% once {other} 1, which arm stable serves, too.")
    promoted = apply(apply(ready, Start(two, 2.0)), Promote(3.0))
    assert next_step(promoted, 0, 0.0) == f"Nothing, until {other} 18: arm canary has all the traffic."
