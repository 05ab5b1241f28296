"""Each alert fires on series that call for it, and is silent on those that do not. Prometheus' own promtool says so."""

import json
import re
import subprocess
from typing import NamedTuple

import pytest
import yaml

from tests.support.components import need_program
from tests.support.paths import ROOT

FOLDER = ROOT / "k8s/components/observability"
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]["groups"]
EXPRESSIONS = {rule["alert"]: rule["expr"] for group in GROUPS for rule in group["rules"]}
POD = 'namespace="pointsman", pod="one", job="pointsman/pointsman-gateway"'
LENGTH = "x120"
"""Two hours of samples, a minute apart."""


class Case(NamedTuple):
    """Series with their values in promtool's notation. The alert fires on the first ones, `at` that time."""

    fires: dict[str, str]
    silent: dict[str, str]
    at: str = "60m"


def always(value: float) -> str:
    return f"{value:.0f}+0{LENGTH}"


def growing(each_minute: float) -> str:
    return f"0+{each_minute:g}{LENGTH}"


def one(name: str, labels: str, fires: str, silent: str, at: str = "60m") -> Case:
    series = f"{name}{{{POD}{', ' if labels else ''}{labels}}}"
    return Case({series: fires}, {series: silent}, at)


UP, BOUND = f"up{{{POD}}}", f"pointsman_log_max_disk_bytes{{{POD}}}"
OK, BAD = (
    f'pointsman_requests_total{{{POD}, route="r", arm="a", version="1", status="{each}"}}' for each in (200, 503)
)
FAST, SLOW, ALL = (
    f'pointsman_request_seconds_bucket{{{POD}, route="r", arm="a", le="{each}"}}' for each in ("0.1", "1.0", "+Inf")
)
SPOOL = f"pointsman_log_spool_bytes{{{POD}}}"
COUNTED, LATE, REFUSED = (
    f'pointsman_rewards_total{{{POD}, route="r", metric="click", result="{each}"}}'
    for each in ("counted", "late", "refused")
)
AGE = f'pointsman_policy_age_seconds{{{POD}, route="r"}}'
LEARNS, WAITS = (f'pointsman_route_phase{{{POD}, route="r", phase="{each}"}}' for each in ("PROGRESSING", "PAUSED"))
VERDICT = f'pointsman_guardrail_verdict{{{POD}, route="r", arm="a", guardrail="errors", state='
ABORTED = 'route="r", arm="a", guardrail="errors"'

CASES = {
    "PointsmanAbsent": [Case({}, {UP: always(1)}), Case({UP: always(0)}, {UP: always(1)})],
    "PointsmanPodSilent": [Case({UP: always(0)}, {UP: always(1)})],
    "PointsmanErrors": [
        Case({OK: growing(100), BAD: growing(2)}, {OK: growing(1000), BAD: growing(2)}),
        Case({OK: growing(100), BAD: growing(2)}, {OK: growing(10), BAD: growing(5)}),  # too few requests to say
    ],
    "PointsmanSlow": [
        Case(
            {FAST: growing(90), SLOW: growing(100), ALL: growing(100)},
            {FAST: growing(100), SLOW: growing(100), ALL: growing(100)},
        )
    ],
    "PointsmanShed": [one("pointsman_shed_total", "", growing(10), always(10))],
    "PointsmanRouteWarnings": [
        one("pointsman_routes_with_warnings", 'pid="0"', always(1), always(0)),
        one("pointsman_routes_with_warnings", 'pid="0"', always(1), f"0+0x55 1+0{LENGTH}"),  # for five minutes
    ],
    "PointsmanStoreUnreachable": [one("pointsman_snapshot_stale_seconds", 'pid="0"', growing(60), always(1))],
    "PointsmanStoreLost": [one("pointsman_store_distrusted", "", always(1), always(0))],
    "PointsmanCompanionAbsent": [
        Case({UP: always(1)}, {UP: always(1), BOUND: always(1_000)}),
        Case({UP: always(1)}, {UP: always(0)}),  # that is another alert
        Case({UP: always(1), BOUND: f"1000+0x30 _{LENGTH}"}, {UP: always(1), BOUND: always(1_000)}),
    ],
    "PointsmanControlFails": [one("pointsman_control_failures_total", 'task="learning"', growing(1), always(7))],
    "PointsmanUncounted": [one("pointsman_uncounted_bytes", "", growing(1e7), always(1_000_000))],
    "PointsmanRegistryUnreachable": [one("pointsman_registry_stale_seconds", "", growing(60), always(2))],
    "PointsmanVersionsGone": [one("pointsman_registry_gone_versions", "", always(1), always(0))],
    "PointsmanArmAborted": [
        # The series appears with its first event; for ten minutes that is news.
        one("pointsman_aborts_total", ABORTED, f"_x55 1+0{LENGTH}", always(1)),
        one("pointsman_aborts_total", ABORTED, f"1+0x55 2+0{LENGTH}", f"_x30 1+0{LENGTH}"),
    ],
    "PointsmanGuardrailBlind": [
        Case({VERDICT + '"BLIND"}': always(1)}, {VERDICT + '"UNHEALTHY"}': always(1)}),
    ],
    "PointsmanRewardsSilent": [
        one("pointsman_rewards_silent", 'route="r", metric="click", arm="a"', always(1), f"1+0x20 _{LENGTH}")
    ],
    "PointsmanRewardsLate": [
        Case({COUNTED: growing(10), LATE: growing(5)}, {COUNTED: growing(100), LATE: growing(5)}, "110m")
    ],
    "PointsmanRewardsRefused": [
        Case({COUNTED: growing(10), REFUSED: growing(5)}, {COUNTED: growing(100), REFUSED: growing(5)}, "110m")
    ],
    "PointsmanPolicyOld": [
        Case(
            {AGE: always(90_000), LEARNS: always(1), OK: growing(10)},
            {AGE: always(90_000), LEARNS: always(1), OK: always(10)},  # without traffic there is nothing to learn
        ),
        Case(
            {AGE: always(90_000), LEARNS: always(1), OK: growing(10)},
            {AGE: always(90_000), WAITS: always(1), OK: growing(10)},
        ),
        Case(
            {AGE: always(90_000), LEARNS: always(1), OK: growing(10)},
            {AGE: always(20), LEARNS: always(1), OK: growing(10)},
        ),
    ],
    "PointsmanRowsLost": [one("pointsman_log_dropped_total", 'reason="disk"', f"0+0x55 3+0{LENGTH}", always(3))],
    "PointsmanLogLags": [one("pointsman_log_oldest_row_seconds", "", growing(60), always(90))],
    "PointsmanLogDiskFills": [
        Case({SPOOL: always(75), BOUND: always(100)}, {SPOOL: always(60), BOUND: always(100)}),
    ],
    "PointsmanSegmentsSetAside": [one("pointsman_log_set_aside_bytes", "", always(1), always(0))],
    "PointsmanLogDamaged": [one("pointsman_log_cut_total", 'unit="bytes"', f"0+0x55 3+0{LENGTH}", always(3))],
}


class Shared(NamedTuple):
    """A test of promtool's form, which takes half a second. `reads` has the metrics that its alerts read."""

    series: dict[str, str]
    expected: list[dict[str, object]]
    reads: set[str]


def shared_tests(alerts: list[str]) -> list[dict[str, object]]:
    """Return tests of these alerts. Alerts that read no metric in common share one."""
    made: list[Shared] = []
    for alert in alerts:
        reads = set(re.findall(r"\b(?:pointsman_\w+|up)\b", EXPRESSIONS[alert]))
        for case in CASES[alert]:
            for series, fires in ((case.fires, True), (case.silent, False)):
                test = next((each for each in made if not each.reads & reads), None)
                if test is None:
                    made.append(test := Shared({}, [], set()))
                test.series.update(series)
                test.reads.update(reads)
                test.expected.append(
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                        "eval_time": case.at,
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                )
    return [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in test.series.items()],
            "promql_expr_test": test.expected,
        }
        for test in made
    ]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    need_program("promtool")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)


def verdict(folder, groups, tests) -> subprocess.CompletedProcess[str]:
    (folder / "alerts.json").write_text(json.dumps({"groups": groups}))
    (folder / "tests.json").write_text(
        json.dumps({"rule_files": ["alerts.json"], "evaluation_interval": "1m", "tests": tests})
    )
    return promtool("test", "rules", str(folder / "tests.json"))


def test_each_alert_has_series_that_fire_and_series_that_do_not():
    assert list(CASES) == list(EXPRESSIONS)


def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    done = verdict(tmp_path, GROUPS, shared_tests(list(EXPRESSIONS)))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("was", "broken"), [("> 900", "> 90000"), ("> 900", "> 9")])
def test_an_alert_with_another_threshold_is_found(tmp_path, was, broken):
    groups = json.loads(json.dumps(GROUPS).replace(was, broken))
    assert "PointsmanLogLags" in verdict(tmp_path, groups, shared_tests(["PointsmanLogLags"])).stderr


def test_what_the_cloudwatch_agent_scrapes_is_a_configuration_of_prometheus(tmp_path):
    """Debian's promtool knows no discovery in Kubernetes, so that part is left out here."""
    config = yaml.safe_load((FOLDER / "cloudwatch/prometheus.yaml").read_text())
    (discovery,) = config["scrape_configs"][0].pop("kubernetes_sd_configs")
    assert discovery == {"role": "pod", "namespaces": {"names": ["pointsman"]}}
    (tmp_path / "prometheus.yaml").write_text(json.dumps(config))
    done = promtool("check", "config", "--syntax-only", str(tmp_path / "prometheus.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
