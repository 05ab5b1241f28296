"""The simulation is compared with the code that runs in the gateway."""

import numpy as np
import pytest

from loadtests.studies.verdicts.drawn import LOOKS_PER_BUCKET, Watch, play, steady
from loadtests.studies.verdicts.finding import NEVER
from router.evidence.evidence import Stratum, compare
from router.evidence.sums import BUCKET_S
from router.evidence.time_buckets import block_start_s


@pytest.mark.parametrize("margin", [0.0, 0.01])
@pytest.mark.parametrize("worse", [True, False])
def test_the_simulated_evidence_is_that_of_the_gateway_and_within_its_bound(margin, worse):
    rng = np.random.default_rng(1)
    watch = Watch(2, margin, worse)
    strata = []
    for bucket in range(40):
        share = 0.05 if bucket < 25 else 0.25
        requests, others = rng.integers(0, 50, 2), rng.integers(0, 900, 2)
        counts = np.stack([requests, rng.binomial(requests, 0.1), others, rng.binomial(others, 0.02)], axis=1)
        watch.begin_bucket(bucket)
        watch.add(share, counts)
        strata.append((share, counts, bucket * BUCKET_S))
    newest_s = strata[-1][-1]
    for run in (0, 1):
        seen = [
            Stratum(share, *(int(count) for count in counts[run]), block_start_s(bucket_s, newest_s))
            for share, counts, bucket_s in strata
        ]
        evidence = compare(seen, margin)[0 if worse else 1]
        assert watch.evidence(run) == pytest.approx(evidence, abs=1e-6)
        assert evidence <= watch.at_most()[run] + 1e-6


def test_the_same_seed_gives_the_same_outcome():
    first, second = (play(steady(50, 0.0, 0.5, 0.2, 0.01), 20, np.random.default_rng(7)) for _ in range(2))
    assert (first.look == second.look).all()
    assert (first.requests == second.requests).all()


def test_a_course_ends_when_all_runs_are_decided_and_others_are_never():
    bad = play(steady(500, 0.0, 0.5, 1.0, 0.0), 20, np.random.default_rng(7))
    assert bad.look.max() < LOOKS_PER_BUCKET
    assert (play(steady(5, 0.0, 0.5, 0.0, 0.0), 20, np.random.default_rng(7)).look == NEVER).all()


def test_of_several_candidates_one_that_is_found_is_enough():
    bad = play(steady(50, 0.0, 0.5, 0.5, 0.01), 20, np.random.default_rng(7), candidates=4)
    assert bad.found == 1
    assert bad.requests.min() > 4
