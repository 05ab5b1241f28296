"""The gauges of routes: weights, phases and steps, verdicts, and what bandits have learned."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.companion.route_gauges import RouteGauges
from gateway.telemetry.metric_table import GAUGES
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from router.document.apply import apply
from router.document.commands import Declare, Start
from router.document.document import Candidate
from router.document.learned import LearnedPolicy
from router.evidence.guardrails import GuardrailFinding
from router.evidence.verdict import blind
from router.spec.parse import parse_spec
from tests.support.documents import declared, shifted

ROLLOUT = {
    "route": "r",
    "arms": {"a": "m:1", "b": "m:2"},
    "rollout": {"of": "b", "from": "a", "steps": ["10%", "50%"], "every": "1m"},
}
BANDIT = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2"},
    "metrics": {"click": {"window": "10m"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%"},
}
NOW_S = 2_000.0


class World:
    def __init__(self, folder) -> None:
        self.folder, self.metrics, self.gauges = folder, Metrics(folder, "companion"), RouteGauges()

    def shown(self, documents=(), policies=(), verdicts=None) -> dict[tuple[str, ...], float]:
        """Return the values of the gauges by name and labels."""
        by_route = {each.spec.route: each for each in documents}
        self.gauges.publish(self.metrics, by_route, {each.route: each for each in policies}, verdicts or {}, NOW_S)
        self.metrics.publish()
        text = render(read_all(self.folder), {"companion"}).decode()
        return {
            (
                sample.name.removeprefix("pointsman_"),
                *(sample.labels[each] for each in GAUGES[sample.name].labels),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in GAUGES
        }


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def policy(document, means=(0.1, 0.2), number=1) -> LearnedPolicy:
    content = {"estimates": [[100.0, 100.0], list(means), [[1e-4, 0.0], [0.0, 1e-4]]]}
    return LearnedPolicy("shop", document.declared_us, number, 1, document.slots, 1_900_000_000, content)


def test_weights_are_those_of_the_newest_document(world):
    document = declared()
    assert world.shown([document])["arm_weight", "fraud", "canary"] == pytest.approx(0.1)
    assert world.shown([shifted(document, 2_500)])["arm_weight", "fraud", "canary"] == pytest.approx(0.25)
    assert ("arm_weight", "fraud", "canary") not in world.shown([])


def test_a_rollout_shows_its_phase_and_its_step_and_a_split_does_not(world):
    document = apply(None, Declare(parse_spec(ROLLOUT)))
    assert world.shown([document])["route_phase", "r", "READY"] == 1
    shown = world.shown([apply(document, Start(Candidate("2", "d"), 0.0)), declared()])
    assert shown["route_phase", "r", "PROGRESSING"] == 1
    assert shown["rollout_step", "r"] == 1
    assert not [labels for labels in shown if labels[0] in ("route_phase", "rollout_step") and labels[1] == "fraud"]
    assert ("route_phase", "r", "READY") not in shown


def test_a_bandit_shows_how_old_its_policy_is_and_which_arm_is_the_best(world):
    document = apply(None, Declare(parse_spec(BANDIT)))
    shown = world.shown([document], [policy(document)])
    assert shown["policy_age_seconds", "shop"] == pytest.approx(100)
    assert shown["arm_best_probability", "shop", "b"] > 0.99
    assert shown["arm_best_probability", "shop", "a"] + shown["arm_best_probability", "shop", "b"] == pytest.approx(1)
    assert world.shown([document], [policy(document, (0.2, 0.1), 2)])["arm_best_probability", "shop", "b"] < 0.01
    assert not [labels for labels in world.shown([declared()]) if labels[0].startswith(("arm_best", "policy"))]


def test_a_policy_of_an_earlier_life_of_the_route_does_not_count(world):
    document = apply(None, Declare(parse_spec(BANDIT)))
    before = replace(policy(document), declared_us=document.declared_us - 1)
    assert ("policy_age_seconds", "shop") not in world.shown([document], [before])


@pytest.mark.parametrize("content", [{}, {"estimates": [[1.0], [0.1], [[1.0]]]}], ids=["context", "other arms"])
def test_a_policy_without_estimates_of_these_arms_shows_no_best_arm(world, content):
    document = apply(None, Declare(parse_spec(BANDIT)))
    shown = world.shown([document], [replace(policy(document), content=content)])
    assert ("policy_age_seconds", "shop") in shown
    assert not [labels for labels in shown if labels[0] == "arm_best_probability"]


def test_of_many_new_policies_one_is_computed_at_each_look_and_all_get_their_turn(world):
    document = apply(None, Declare(parse_spec(BANDIT)))
    names = [f"shop{number}" for number in range(3)]
    documents = [replace(document, spec=replace(document.spec, route=name)) for name in names]
    policies = [replace(policy(document), route=name) for name in names]
    for count in (1, 2, 3, 3):
        shown = world.shown(documents, policies)
        assert len({labels[1] for labels in shown if labels[0] == "arm_best_probability"}) == count


def test_verdicts_are_shown_by_their_state(world):
    verdicts = {"fraud": [GuardrailFinding("canary", "errors", blind("canary", "Nothing is seen"))]}
    assert world.shown([declared()], verdicts=verdicts)["guardrail_verdict", "fraud", "canary", "errors", "BLIND"] == 1
    assert not [labels for labels in world.shown([declared()]) if labels[0] == "guardrail_verdict"]
