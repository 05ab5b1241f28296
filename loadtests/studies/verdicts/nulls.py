"""Canaries that are not worse than allowed. Almost none may be aborted."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from loadtests.studies.verdicts import drawn, units
from loadtests.studies.verdicts.drawn import LOOK_S, Course, steady
from loadtests.studies.verdicts.finding import ALPHA, NEVER, Finding
from loadtests.studies.verdicts.units import BUCKETS, Batch, Users, alike, unlike

PROMISE = "not wrongly aborted"
_ROLLOUT = (0.01, 0.05, 0.25, 0.5)
_GUARDRAILS = 3
_STEPS = "1-5-25-50%"


def of_drawn_requests(runs: int, looks: int, rng: np.random.Generator) -> Iterator[Finding]:
    """Yield the share of false verdicts where requests are drawn, watched for `looks` looks."""
    for case, course, worse in _courses(looks, rng):
        outcome = drawn.play(course, runs, rng, worse=worse)
        yield Finding(PROMISE if worse else "not wrongly found healthy", case, outcome.found, ALPHA)
    course = steady(looks, 0.0, 0.05, 0.01, 0.01)
    outcomes = [drawn.play(course, runs, rng, alpha=ALPHA / _GUARDRAILS) for _ in range(_GUARDRAILS)]
    wrong = np.any([outcome.look != NEVER for outcome in outcomes], axis=0)
    yield Finding(PROMISE, "three guardrails, 1% beside 1%, margin 0%", float(wrong.mean()), ALPHA)
    five = drawn.play(steady(looks, 0.0, 0.5, 0.01, 0.01), runs, rng, candidates=4)
    yield Finding(PROMISE, "five arms of 20%, 1% each, margin 0%", five.found, ALPHA)


def of_units(runs: int, rng: np.random.Generator) -> Iterator[Finding]:
    """Yield the share of false verdicts on sticky routes, looked at every ten seconds for ten minutes."""
    for case, users in users_of_nulls():
        yield Finding(PROMISE, f"units: {case}", units.play(users, runs, rng).found, ALPHA)
    for case, users in users_of_worse_canaries():
        outcome = units.play(users, runs, rng, worse=False)
        yield Finding("not wrongly found healthy", f"units: {case}", outcome.found, ALPHA)


def _courses(looks: int, rng: np.random.Generator) -> Iterator[tuple[str, Course, bool]]:
    """Yield courses on which the null hypothesis is true, mostly at its boundary. `True` tests for "worse"."""
    for share in (0.01, 0.05, 0.5):
        for margin, worse_by in ((0.01, 0.0), (0.01, 0.01), (0.0, 0.0)):
            case = f"{1 + 100 * worse_by:g}% beside 1%, margin {100 * margin:g}%, share {100 * share:g}%"
            yield case, steady(looks, margin, share, 0.01 + worse_by, 0.01), True
        yield f"2% beside 1%, margin 1%, share {100 * share:g}%", steady(looks, 0.01, share, 0.02, 0.01), False
    for margin, rate in ((0.0, 0.2), (0.3, 0.25), (0.0, 0.001), (0.5, 0.3)):
        case = f"{100 * (rate + margin):g}% beside {100 * rate:g}%, margin {100 * margin:g}%, share 5%"
        yield case, steady(looks, margin, 0.05, rate + margin, rate), True
    for case, course in _moving(looks, rng):
        yield case, course, True


def _moving(looks: int, rng: np.random.Generator) -> Iterator[tuple[str, Course]]:
    """Yield courses on which the rates of both arms move together, and the weights, too."""

    def drifting(look: int) -> float:
        """Return a rate between 0.5 % and 5 %, with a period of a minute."""
        return 0.0275 + 0.0225 * math.sin(2 * math.pi * look * LOOK_S / 60)

    def slow_spells(look: int) -> float:
        """Return 60 % for 15 s of every minute, else 1 %."""
        return 0.6 if look * LOOK_S % 60 < 15 else 0.01

    def ramping(look: int) -> float:
        return _ROLLOUT[look * len(_ROLLOUT) // looks]

    weights = rng.uniform(0.01, 0.5, looks)

    def anew(look: int) -> float:
        """Return another share every ten seconds."""
        return float(weights[int(look * LOOK_S) // 10])

    shares: tuple[tuple[str, Callable[[int], float]], ...] = (
        ("share 5%", lambda _: 0.05),
        ("share 1% to 50%", ramping),
        ("weights anew every 10 s", anew),
    )
    for name, rates in (("drifting together", drifting), ("slow spells on both arms", slow_spells)):
        for margin in (0.0, 0.01):
            for words, share_at in shares:
                worse = partial(_worse_by, margin, rates)
                yield f"{name}, margin {100 * margin:g}%, {words}", Course(looks, margin, share_at, worse, rates)


def _worse_by(margin: float, rates: Callable[[int], float], look: int) -> float:
    return rates(look) + margin


def _rollout(look: int) -> float:
    return _ROLLOUT[look * len(_ROLLOUT) // BUCKETS]


def _constant(share: float) -> Callable[[int], float]:
    return lambda _: share


def users_of_nulls() -> Iterator[tuple[str, Users]]:
    """Yield users of sticky routes on which the arms are alike, or the candidate is worse by the margin exactly."""
    for zipf in (0.0, 0.4, 0.7, 1.0, 1.2):
        for number in (200, 1000, 10_000):
            users = Users(unlike(), 0.0, _rollout, units=number, zipf=zipf)
            yield f"5% of {number} at 90%, others 1%, Zipf {zipf:g}, margin 0%, {_STEPS}", users
    for share in (0.01, 0.05, 0.5):
        users = Users(unlike(), 0.0, _constant(share))
        yield f"5% of 10000 at 90%, others 1%, Zipf 1, margin 0%, share {100 * share:g}%", users
        few = replace(users, units=200, zipf=1.2, margin=0.02)
        yield f"5% of 200 at 90%, others 1%, Zipf 1.2, margin 2%, share {100 * share:g}%", few
    yield f"alike, Zipf 1, margin 0%, {_STEPS}", Users(alike(0.02), 0.0, _rollout)
    for share in (0.05, 0.5):
        users = Users(alike(0.01), 0.01, _constant(share), worse_by=0.01)
        yield f"2% beside 1%, margin 1%, Zipf 1, share {100 * share:g}%", users
    worse = Users(unlike(), 0.02, _constant(0.25), worse_by=0.02)
    yield "5% of 10000 at 90%, worse by the margin of 2%, share 25%", worse
    yield from _moving_users()
    yield from _bursts()


def users_of_worse_canaries() -> Iterator[tuple[str, Users]]:
    """Yield users for whom the candidate is worse by the margin exactly, so that it must not be found healthy."""
    for share in (0.01, 0.05, 0.5):
        for zipf in (0.0, 1.0):
            worse = Users(unlike(), 0.02, _constant(share), zipf=zipf, worse_by=0.02)
            yield f"5% of 10000 at 90%, worse by the margin of 2%, Zipf {zipf:g}, share {100 * share:g}%", worse
        alike_users = Users(alike(0.01), 0.01, _constant(share), units=1000, zipf=1.2, worse_by=0.01)
        yield f"1000 alike, worse by the margin of 1%, Zipf 1.2, share {100 * share:g}%", alike_users


def _moving_users() -> Iterator[tuple[str, Users]]:
    """Yield users of routes where weights and rates move."""

    def anew(look: int) -> float:
        return (0.05, 0.3, 0.1, 0.5, 0.02, 0.2)[look * 7 % 6]

    def wave(look: int) -> float:
        return 1 + 0.9 * math.sin(look)

    yield "5% at 90%, Zipf 1, margin 0%, weights anew every 10 s", Users(unlike(), 0.0, anew)
    together = Users(unlike(high=0.5), 0.0, _rollout, drift=wave)
    yield f"5% at 50%, others 1%, drifting together, margin 0%, {_STEPS}", together
    day_and_night = Users(alike(0.01), 0.0, _rollout, by_night=0.5, day_factor=20.0)
    yield f"day users at 20%, night users at 1%, margin 0%, {_STEPS}", day_and_night
    for clients in (1, 5, 20):
        for words, share_at in ((_STEPS, _rollout), ("share 25%", _constant(0.25))):
            users = Users(alike(0.01), 0.0, share_at, batch=Batch(clients, 2000 // clients, slow=0.4))
            yield f"{clients} batch clients that slow both arms, margin 0%, {words}", users


def _bursts() -> Iterator[tuple[str, Users]]:
    """Yield users whose failing requests are sent again, and fail again."""
    for burst in (2, 3, 6):
        users = Users(alike(0.01), 0.0, _rollout, zipf=0.5, burst=burst)
        yield f"failures in bursts of 1 to {burst}, Zipf 0.5, margin 0%, {_STEPS}", users
    rate, other_rate = _before_bursts(0.02), _before_bursts(0.01)
    for zipf in (0.5, 1.0):
        users = Users(alike(other_rate), 0.01, _constant(0.05), zipf=zipf, worse_by=rate - other_rate, burst=6)
        yield f"bursts of 1 to 6, worse by the margin of 1%, Zipf {zipf:g}, share 5%", users


def _before_bursts(rate: float) -> float:
    """Return the rate of first failures if `rate` is that of all requests and failures come in bursts of one to six.

    A failure is then counted 3.5 times on average.
    """
    return rate / (3.5 - 2.5 * rate)
