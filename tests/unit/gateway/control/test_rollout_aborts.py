"""A bad arm loses its traffic: for the reasons its guardrails give, and for no other."""

from fractions import Fraction

from structlog.testing import capture_logs

from gateway.control.changes import Note
from router.document.commands import Pause, Release, Shift
from router.evidence.sums import FLIPS, MILLION, PAIRS
from router.evidence.verdict import VerdictState
from tests.unit.gateway.control.support_rollouts import SPLIT


def test_a_canary_that_fails_loses_its_traffic_and_everybody_is_told_why(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    with capture_logs() as lines:
        site.tick()
    assert site.stands() == ("ABORTED", 0)
    change = site.newest()
    assert (change.who, change.what) == ("pointsman", "abort canary: errors")
    assert change.why.startswith("8 of 12 (66.7%) requests of canary failed, against 0 of 100 (0%) of stable;")
    assert [(held.version, held.why) for held in site.document().quarantine] == [("2", change.why)]
    assert site.driver.aborts == {("r", "canary", "errors"): 1}
    (line,) = [line for line in lines if line["event"] == "gateway.guardrail.aborted"]
    assert (line["route"], line["arm"], line["guardrail"], line["why"], line["log_level"]) == (
        "r", "canary", "errors", change.why, "error",
    )  # fmt: skip
    site.tick()
    assert site.document().version == 3
    assert site.driver.aborts == {("r", "canary", "errors"): 1}


def test_a_bad_canary_goes_even_when_its_step_is_over_and_its_alias_has_moved(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.follow("1")
    site.tick(after_s=60)
    assert site.what() == ["apply", "start", "abort canary: errors", "follow canary to 1"]
    assert site.stands() == ("ABORTED", 0)


def test_one_error_of_a_canary_is_not_enough(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=1)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    found, _ = site.driver.verdicts["r"]  # the other one is of callers who left
    assert (found.arm, found.guardrail, found.verdict.state) == ("canary", "errors", VerdictState.UNDECIDED)
    assert found.verdict.reason.startswith("1 of 12 (8.33%)")


def test_a_canary_that_is_paused_is_watched_all_the_same(site):
    site.begin()
    site.replica.changes.change("r", lambda _: Pause(), Note("ada", "pause"))
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_a_good_hour_does_not_save_a_canary_that_turns_bad(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "every": "10h"})
    for _ in range(59):
        site.count("stable", 900)
        site.count("canary", 100)
        site.tick(after_s=60)
    assert site.driver.verdicts["r"][0].verdict.reason.startswith("0 of 5900 (0%)")
    site.count("stable", 200)
    site.count("canary", 24, errors=16)
    site.tick()
    assert site.stands() == ("ABORTED", 0)
    assert site.newest().why.startswith("16 of 5924 ")


def test_what_is_released_begins_a_new_trial(site):
    site.declare(SPLIT)
    site.count("stable", 400, route="s")
    site.count("b", 40, errors=30, route="s")
    site.tick()
    assert site.document("s").weights["b"] == 0
    site.replica.changes.change("s", lambda _: Release("2", site.now_s), Note("ada", "release"))
    site.replica.changes.change("s", lambda _: Shift({"b": Fraction(1, 2)}), Note("ada", "shift"))
    site.tick()
    assert site.document("s").weights["b"] == 5000


def test_of_a_split_a_bad_arm_goes_and_stays_away(site):
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 30, errors=20, route="s")
    for _ in range(3):
        site.tick()
    assert site.what("s") == ["apply", "abort b: errors"]
    assert site.document("s").weights == {"stable": 10_000, "b": 0}
    assert site.driver.aborts == {("s", "b", "errors"): 1}
    assert site.driver.verdicts["s"][0].verdict.state is VerdictState.UNHEALTHY  # it has no traffic that could be taken


def test_who_does_not_serve_a_route_says_nothing_of_it(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 12, errors=8)
    serving = site.replica.candidates("r")
    site.replica.candidates = lambda _: None
    site.tick()
    assert site.driver.verdicts == {}
    site.replica.candidates = lambda _: {"stable": serving["stable"]}  # what is live is older than the document
    site.tick()
    assert (site.driver.verdicts, site.driver.failures) == ({"r": ()}, 0)
    site.replica.candidates = lambda _: serving
    site.tick()
    assert site.stands() == ("ABORTED", 0)


def test_a_route_that_cannot_be_looked_at_does_not_stop_the_others(site):
    site.begin()
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 30, errors=20, route="s")
    site.count("stable", 100)
    documents, serving = site.documents(), {route: site.replica.candidates(route) for route in ("r", "s")}
    site.replica.seen, site.replica.candidates = documents, serving.get
    site.store.damage("r")
    site.tick()
    assert site.driver.failures == 1
    assert list(site.driver.verdicts) == ["s"]
    assert site.document("s").weights == {"stable": 10_000, "b": 0}


def test_disagreement_with_the_trusted_arm_ends_a_rollout_whoever_answered_the_caller(site):
    site.begin(guardrails=[{"disagreement": {"above": "5%"}}])
    site.add({PAIRS: 40, FLIPS: 4 * MILLION}, arm="stable", against="canary")
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)
    site.add({PAIRS: 40, FLIPS: 36 * MILLION}, arm="canary", against="stable")
    site.tick()
    assert site.stands() == ("ABORTED", 0)
    assert site.newest().why.startswith("40 of 80 (50%) answers of canary differ from what stable answers")
