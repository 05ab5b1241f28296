"""The sums and guardrails of a route are read completely, and each only once."""

from gateway.control.observer import RECENT_S, Observer
from router.evidence import guardrails
from router.evidence.sums import ERRORS, FLIPS, MILLION, PAIRS, REQUESTS, SumKey
from tests.unit.gateway.control.support_rollouts import SPLIT, T0


def test_requests_of_another_version_are_no_samples(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "samples": 100})
    site.count("canary", 500, model="1")
    site.count("stable", 500)
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)


def test_what_was_before_the_trial_is_no_evidence(site):
    site.declare(SPLIT)
    site.count("stable", 100, route="s")
    site.count("b", 60, errors=2, route="s")
    site.tick()
    assert site.driver.verdicts["s"][0].verdict.reason.startswith("2 of 60")
    site.now_s += 20
    site.declare(SPLIT, guardrails=[{"errors": {"worse_by": "2%"}}])
    site.tick()
    assert site.driver.verdicts["s"][0].verdict.reason == "No requests of b have been counted yet."


def test_what_another_version_said_differently_is_not_held_against_this_one(site):
    site.declare(SPLIT, guardrails=[{"disagreement": {"above": "5%"}}])
    before = site.document("s").version
    keys = [SumKey(0, before, "stable", "1", "b", name, "7") for name in (PAIRS, FLIPS)]  # it was b's then
    assert site.store.real.count("before", 0, 1, {"s": dict(zip(keys, (100, 50 * MILLION), strict=True))}) == 1
    site.tick()
    assert site.document("s").weights["b"] == 5000


def test_what_comes_in_between_two_readings_is_counted_once(site, monkeypatch):
    """No stratum is negative, and no request counts twice, while another replica counts at the same time."""
    compared, compare = [], guardrails.compare

    def note(strata, margin, **more):
        compared.append(strata)
        return compare(strata, margin, **more)

    monkeypatch.setattr(guardrails, "compare", note)
    site.begin()
    site.count("stable", 100, errors=2)
    site.count("canary", 12)
    site.now_s += 30
    read = site.store.real.sums

    def sums(route: str, since_version: int):
        site.count("canary", 5, errors=5)
        site.count("stable", 50, errors=1)
        return read(route, since_version)

    site.store.real.sums = sums
    site.tick()
    (_, *strata), _ = compared  # the second one is of callers who left
    assert all(number >= 0 for stratum in strata for number in stratum)
    assert [sum(column) for column in zip(*strata, strict=True)][1:5] == [17, 5, 150, 3]


def test_a_version_of_a_document_is_read_once(site):
    site.begin()
    site.count("stable", 100)
    site.count("canary", 10)
    site.tick(after_s=60)
    site.count("stable", 10)
    site.count("canary", 10)
    for _ in range(5):
        site.tick()
    assert site.store.asked.count("version") == 2


def test_only_the_last_hour_is_read_by_the_bucket(site):
    site.begin()
    observer, asked = Observer(site.store), []
    recent = site.store.real.recent_sums

    def recent_sums(route: str, since_s: int):
        asked.append(since_s)
        return recent(route, since_s)

    site.store.real.recent_sums = recent_sums
    observer.look(site.document(), {"stable": "1", "canary": "2"}, T0 + 0.7)
    assert asked == [T0 - RECENT_S]


def test_without_guardrails_only_samples_are_looked_at(site):
    site.begin(guardrails=[])
    site.count("canary", 12)
    observation = Observer(site.store).look(site.document(), {"stable": "1", "canary": "2"}, T0)
    assert (observation.findings, observation.samples) == ((), 12)
    assert "recent_sums" not in site.store.asked


def test_sums_that_the_store_has_lost_are_not_taken_from_what_is_left(site, monkeypatch):
    compared, compare = [], guardrails.compare

    def note(strata, margin, **more):
        compared.append(strata)
        return compare(strata, margin, **more)

    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "every": "10m"})
    for _ in range(6):
        site.count("stable", 1000, errors=2)
        site.count("canary", 100, errors=1)
        site.tick(after_s=10)
    site.tick(after_s=90)
    before = site.what()
    identity, entries = site.store.revision().identity, list(site.store.history("r", 9))[::-1]
    site.store.lose()
    site.store.restore(identity, entries, [])
    site._counted = 0
    site.count("stable", 20)
    site.count("canary", 2)
    monkeypatch.setattr(guardrails, "compare", note)
    site.tick()
    (_, *strata), _ = compared  # the second one is of callers who left
    assert all(number >= 0 for stratum in strata for number in stratum)
    assert [sum(column) for column in zip(*strata, strict=True)][1:5] == [2, 0, 20, 0]
    assert site.what() == before


STICKY = {"unit": "header:x-user-id"}


def by_groups(site, arm: str, requests: int, errors: int, groups: int) -> None:
    """Count requests of an arm, the same number in each of some groups of units."""
    site.count(arm, requests, errors=errors)
    policy, model = site.document().version, {"stable": "1", "canary": "2"}[arm]
    keys = [SumKey(T0 // 60 * 60, policy, arm, model, "", name) for name in (REQUESTS, ERRORS)]
    added = {
        key._replace(group=group): value // groups
        for key, value in zip(keys, (requests, errors), strict=True)
        for group in range(groups)
    }
    assert site.store.real.count(f"groups of {arm} {requests}", 0, 1, {"r": added}) == 1


def test_sums_by_group_are_read_on_sticky_routes_only_and_not_at_every_look(site):
    site.begin(**STICKY)
    for _ in range(19):
        site.count("stable", 10)
        site.tick(after_s=0.5)
    assert site.store.asked.count("group_sums") == 1
    site.count("stable", 10)
    site.tick(after_s=2)
    assert site.store.asked.count("group_sums") == 2


def test_without_a_unit_no_sums_by_group_are_read(site):
    site.begin()
    site.tick()
    assert "group_sums" not in site.store.asked


def test_a_verdict_that_waits_for_the_units_reads_their_sums_at_once(site):
    site.begin(**STICKY)
    site.tick()
    by_groups(site, "stable", 6400, 64, 64)
    by_groups(site, "canary", 640, 320, 64)
    site.tick(after_s=1.5)
    assert site.stands()[0] == "ABORTED"


def test_a_verdict_on_few_units_stays_undecided_and_is_not_read_without_end(site):
    site.begin(**STICKY)
    site.tick()
    by_groups(site, "stable", 6400, 64, 64)
    by_groups(site, "canary", 640, 320, 1)
    for _ in range(20):
        site.tick(after_s=0.5)
    assert site.stands()[0] == "PROGRESSING"
    assert site.store.asked.count("group_sums") <= 12


def test_a_route_is_read_again_only_when_it_was_counted_or_changed(site):
    site.begin()
    site.count("canary", 12)
    site.declare(SPLIT)
    for _ in range(3):
        site.tick()
    site.store.asked.clear()
    site.tick(after_s=5)
    of_step_time = {"advance", "counted", "forget_source"}
    assert {name for name in site.store.asked if name not in {"version", *of_step_time}} == {"counted_since"}
    site.count("stable", 100, route="s")
    site.tick()
    assert site.store.asked.count("sums") == 1
    assert site.driver.verdicts["r"][0].verdict.reason.startswith("0 of 12")
    site.declare(SPLIT, alpha="2%")
    site.tick()
    assert site.store.asked.count("sums") == 2


def test_a_route_whose_sums_the_store_has_lost_is_read_again_though_only_another_was_counted(site):
    site.begin()
    site.count("canary", 12)
    site.declare(SPLIT)
    site.tick()
    entries = [site.store.read(route) for route in ("r", "s")]
    identity = site.store.revision().identity
    site.count("stable", 5, route="s")
    site.tick()
    site.store.lose()
    site.store.restore(identity, entries, [])
    site._counted = 0
    site.count("stable", 20, route="s")
    site.tick()
    assert site.driver.verdicts["r"][0].verdict.reason == "No requests of canary have been counted yet."


def test_what_is_counted_late_is_judged_in_its_own_time(site):
    """A store that was away for minutes gets its counts late. They must not stand beside the canary's good past."""
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "every": "10h"})
    for _ in range(30):
        site.count("stable", 1000, errors=10)
        site.count("canary", 100, errors=1)
        site.tick(after_s=10)
    bad_s = site.now_s
    site.now_s += 180
    for at_s in range(int(bad_s), int(site.now_s), 10):
        site.count("stable", 1000, errors=10, at_s=at_s)
        site.count("canary", 100, errors=12, at_s=at_s)
    late = Observer(site.store).look(site.document(), {"stable": "1", "canary": "2"}, site.now_s)
    site.tick()
    assert late.findings[0].verdict.state == "UNHEALTHY"
    assert site.stands()[0] == "ABORTED"


def test_what_was_drawn_is_held_against_the_weights_of_each_version(site):
    site.declare(SPLIT)
    site.count("stable", 60, route="s")
    site.count("b", 40, route="s")
    draws = Observer(site.store).look(site.document("s"), {"stable": "1", "b": "7"}, T0).draws
    assert {arm: (each.drawn, each.expected) for arm, each in draws.items()} == {"stable": (60, 50.0), "b": (40, 50.0)}


def test_the_declared_weights_of_a_bandit_are_not_those_that_were_drawn_with(site):
    bandit = {"metrics": {"click": {"window": "1h"}}, "bandit": {"policy": "thompson", "reward": "click"}}
    site.declare(SPLIT, split=None, guardrails=[], **bandit)
    site.count("stable", 90, route="s")
    site.count("b", 10, route="s")
    assert Observer(site.store).look(site.document("s"), {"stable": "1", "b": "7"}, T0).draws == {}
