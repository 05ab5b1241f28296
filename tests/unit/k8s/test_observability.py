"""Alerts, dashboards and the agent's configuration name what a gateway exposes, and pages that exist."""

import json
import re

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gateway.telemetry.metric_table import COUNTERS, GAUGES
from tests.support.cluster_policies import violations
from tests.support.exposed_metrics import OF_THE_TARGET, exposed
from tests.support.kustomize import build
from tests.support.paths import ROOT
from tests.support.promql import faults, labels_of_result, of_a_panel

FOLDER = ROOT / "k8s/components/observability"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]["groups"] for rule in group["rules"]
]
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs/runbooks.md"

DURATION = {"type": "string", "pattern": r"^([0-9]+[smhd])+$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


# What the Prometheus Operator's own definitions (0.91) say of the fields that we use. Each other field is refused.
POD_MONITOR = closed(
    ["selector", "podMetricsEndpoints"],
    selector=closed(["matchLabels"], matchLabels=TEXTS),
    podMetricsEndpoints={
        "type": "array",
        "items": closed(
            ["port", "authorization"],
            port={"type": "string"},
            path={"type": "string"},
            interval=DURATION,
            scrapeTimeout=DURATION,
            authorization=closed(
                ["credentials"],
                type={"const": "Bearer"},
                credentials=closed(["name", "key"], name={"type": "string"}, key={"type": "string"}),
            ),
        ),
    },
)
RULE = {
    "alert": {"type": "string", "pattern": "^Pointsman[A-Za-z]+$"},
    "expr": {"type": "string"},
    "for": DURATION,
    "labels": closed(["severity"], severity={"enum": ["critical", "warning"]}),
    "annotations": closed(
        ["summary", "runbook_url"], summary={"type": "string", "minLength": 10}, runbook_url={"type": "string"}
    ),
}
PROMETHEUS_RULE = closed(
    ["groups"],
    groups={
        "type": "array",
        "items": closed(
            ["name", "rules"],
            name={"type": "string", "minLength": 1},
            rules={"type": "array", "items": closed(["alert", "expr", "labels", "annotations"], **RULE)},
        ),
    },
)


@pytest.mark.parametrize(("kind", "schema"), [("PodMonitor", POD_MONITOR), ("PrometheusRule", PROMETHEUS_RULE)])
def test_objects_are_what_the_operator_takes(kind, schema):
    (found,) = [each for each in build("overlays/prod", "observability") if each["kind"] == kind]
    jsonschema.validate(found["spec"], schema)


def test_other_objects_are_what_kubernetes_takes_and_keep_to_the_policies():
    objects = build("overlays/prod", "observability")
    added = [each for each in objects if each not in build("overlays/prod")]
    assert len(added) == 5
    for each in added:
        if each["apiVersion"] in {"v1", "networking.k8s.io/v1"}:
            kubernetes_validate.validate(each, "1.32", strict=True)
    assert violations(objects) == []
    (boards,) = [each for each in added if each["kind"] == "ConfigMap"]
    assert boards["data"].keys() == {path.name for path in BOARDS}


def test_the_job_that_alerts_name_is_that_of_the_pod_monitor():
    (found,) = [each for each in build("overlays/prod", "observability") if each["kind"] == "PodMonitor"]
    job = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
    texts = [path.read_text() for path in (*BOARDS, FOLDER / "alerts.yaml")]
    assert {name for text in texts for name in re.findall(r'job=\\?"([^"\\]+)', text)} == {job}


def test_every_metric_is_rendered_and_no_label_is_one_that_prometheus_renames():
    names = {f"{name}_total" for name in COUNTERS} | set(GAUGES)
    assert names <= exposed().keys()
    assert {name: labels & OF_THE_TARGET for name, labels in exposed().items() if labels & OF_THE_TARGET} == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda each: each["alert"])
def test_an_alert_names_what_a_gateway_exposes_and_its_section_in_the_runbooks(rule):
    assert faults(rule["expr"]) == []
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "REPLACE-WITH-THE-ADDRESS-OF-YOUR-DOCS/runbooks.md"
    assert anchor == rule["alert"].lower()
    assert f"### {rule['alert']}\n" in RUNBOOKS.read_text()
    shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert shown <= (labels_of_result(rule["expr"]) or OF_THE_TARGET | {"reason"})


def test_every_section_of_the_runbooks_is_that_of_an_alert():
    sections = re.findall(r"^### (Pointsman\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(pointsman_request_total[5m])", "No gateway exposes pointsman_request_total."),
        ('pointsman_requests_total{code="500"}', "pointsman_requests_total has no label code."),
        ("sum by (route, version) (pointsman_arm_weight)", "No series has the label version."),
        ("sum(pointsman_request_seconds)", "No gateway exposes pointsman_request_seconds."),
    ],
)
def test_what_no_gateway_exposes_is_found(expression, fault):
    assert faults(expression) == [fault]


@pytest.mark.parametrize("path", BOARDS, ids=lambda each: each.stem)
def test_a_board_shows_what_a_gateway_exposes(path):
    board = json.loads(path.read_text())
    assert board["uid"] == f"pointsman-{path.stem}"
    panels, variables = board["panels"], board["templating"]["list"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert (panel["gridPos"]["x"] + panel["gridPos"]["w"]) <= 24
        for target in panel["targets"]:
            assert faults(of_a_panel(target["expr"])) == [], panel["title"]
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert shown <= (labels_of_result(of_a_panel(target["expr"])) or set()), panel["title"]
    used = {name for panel in panels for each in panel["targets"] for name in re.findall(r"\$(\w+)", each["expr"])}
    assert used - {"__rate_interval"} <= {each["name"] for each in variables}
    for query in (each["query"] for each in variables if each["type"] == "query"):
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()
        assert label in exposed()[name] | OF_THE_TARGET


def test_boards_are_at_places_of_their_own():
    for path in BOARDS:
        places = [panel["gridPos"] for panel in json.loads(path.read_text())["panels"]]
        assert len({(place["x"], place["y"]) for place in places}) == len(places)


def test_every_metric_is_in_a_board_or_an_alert():
    text = "".join(path.read_text() for path in (*BOARDS, FOLDER / "alerts.yaml"))
    base = {re.sub(r"_(bucket|count|sum)$", "_bucket", name) for name in exposed()}
    missing = {name for name in base if not re.search(rf"\b{name}\b", text)}
    assert missing == NOT_SHOWN


NOT_SHOWN = {
    "pointsman_lane_failed_seconds_total",
    "pointsman_lane_failed_total",
    "pointsman_lane_last_seconds",
    "pointsman_lane_queued_seconds_total",
    "pointsman_lane_succeeded_seconds_total",
    "pointsman_lane_succeeded_total",
    "pointsman_shadow_seconds_bucket",
}
"""What is in the requests by arm, too, or is read by clients of V2."""


def test_the_cloudwatch_agent_takes_what_a_gateway_exposes():
    config = json.loads((FOLDER / "cloudwatch/cwagentconfig.json").read_text())
    (scraped,) = yaml.safe_load((FOLDER / "cloudwatch/prometheus.yaml").read_text())["scrape_configs"]
    added = {"ClusterName", *(each["target_label"] for each in scraped["relabel_configs"] if "target_label" in each)}
    declared = config["logs"]["metrics_collected"]["prometheus"]["emf_processor"]["metric_declaration"]
    for each in declared:
        assert re.match(each["label_matcher"], scraped["job_name"])
        names = [re.fullmatch(r"\^(\w+)\$", selector)[1] for selector in each["metric_selectors"]]
        for name in names:
            for dimensions in each["dimensions"]:
                assert set(dimensions) - added <= exposed()[name], name
