"""Which counts are compared: by policy version and time, of one model version, since the trial began."""

import threading
from collections import Counter
from fractions import Fraction

import pytest

from router.document.apply import apply
from router.document.commands import Advance, Declare, Shift, Start
from router.document.document import Document
from router.evidence import guardrails
from router.evidence.evidence import Evidence
from router.evidence.guardrails import count_samples, findings
from router.evidence.strata import Counted
from router.evidence.sums import BUCKET_S, ERRORS, FLIPS, LEFT, MILLION, MISSING, PAIRS, REQUESTS, UNSEEN, SumKey, slow
from router.evidence.time_buckets import block_start_s
from router.evidence.units import by_group
from router.evidence.verdict import VerdictState
from router.spec.parse import parse_spec
from tests.unit.router.support import T0, V2, V3

FIRST_S = int(T0) // BUCKET_S * BUCKET_S
ERRORS_GUARD = {"errors": {"worse_by": "1%"}}
VERSIONS = {"stable": "1", "canary": "2"}
STEPS = {"of": "canary", "steps": ["1%", "5%"], "every": "1m"}


def rollout(*guards: dict, **more) -> Document:
    """Return a rollout of canary at version 2 of the document, with version 2 of the model as the candidate."""
    arms = {"stable": "m@champion", "canary": "m@challenger"}
    raw = {"route": "r", "arms": arms, "rollout": STEPS, "guardrails": list(guards or [ERRORS_GUARD]), **more}
    return apply(apply(None, Declare(parse_spec(raw), T0)), Start(V2, T0))


def split(*guards: dict, **more) -> Document:
    arms = {"stable": "m:1", "b": "m:2", "c": "m:3"}
    raw = {"route": "r", "arms": arms, "split": {"stable": "50%", "b": "30%", "c": "20%"}, "fallback": "stable"}
    return apply(None, Declare(parse_spec({**raw, "guardrails": list(guards or [ERRORS_GUARD]), **more}), T0))


def key(
    name: str, arm: str = "canary", policy: int = 2, model: str = "", against: str = "", bucket_s: int = 0
) -> SumKey:
    model = model or {"stable": "1", "canary": "2", "b": "2", "c": "3"}[arm]
    against_version = {"stable": "1", "canary": "2"}.get(against, "")
    return SumKey(bucket_s, policy, arm, model, against, name, against_version)


def counts(requests: int, events: int, event: str = ERRORS, **more) -> Counter:
    return Counter({key(REQUESTS, **more): requests, key(event, **more): events})


class Compared:
    """Records the strata that the test compares, and compares them.

    Replicas of other tests may run in threads of this process. Their comparisons are not recorded.
    """

    def __init__(self, monkeypatch) -> None:
        self._thread = threading.current_thread()
        self.strata: list[list[tuple]] = []
        self._compare = guardrails.compare
        monkeypatch.setattr(guardrails, "compare", self)

    def __call__(self, strata, margin, *, by_unit) -> Evidence:
        if threading.current_thread() is self._thread:
            self.margin, self.by_unit = margin, by_unit
            self.strata.append([tuple(each) for each in strata])
        return self._compare(strata, margin, by_unit=by_unit)

    @property
    def rows(self) -> list[tuple]:
        """The strata of the first comparison, without the first one, which marks the start.

        The guardrail `errors` has a second one, of callers who left.
        """
        strata = self.strata[0]
        assert strata[0] == (0.5, 0, 0, 0, 0, FIRST_S)
        return strata[1:]


@pytest.fixture
def compared(monkeypatch) -> Compared:
    return Compared(monkeypatch)


def find(document, totals, recent=None, weights=None, versions=None, groups=None, recent_groups=None):
    counted = Counted(
        weights={2: document.weights} if weights is None else weights,
        totals=totals,
        recent=recent or {},
        group_totals=by_group(groups or {}),
        group_recent=by_group(recent_groups or {}),
    )
    return findings(document, versions=versions or VERSIONS, counted=counted)


def judge(document, totals, recent=None, **given):
    found = find(document, totals, recent, **given)
    return tuple(each for each in found if each.guardrail != "callers left")


@pytest.mark.parametrize(
    ("guard", "names"),
    [
        (ERRORS_GUARD, ["errors", "callers left"]),
        ({"missing_outputs": {"worse_by": "1%"}}, ["missing_outputs"]),
        ({"slower_than": "50ms", "worse_by": "2%"}, ["slower_than 50ms"]),
        ({"disagreement": {"above": "5%"}}, ["disagreement"]),
    ],
)
def test_findings_are_named_by_what_they_watch(guard, names):
    document = rollout(guard)
    found = find(document, versions=VERSIONS, weights={2: document.weights}, totals={})
    assert [(each.arm, each.guardrail) for each in found] == [("canary", name) for name in names]


def test_without_data_nothing_is_decided():
    (found,) = judge(rollout(), {})
    assert (found.verdict.state, found.verdict.p_value) == (VerdictState.UNDECIDED, 1.0)
    assert found.verdict.reason == "No requests of canary have been counted yet."


def test_a_canary_that_fails_half_of_what_it_gets_is_unhealthy_with_the_numbers():
    totals = counts(12, 6) + counts(1188, 1, arm="stable")
    (found,) = judge(rollout(), totals)
    assert found.verdict.state is VerdictState.UNHEALTHY
    assert found.verdict.reason.startswith(
        "6 of 12 (50%) requests of canary failed, against 1 of 1188 (0.0842%) of stable; allowed is 1% more. p <= "
    )


def test_one_error_does_not_condemn_a_canary():
    (found,) = judge(rollout(), counts(12, 1) + counts(1188, 0, arm="stable"))
    assert found.verdict.state is VerdictState.UNDECIDED


def test_requests_are_compared_by_policy_version_with_its_weights(compared):
    first = rollout()
    second = apply(first, Advance(T0 + 60))
    totals = counts(10, 1) + counts(900, 9, arm="stable")
    totals += counts(50, 2, policy=3) + counts(950, 8, arm="stable", policy=3)
    judge(second, totals, weights={2: first.weights, 3: second.weights})
    assert compared.rows == [(0.01, 10, 1, 900, 9, FIRST_S), (0.05, 50, 2, 950, 8, FIRST_S)]
    assert compared.margin == 0.01


def test_nothing_counts_from_before_the_trial(compared):
    document = rollout()
    assert document.trial_version == 2
    totals = counts(10, 10, policy=1) + counts(7, 1) + counts(70, 0, arm="stable", policy=1)
    recent = counts(10, 10, policy=1, bucket_s=FIRST_S + 100) + counts(4, 1, bucket_s=FIRST_S + 100)
    judge(document, totals, recent, weights={1: {"stable": 5000, "canary": 5000}, 2: document.weights})
    assert compared.rows == [(0.01, 3, 0, 0, 0, FIRST_S), (0.01, 4, 1, 0, 0, FIRST_S + 100)]


def test_what_another_version_did_under_the_arms_name_does_not_count(compared):
    totals = counts(10, 9, model="1.9") + counts(20, 1)
    totals += counts(500, 3, arm="stable") + counts(400, 2, arm="stable", model="0")  # the alias of stable has changed
    recent = counts(5, 5, model="1.9", bucket_s=FIRST_S + 50) + counts(6, 1, bucket_s=FIRST_S + 50)
    judge(rollout(), totals, recent)
    assert compared.rows == [(0.01, 14, 0, 900, 5, FIRST_S), (0.01, 6, 1, 0, 0, FIRST_S + 50)]


def test_versions_says_whose_requests_count(compared):
    document = rollout()
    totals = counts(10, 9) + counts(20, 1, model="3") + counts(500, 3, arm="stable")
    judge(document, totals, versions={**VERSIONS, "canary": V3.version})
    assert compared.rows == [(0.01, 20, 1, 500, 3, FIRST_S)]


def test_policy_versions_in_which_nothing_can_be_compared_are_left_out(compared):
    totals = Counter()
    for policy in (2, 3, 4, 5):
        totals += counts(10, 1, policy=policy) + counts(100, 1, arm="stable", policy=policy)
    everything, nothing = {"stable": 0, "canary": 10_000}, {"stable": 10_000, "canary": 0}
    judge(rollout(), totals, weights={2: {"stable": 9900, "canary": 100}, 3: everything, 4: nothing})  # 5 is unknown
    assert compared.rows == [(0.01, 10, 1, 100, 1, FIRST_S)]


def test_what_came_lately_is_kept_apart_from_what_came_before(compared):
    late_s = FIRST_S + 3600
    totals = counts(1000, 2) + counts(9000, 20, arm="stable")
    recent = counts(5, 1, bucket_s=late_s) + counts(45, 2, arm="stable", bucket_s=late_s)
    recent += counts(4, 1, bucket_s=late_s + 10) + counts(44, 0, arm="stable", bucket_s=late_s + 10)
    judge(rollout(), totals, recent)
    assert compared.rows == [
        (0.01, 991, 0, 8911, 18, FIRST_S),
        (0.01, 5, 1, 45, 2, late_s),
        (0.01, 4, 1, 44, 0, late_s + 10),
    ]


def test_old_buckets_are_merged_and_nothing_is_lost(compared):
    recent = Counter()
    for bucket_s in range(FIRST_S + 600, FIRST_S + 4000, BUCKET_S):
        recent += counts(2, 1, bucket_s=bucket_s) + counts(8, 1, arm="stable", bucket_s=bucket_s)
    totals = Counter({each._replace(bucket_s=0): 0 for each in recent})
    for each, value in recent.items():
        totals[each._replace(bucket_s=0)] += value
    totals += counts(100, 0)
    judge(rollout(), totals, recent)
    blocks = {block_start_s(each.bucket_s, FIRST_S + 3990) for each in recent}
    begins = [stratum[-1] for stratum in compared.rows]
    # The oldest block begins before the oldest bucket, so part of it may be gone. All of it counts as old.
    assert begins == [FIRST_S, *sorted(block for block in blocks if block >= FIRST_S + 600)]
    assert min(blocks) < FIRST_S + 600
    assert len(begins) < 35
    assert [sum(column) for column in list(zip(*compared.rows, strict=True))[1:5]] == [780, 340, 2720, 340]


@pytest.mark.parametrize("meanwhile", [0, 1, 7])
def test_what_is_counted_between_the_two_readings_makes_no_remainder_negative(compared, meanwhile):
    """Recent sums are read first, so the totals include all of them."""
    late_s = FIRST_S + 1000
    recent = counts(5, 2, bucket_s=late_s) + counts(50, 1, arm="stable", bucket_s=late_s)
    totals = counts(5 + meanwhile, 2 + meanwhile) + counts(50 + meanwhile, 1, arm="stable")
    judge(rollout(), totals, recent)
    assert all(count >= 0 for stratum in compared.rows for count in stratum[1:5])
    assert sum(stratum[1] for stratum in compared.rows) == 5 + meanwhile


def test_a_replica_whose_clock_is_behind_counts_from_the_beginning(compared):
    early_s = FIRST_S - 5 * BUCKET_S
    judge(rollout(), counts(5, 2), counts(5, 2, bucket_s=early_s))
    assert compared.rows == [(0.01, 5, 2, 0, 0, FIRST_S)]


def test_the_beginning_is_there_before_anything_is_counted(compared):
    judge(rollout(), {})
    assert compared.rows == []


def test_a_good_past_does_not_protect_a_canary_that_has_turned_bad():
    late_s = FIRST_S + 3000
    totals = counts(20_016, 10) + counts(390_000, 100, arm="stable")
    recent = counts(16, 8, bucket_s=late_s) + counts(1600, 0, arm="stable", bucket_s=late_s)
    (by_bucket,), (altogether,) = judge(rollout(), totals, recent), judge(rollout(), totals)
    assert by_bucket.verdict.state is VerdictState.UNHEALTHY
    assert altogether.verdict.state is not VerdictState.UNHEALTHY


@pytest.mark.parametrize(
    ("guard", "event", "words"),
    [
        (ERRORS_GUARD, ERRORS, "failed"),
        ({"missing_outputs": {"worse_by": "1%"}}, MISSING, "were answered with a value missing"),
        ({"slower_than": "50ms", "worse_by": "1%"}, slow(50_000), "took longer than 50ms"),
    ],
)
def test_each_guardrail_counts_its_own_events(compared, guard, event, words):
    totals = counts(20, 3, event) + counts(100, 1, event, arm="stable")
    for other in {ERRORS, MISSING, slow(50_000), slow(20_000)} - {event}:
        totals += Counter({key(other): 19, key(other, arm="stable"): 99})
    (found,) = judge(rollout(guard), totals)
    assert compared.rows == [(0.01, 20, 3, 100, 1, FIRST_S)]
    assert found.verdict.reason.startswith(f"3 of 20 (15%) requests of canary {words}, against 1 of 100 (1%) of stable")


def pairs(number: int, flips: int, arm: str, against: str, model: str = "1", policy: int = 2) -> Counter:
    keys = {"arm": arm, "against": against, "model": model, "policy": policy}
    return Counter({key(PAIRS, **keys): number, key(FLIPS, **keys): flips * MILLION})


def test_disagreement_is_that_of_pairs_whichever_of_both_answered_the_caller():
    document = rollout({"disagreement": {"above": "5%"}})
    totals = pairs(100, 60, "stable", "canary") + pairs(50, 20, "canary", "stable", model="2")
    totals += pairs(1000, 0, "canary", "other", model="2") + pairs(1000, 0, "m:9", "canary")
    totals += pairs(1000, 0, "stable", "canary", policy=1)
    (found,) = judge(document, totals)
    assert found.verdict.state is VerdictState.UNHEALTHY
    assert found.verdict.reason.startswith(
        "80 of 150 (53.3%) answers of canary differ from what stable answers, allowed is 5%. p <= "
    )


def test_one_request_of_many_instances_that_differ_aborts_nobody():
    """99 requests agree, and one of 64 rows differs in all of them: that is one request, not 64."""
    document = rollout({"disagreement": {"above": "5%"}})
    (found,) = judge(document, pairs(100, 1, "stable", "canary"))
    assert found.verdict.state is not VerdictState.UNHEALTHY
    assert found.verdict.reason.startswith("1 of 100 (1%) answers of canary differ")


def test_an_answer_differs_by_the_share_of_its_instances():
    document = rollout({"disagreement": {"above": "5%"}})
    totals = Counter({key(PAIRS, arm="stable", against="canary", model="1"): 40})
    totals[key(FLIPS, arm="stable", against="canary", model="1")] = 40 * 250_000
    (found,) = judge(document, totals)
    assert found.verdict.reason.startswith("10 of 40 (25%) answers of canary differ")
    assert found.verdict.state is VerdictState.UNHEALTHY


def test_slow_requests_are_among_those_of_callers_who_left_too(compared):
    totals = counts(2, 20, slow(50_000)) + counts(100, 1, slow(50_000), arm="stable")
    totals += Counter({key(LEFT): 18, key(LEFT, arm="stable"): 7})
    (found,) = judge(rollout({"slower_than": "50ms", "worse_by": "1%"}), totals)
    assert compared.rows == [(0.01, 20, 20, 107, 1, FIRST_S)]
    assert found.verdict.state is VerdictState.UNHEALTHY


def test_those_who_agree_are_healthy_and_those_without_pairs_undecided():
    document = rollout({"disagreement": {"above": "5%"}})
    assert judge(document, pairs(1000, 3, "stable", "canary"))[0].verdict.state is VerdictState.HEALTHY
    (found,) = judge(document, counts(1000, 3))
    assert (found.verdict.state, found.verdict.reason) == (
        VerdictState.UNDECIDED,
        "No answers of canary have been counted yet.",
    )


def test_in_a_split_all_but_the_trusted_arm_are_watched_each_against_the_trusted_arm(compared):
    document = split()
    totals = counts(30, 3, arm="b", policy=1) + counts(20, 2, arm="c", policy=1) + counts(50, 5, arm="stable", policy=1)
    versions = {"stable": "1", "b": "2", "c": "3"}
    found = find(document, versions=versions, weights={1: document.weights}, totals=totals)
    assert [(each.arm, each.guardrail) for each in found] == [
        (arm, name) for arm in ("b", "c") for name in ("errors", "callers left")
    ]
    assert [strata[1:] for strata in compared.strata[::2]] == [
        [(30 / 80, 30, 3, 50, 5, FIRST_S)],
        [(20 / 70, 20, 2, 50, 5, FIRST_S)],
    ]


def test_four_bad_candidates_beside_a_trusted_arm_are_all_found():
    arms = ("stable", "b", "c", "d", "e")
    raw = {"route": "r", "arms": {arm: f"m:{at}" for at, arm in enumerate(arms, 1)}, "fallback": "stable"}
    raw |= {"split": dict.fromkeys(arms, "20%"), "guardrails": [ERRORS_GUARD]}
    document = apply(None, Declare(parse_spec(raw), T0))
    versions = {arm: str(at) for at, arm in enumerate(arms, 1)}
    totals = Counter()
    for arm, version in versions.items():
        totals += counts(10_000, 100 if arm == "stable" else 400, arm=arm, policy=1, model=version)
    found = find(document, versions=versions, weights={1: document.weights}, totals=totals)
    unhealthy = [each.arm for each in found if each.verdict.state is VerdictState.UNHEALTHY]
    assert unhealthy == ["b", "c", "d", "e"]


def test_a_stratum_without_weight_of_the_trusted_arm_compares_nothing(compared):
    totals = counts(30, 3, arm="b", policy=1) + counts(20, 2, arm="c", policy=1) + counts(50, 5, arm="stable", policy=1)
    weights = {1: {"stable": 0, "b": 5000, "c": 5000}}
    find(split(), versions={"b": "2"}, weights=weights, totals=totals)
    assert compared.rows == []


HANGING = Counter({
    key(REQUESTS): 10, key(LEFT): 228, key(slow(50_000)): 228,
    key(REQUESTS, arm="stable"): 2000, key(LEFT, arm="stable"): 4, key(slow(50_000), arm="stable"): 4,
})  # fmt: skip


@pytest.mark.parametrize(
    ("guard", "name", "reason"),
    [
        (ERRORS_GUARD, "callers left", "228 of 238 (95.8%) requests of canary lost their callers before the answer"),
        ({"slower_than": "50ms", "worse_by": "1%"}, "slower_than 50ms", "228 of 238 (95.8%) requests of canary took"),
    ],
)
def test_a_canary_that_hangs_until_its_callers_leave_is_unhealthy(guard, name, reason):
    document = rollout(guard)
    found = find(document, versions=VERSIONS, weights={2: document.weights}, totals=HANGING)
    (unhealthy,) = [each for each in found if each.verdict.state is VerdictState.UNHEALTHY]
    assert unhealthy.guardrail == name
    assert unhealthy.verdict.reason.startswith(reason)


def test_callers_who_leave_both_arms_alike_condemn_none():
    totals = counts(900, 9) + counts(9000, 90, arm="stable")
    totals += Counter({key(LEFT): 100, key(LEFT, arm="stable"): 1000})
    document = rollout()
    found = find(document, versions=VERSIONS, weights={2: {"stable": 9091, "canary": 909}}, totals=totals)
    assert VerdictState.UNHEALTHY not in [each.verdict.state for each in found]


def test_a_guardrail_that_sees_no_output_is_blind():
    (found,) = judge(rollout({"missing_outputs": {"worse_by": "1%"}}), counts(100, 0) + Counter({key(UNSEEN): 100}))
    assert found.verdict.state is VerdictState.BLIND
    assert found.verdict.reason == (
        "The log keeps no output of this model in which a value could be missing, so nothing is known of canary."
    )
    other = Counter({key(UNSEEN, model="1.9"): 100, key(UNSEEN, policy=1): 9, key(UNSEEN, arm="stable"): 9})
    (found,) = judge(rollout({"missing_outputs": {"worse_by": "1%"}}), counts(100, 0) + other)
    assert found.verdict.state is not VerdictState.BLIND
    (found,) = judge(rollout(ERRORS_GUARD), counts(100, 0) + Counter({key(UNSEEN): 100}))
    assert found.verdict.state is not VerdictState.BLIND


def test_answers_in_which_nothing_can_be_compared_make_disagreement_blind():
    document = rollout({"disagreement": {"above": "5%"}})
    unseen = Counter({key(UNSEEN, arm="stable", against="canary"): 10})
    (found,) = judge(document, unseen)
    assert found.verdict.state is VerdictState.BLIND
    assert found.verdict.reason.startswith("The log keeps no output of this model that could be compared with stable's")
    (found,) = judge(document, Counter({key(UNSEEN, arm="m:9", against="canary", model="9"): 10}))
    assert found.verdict.state is VerdictState.UNDECIDED


def test_alpha_is_spent_over_all_guardrails_of_all_arms():
    document = split(ERRORS_GUARD, {"missing_outputs": {"worse_by": "1%"}}, alpha="2%")
    totals = counts(30, 3, arm="b", policy=1) + counts(50, 5, arm="stable", policy=1)
    found = find(document, versions={"stable": "1", "b": "2", "c": "3"}, weights={1: document.weights}, totals=totals)
    assert len(found) == 6  # of each arm: errors, callers who left, missing outputs
    assert found[0].verdict.reason.endswith("alpha 0.0033.")


def test_of_an_arm_that_is_not_served_nothing_is_said():
    document = split()
    totals = counts(30, 30, arm="b", policy=1) + counts(500, 5, arm="stable", policy=1)
    found = find(document, versions={"stable": "1", "b": "2"}, weights={1: document.weights}, totals=totals)
    assert [(each.arm, each.verdict.state) for each in found] == [
        ("b", VerdictState.UNHEALTHY),
        ("b", VerdictState.UNDECIDED),
    ]


def test_samples_are_the_candidates_since_its_step_began():
    document = apply(rollout(), Advance(T0 + 60))
    assert document.rollout.since_version == 3
    totals = counts(100, 0) + counts(7, 1, policy=3) + counts(5, 0, policy=4)
    totals += counts(50, 0, policy=3, model="1.9") + counts(500, 0, arm="stable", policy=3)
    assert count_samples(document, totals) == 12


def test_nothing_has_samples_before_it_began():
    declared = apply(
        None, Declare(parse_spec({"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "rollout": STEPS | {"of": "b"}}))
    )
    assert count_samples(declared, counts(5, 0, arm="b", policy=1)) == 0
    assert count_samples(split(), counts(5, 0, arm="b", policy=1)) == 0


@pytest.mark.parametrize(("unit", "by_unit"), [(None, False), ("header:x-user-id", True)])
def test_whether_units_stay_with_their_arms_is_told(compared, unit, by_unit):
    judge(rollout(unit=unit), {})
    assert compared.by_unit is by_unit


def test_a_split_may_change_versions_under_its_weights_which_is_told(compared):
    find(split(), versions={"b": "2"}, weights={}, totals={})
    assert compared.by_unit is True


def test_weights_that_were_shifted_by_hand_are_what_is_compared_by(compared):
    document = apply(split(), Shift({"b": Fraction(1, 10)}))
    assert document.trial_version == 1
    totals = counts(10, 1, arm="b", policy=2) + counts(90, 1, arm="stable", policy=2)
    find(document, versions={"b": "2"}, weights={2: document.weights}, totals=totals)
    own, others = document.weights["b"], document.weights["stable"]
    assert own == 1000
    assert compared.rows == [(own / (own + others), 10, 1, 90, 1, FIRST_S)]


def moved(arms: dict[str, str]) -> tuple:
    """Return findings 12 hours after a split began. Version 2 came to arm b by day, when both arms are worse."""
    document = split(arms=arms)
    late_s = FIRST_S + 12 * 3600
    night = counts(500_000, 5000, arm="stable", policy=1)  # version 1 of b answered the other half
    day = counts(200_000, 10_000, arm="stable", policy=1) + counts(120_000, 6000, arm="b", policy=1)
    hour = range(late_s - 3600, late_s, 600)
    recent = Counter()
    for at_s in hour:
        recent += counts(5000, 250, arm="stable", policy=1, bucket_s=at_s) + counts(
            3000, 150, arm="b", policy=1, bucket_s=at_s
        )
    return find(document, night + day, recent, weights={1: document.weights}, versions={"stable": "1", "b": "2"})


def test_where_an_alias_may_have_moved_only_requests_of_the_same_time_are_compared():
    """The trusted arm's night stands in the sums over all time, and nothing of the new version's does."""
    assert VerdictState.UNHEALTHY not in [
        each.verdict.state for each in moved({"stable": "m:1", "b": "m@new", "c": "m:3"})
    ]
    assert VerdictState.UNHEALTHY in [each.verdict.state for each in moved({"stable": "m:1", "b": "m:2", "c": "m:3"})]
