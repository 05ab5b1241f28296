"""Companions measure together how long a step was observed; the clock, outages and each other do not matter."""

import pytest

from gateway.control.binding import candidate_of
from gateway.control.changes import Note
from gateway.control.step_clock import StepClock, read_observed_s
from router.document.commands import Pause, Resume, Start
from router.document.step_time import step_source
from router.spec.spec import ArmRef
from store.errors import StoreUnavailable
from tests.unit.gateway.control.support_rollouts import ROLLOUT, Replica


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_neither_an_outage_nor_a_jump_of_the_clock_ends_a_step_or_stretches_it(site, jump_s):
    """A step lasts a minute."""
    site.begin()
    site.count("canary", 20)
    site.count("stable", 150)
    site.tick(after_s=30)
    site.jump(jump_s)
    assert site.stands() == ("PROGRESSING", 1000)
    site.tick(after_s=28)
    assert site.stands() == ("PROGRESSING", 1000)
    site.tick(after_s=4)
    assert site.stands() == ("PROGRESSING", 5000)


def test_a_step_goes_on_where_a_companion_that_ended_has_left_it(site):
    site.begin()
    site.count("canary", 20)
    site.tick(after_s=30)
    site.driver = Replica(site, "replica-1", site.store).driver
    site.jump(3600)
    site.tick(after_s=26)
    assert site.stands() == ("PROGRESSING", 1000)
    site.tick(after_s=8)  # what was not saved is lost: 1.2 s of a step of a minute
    assert site.stands() == ("PROGRESSING", 5000)


def test_a_route_that_no_replica_serves_is_not_observed(site):
    site.begin()
    site.count("canary", 20)
    serving = site.replica.candidates
    site.replica.candidates = lambda _: None
    site.tick(after_s=120)
    site.replica.candidates = serving
    site.tick()
    assert site.stands() == ("PROGRESSING", 1000)


@pytest.mark.parametrize("offsets_s", [(0.0, 0.25), (0.0, 0.0), (0.0, 0.1, 0.2, 0.3)])
def test_several_companions_count_no_second_twice(site, offsets_s):
    site.begin()
    document = site.document()
    clocks = [StepClock(site.store) for _ in offsets_s]
    observed_s = 0.0
    for look in range(80):
        for clock, offset_s in zip(clocks, offsets_s, strict=True):
            observed_s = clock.observe(document, site.now_s + look / 2 + offset_s)
            clock.save()
    passed_s = 79 / 2 + offsets_s[-1]
    assert passed_s - 1.5 <= observed_s <= passed_s
    assert passed_s - 3.0 <= read_observed_s(site.store, [document])["r"] <= passed_s


def test_each_step_begins_with_nothing_and_is_forgotten_when_it_has_ended(site):
    site.begin()
    site.count("canary", 20)
    site.tick(after_s=30)
    first = site.document()
    assert read_observed_s(site.store, [first])["r"] >= 28
    site.replica.changes.change("r", lambda _: Pause(), Note("ada", "pause"))
    site.tick()
    assert site.store.real.counted(step_source(first)) == 0
    site.replica.changes.change("r", lambda _: Resume(site.now_s), Note("ada", "resume"))
    site.count("canary", 20)
    site.tick(after_s=58)
    assert site.stands() == ("PROGRESSING", 1000)
    site.tick(after_s=4)
    assert site.stands() == ("PROGRESSING", 5000)


def test_a_step_without_a_time_asks_the_store_for_none(site):
    site.begin(rollout={"of": "canary", "steps": ["10%", "50%"], "samples": 100})
    site.store.asked.clear()
    site.tick(after_s=10)
    assert not {"count", "counted", "counted_each", "advance", "forget_source"} & set(site.store.asked)


def test_many_steps_are_saved_with_one_write_and_read_with_one_question(site):
    candidate = candidate_of(site.replica.catalogue, ArmRef("linear", alias="challenger"))
    for number in range(20):
        site.declare(ROLLOUT, route=f"r{number}")
        site.replica.changes.change(f"r{number}", lambda _: Start(candidate, site.now_s), Note("ada", "start"))
    site.tick()
    site.store.asked.clear()
    site.tick(after_s=4)
    assert site.store.asked.count("advance") == 2  # at each of the two looks
    assert not {"count", "counted"} & set(site.store.asked)
    site.store.asked.clear()
    observed_s = read_observed_s(site.store, site.documents().values())
    assert site.store.asked == ["counted_each"]
    assert observed_s == {f"r{number}": pytest.approx(4.5, abs=0.01) for number in range(20)}


def test_what_could_not_be_saved_is_saved_later(site):
    site.begin()
    clock, document = StepClock(site.store), site.document()
    for look in range(8):
        observed_s = clock.observe(document, site.now_s + look)
    site.store.is_away = True
    with pytest.raises(StoreUnavailable):
        clock.save()
    site.store.is_away = False
    clock.save()
    assert read_observed_s(site.store, [document]) == {"r": observed_s} == {"r": 7.0}
