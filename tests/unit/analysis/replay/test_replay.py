"""A log that a gateway wrote is computed again without a difference; any bit that is changed is found."""

import json
from dataclasses import replace

import msgspec
import pytest

from analysis.errors import AnalysisRefused
from analysis.replay.replay import replay_log
from inference_log.files.directory import DirectoryFiles
from inference_log.record import Context, Learned, Record
from inference_log.segment import SegmentHeader, frame, read_segment
from router.document.commands import Declare, Pause, Promote, Reset, Resume, Shift, Start
from router.document.learned import policy_to_dict
from router.quantities import parse_share
from router.spec.parse import parse_spec
from tests.support.logged_bandit import BANDIT, BEGAN_S, LoggedBandit

EVALUATED = BANDIT | {"bandit": BANDIT["bandit"] | {"evaluate": "10%"}}
WITH_UNITS = BANDIT | {"unit": "header:x-user"}


def run(bandit: LoggedBandit, buckets: int, at_s: int = BEGAN_S, units: int = 0, decisions: int = 300) -> int:
    """Decide and learn in each time bucket; return when the last one ends."""
    for start_s in range(at_s, at_s + 10 * buckets, 10):
        bandit.decide(decisions, start_s, units)
        bandit.learn(start_s + 10.0)
    return at_s + 10 * buckets


def replayed(home, **options):
    return replay_log(DirectoryFiles(home / "log"), home / "spool", lambda *_: None, **options)


def rewrite(home, change):
    """Change the entries of the only segment."""
    (path,) = (home / "spool" / "0").glob("*.segment")
    content = read_segment(path.read_bytes())
    assert content is not None
    entries = [
        *content.contexts.values(), *content.reward_contexts.values(), *content.records, *content.rewards,
        *content.audits, *content.learned,
    ]  # fmt: skip
    changed = [new for each in entries if (new := change(each)) is not None]
    path.write_bytes(b"".join(map(frame, [SegmentHeader("w", 0), *changed])))


@pytest.mark.parametrize("declared", [BANDIT, EVALUATED])
def test_what_a_gateway_has_decided_and_learned_is_computed_again(tmp_path, declared):
    bandit = LoggedBandit(tmp_path, declared)
    run(bandit, 20)
    found = replayed(tmp_path)
    assert bandit.document.weights["c"] > 5000
    assert (found.decisions, found.by_propensity, found.policies) == (6000, 0, bandit.known.number)
    assert (found.differ, found.gaps) == (0, {})


def test_decisions_for_units_are_computed_by_propensity_and_a_unit_keeps_its_arm(tmp_path):
    bandit = LoggedBandit(tmp_path, WITH_UNITS)
    run(bandit, 15, units=500)
    found = replayed(tmp_path)
    assert (found.decisions, found.by_propensity, found.policies) == (0, 4500, bandit.known.number)
    assert found.units > 500
    assert (found.differ, found.gaps) == (0, {})


def test_commands_and_policies_alternate_without_a_difference(tmp_path):
    bandit = LoggedBandit(tmp_path)
    at_s = run(bandit, 15)
    wider = parse_spec(BANDIT | {"arms": BANDIT["arms"] | {"d": "ranker:4"}})
    bandit._rates["d"] = 0.3
    shift = Shift({"a": parse_share("50%", "a")}, float(at_s))
    for command in (Pause(), Resume(0.0), shift, Resume(0.0), Reset("b", float(at_s)), Declare(wider, float(at_s)),
                    Promote(float(at_s), "c"), Start(None, float(at_s))):  # fmt: skip
        bandit.command(command, at_s)
        at_s = run(bandit, 4, at_s, decisions=50)
    found = replayed(tmp_path)
    assert found.policies > 20
    assert (found.differ, found.gaps) == (0, {})


def test_rows_that_are_parquet_and_rows_that_are_not_are_one_log(tmp_path):
    bandit = LoggedBandit(tmp_path)
    at_s = run(bandit, 15)
    bandit.ship()
    assert not list((tmp_path / "spool").glob("*/*.segment"))
    run(bandit, 5, at_s)
    found = replayed(tmp_path)
    assert (found.decisions, found.policies) == (6000, bandit.known.number)
    assert (found.differ, found.gaps) == (0, {})


def test_of_two_lives_with_the_same_versions_each_has_its_own_documents_and_policies(tmp_path):
    run(LoggedBandit(tmp_path), 15)
    weights = {"a": "70%", "b": "20%", "c": "10%"}
    after = BANDIT | {"seed": "other", "bandit": BANDIT["bandit"] | {"from": weights}}
    run(LoggedBandit(tmp_path, after, name="v", began_s=BEGAN_S + 1000), 15, BEGAN_S + 1000)
    found = replayed(tmp_path)
    assert (found.decisions, found.policies) == (9000, 6)
    assert (found.differ, found.gaps) == (0, {})


def test_a_policy_that_lost_to_that_of_another_machine_is_no_difference(tmp_path):
    bandit = LoggedBandit(tmp_path)
    run(bandit, 14)
    before, document = bandit.known, bandit.document
    bandit.decide(300, BEGAN_S + 140)
    bandit.learn(BEGAN_S + 150.0)
    lost = bandit.known
    bandit.known, bandit.document = before, document
    bandit.decide(300, BEGAN_S + 140)  # which the other machine had not counted
    bandit.learn(BEGAN_S + 150.0)
    assert bandit.known.number == lost.number
    run(bandit, 3, BEGAN_S + 150)
    found = replayed(tmp_path)
    assert (found.differ, found.gaps) == (0, {})


def test_a_policy_that_observes_is_computed_again(tmp_path):
    declared = {key: value for key, value in BANDIT.items() if key != "bandit"}
    declared |= {"split": {"a": "30%", "b": "30%", "c": "40%"}, "observe": {"policy": "softmax", "reward": "click"}}
    bandit = LoggedBandit(tmp_path, declared)
    run(bandit, 16)
    found = replayed(tmp_path)
    assert (found.decisions, found.policies) == (4800, 4)
    assert (found.differ, found.gaps) == (0, {})


def _arm(entry):
    is_one = isinstance(entry, Context) and entry.arm == "a" and entry.policy_number == 0
    return msgspec.structs.replace(entry, arm="b") if is_one else entry


def _propensity(entry):
    if not isinstance(entry, Record) or entry.writer_seq != 0:
        return entry
    return msgspec.structs.replace(entry, propensity=entry.propensity * (1 + 2**-52))


def _reason(entry):
    is_one = isinstance(entry, Record) and entry.writer_seq == 0
    return msgspec.structs.replace(entry, reason="EVALUATED") if is_one else entry


def _weights(entry):
    is_one = isinstance(entry, Learned) and entry.number == 2
    return msgspec.structs.replace(entry, weights={"a": 0.5, "b": 0.25, "c": 0.25}) if is_one else entry


@pytest.mark.parametrize(
    ("change", "what"),
    [(_arm, "arm"), (_propensity, "propensity"), (_reason, "reason"), (_weights, "weights of the row")],
)
def test_what_was_changed_is_found(tmp_path, change, what):
    run(LoggedBandit(tmp_path), 16)
    rewrite(tmp_path, change)
    found = replayed(tmp_path)
    assert found.differ > 0
    assert {each.what for each in found.differences} == {what}


@pytest.mark.parametrize("part", ["estimates", "bounds", "policy", "slots"])
def test_a_policy_whose_content_was_changed_is_found(tmp_path, part):
    bandit = LoggedBandit(tmp_path)
    run(bandit, 16)
    known = bandit.known
    content = dict(known.content)
    if part == "estimates":
        decisions, means, covariance = content["estimates"]
        content["estimates"] = [decisions, means[::-1], covariance]
    elif part == "bounds":
        content["bounds"] = [[500] * 3, *content["bounds"][1:]]
    elif part == "policy":
        content["policy"] = "softmax"
    slots = dict(known.slots)
    if part == "slots":
        (start, length), *others = slots["c"]
        slots["c"] = ((start, length - 1), (start + length - 1, 1), *others)
    text = json.dumps(policy_to_dict(replace(known, content=content, slots=slots)))

    def change(entry):
        is_one = isinstance(entry, Learned) and entry.number == known.number
        return msgspec.structs.replace(entry, content=text) if is_one else entry

    rewrite(tmp_path, change)
    found = replayed(tmp_path)
    assert found.differ > 0
    assert {each.what for each in found.differences} == {"slots" if part == "slots" else "weights"}


def test_a_unit_with_two_arms_under_the_same_slots_is_found(tmp_path):
    bandit = LoggedBandit(tmp_path, WITH_UNITS)
    bandit.decide(400, BEGAN_S, units=20)

    def change(entry):
        is_one = isinstance(entry, Record) and entry.unit_hash == "hash of user-7"
        return msgspec.structs.replace(entry, unit_hash="hash of user-8") if is_one else entry

    rewrite(tmp_path, change)
    found = replayed(tmp_path)
    assert found.units == 19
    assert [(each.of, each.what) for each in found.differences] == [("hash of user-8", "arms of a unit")]


@pytest.mark.parametrize("lost", ["audit", "policy"])
def test_what_the_log_lacks_is_a_sentence_and_no_difference(tmp_path, lost):
    run(LoggedBandit(tmp_path), 18)

    def change(entry):
        if lost == "policy":
            return None if isinstance(entry, Learned) and entry.number == 2 else entry
        return None if type(entry).__name__ == "Audit" else entry

    rewrite(tmp_path, change)
    found = replayed(tmp_path)
    assert found.differ == 0
    if lost == "policy":
        assert dict(found.gaps) == {
            "The log lacks policy 2 of route shop for version 1.": 300,
            "The log lacks policy 2 of route shop, so the slots of policy 3 were not computed; its weights were.": 1,
        }
    else:
        assert found.gaps["The log lacks version 1 of route shop."] == 5400


def test_since_leaves_out_what_is_older(tmp_path):
    bandit = LoggedBandit(tmp_path)
    end_s = run(bandit, 20)
    found = replayed(tmp_path, since_us=(end_s - 30) * 1_000_000)
    assert (found.decisions, found.policies) == (900, 4)
    assert (found.differ, found.gaps) == (0, {})


def test_a_file_that_is_damaged_is_refused(tmp_path):
    bandit = LoggedBandit(tmp_path)
    run(bandit, 1)
    bandit.ship()
    (path,) = (tmp_path / "log" / "inferences").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AnalysisRefused, match="The log cannot be read: "):
        replayed(tmp_path)


def test_a_route_that_the_log_lacks_is_refused(tmp_path):
    run(LoggedBandit(tmp_path), 1)
    with pytest.raises(AnalysisRefused, match="no decisions of route fraud; it has shop"):
        replayed(tmp_path, route="fraud")
    assert replayed(tmp_path, route="shop").decisions == 300
