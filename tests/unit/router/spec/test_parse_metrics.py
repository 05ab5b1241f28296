"""Metrics: what is read is written again, and each refusal has its sentence."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import Rejected
from router.spec.metric import Aggregate, MetricSpec
from router.spec.parse import parse_spec
from router.spec.parse_metrics import MAX_METRICS, parse_metrics, unparse_metrics
from router.spec.unparse import unparse_spec
from tests.support.metric_specs import metric_specs
from tests.unit.router.spec.test_parse_anything import anything
from tests.unit.router.support import SPLIT

DAY_S = 86_400.0
CLICK = {"click": {"window": "1h"}}


def test_metrics_are_read():
    declared = """
        click: {window: 1h}
        revenue: {range: [0, 500], window: 7d, aggregate: sum, default: 2.5}
        net: {formula: revenue - 0.1 * latency_ms, range: [-100, 500]}
        was_fraud: {label: true, window: 30d}
    """
    assert parse_metrics(yaml.safe_load(declared)) == (
        MetricSpec("click", 3600.0, 0.0, 1.0, 0.0, Aggregate.LAST),
        MetricSpec(
            "net", 7 * DAY_S, -100.0, 500.0, formula="revenue - 0.1 * latency_ms", parts=("revenue", "latency_ms")
        ),
        MetricSpec("revenue", 7 * DAY_S, 0.0, 500.0, 2.5, Aggregate.SUM),
        MetricSpec("was_fraud", 30 * DAY_S, is_label=True),
    )
    assert parse_metrics(None) == ()


def test_a_formula_has_the_longest_window_of_its_parts_also_of_those_that_follow():
    declared = {"net": {"formula": "a + b", "range": [0, 2]}, "a": {"window": "1h"}, "b": {"window": "2h"}}
    assert [(metric.name, metric.window_s) for metric in parse_metrics(declared)] == [
        ("a", 3600.0),
        ("b", 7200.0),
        ("net", 7200.0),
    ]


@given(metric_specs(least=1))
@settings(max_examples=200)
def test_metrics_are_written_as_they_are_read(metrics):
    assert parse_metrics(json.loads(json.dumps(unparse_metrics(metrics)))) == metrics
    assert parse_metrics(yaml.safe_load(yaml.safe_dump(unparse_metrics(metrics)))) == metrics


def test_metrics_are_a_part_of_the_declaration():
    spec = parse_spec({**SPLIT, "metrics": CLICK})
    assert spec.metrics == (MetricSpec("click", 3600.0),)
    assert unparse_spec(spec)["metrics"] == CLICK
    assert "metrics" not in unparse_spec(parse_spec(SPLIT))


MUST_MAP = f"metrics must map at most {MAX_METRICS} names to metrics, such as `{{click: {{window: 1h}}}}`."


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({}, MUST_MAP),
        ([], MUST_MAP),
        ("click", MUST_MAP),
        ({f"m{number}": {"window": "1h"} for number in range(MAX_METRICS + 1)}, MUST_MAP),
        ({5: {"window": "1h"}}, "A metric's name must be a name of letters"),
        ({"a b": {"window": "1h"}}, "A metric's name must be a name of letters"),
        (
            {"latency_ms": {"window": "1h"}},
            "No metric can be called latency_ms: in a formula it is the time of the prediction.",
        ),
        ({"click": None}, "metrics.click must be a mapping, such as `{window: 1h}`, not None."),
        ({"click": "1h"}, "metrics.click must be a mapping, such as `{window: 1h}`, not '1h'."),
        (
            {"click": {}},
            "metrics.click must say for how long rewards may come after a decision, such as `window: 1h`.",
        ),
        (
            {"click": {"window": 60}},
            "metrics.click.window must be a duration with its unit, such as 200ms, 10s or 5m, not 60.",
        ),
        ({"click": {"window": "999ms"}}, "metrics.click.window is 999ms; it must be 1s to 90d."),
        ({"click": {"window": "91d"}}, "metrics.click.window is 91d; it must be 1s to 90d."),
        (
            {"click": {"window": "1h", "low": 0}},
            "Unknown key low in metrics.click; there may be window, range, default, aggregate.",
        ),
        (
            {"click": {"window": "1h", "aggregate": "mean"}},
            "metrics.click.aggregate must be first, last, sum, min, max, not 'mean'.",
        ),
        (
            {"click": {"window": "1h", "aggregate": ["sum"]}},
            "metrics.click.aggregate must be first, last, sum, min, max, not ['sum'].",
        ),
        (
            {"click": {"window": "1h", "range": 5}},
            "metrics.click.range must be the least and the largest value, such as [0, 1].",
        ),
        (
            {"click": {"window": "1h", "range": [0, 1, 2]}},
            "metrics.click.range must be the least and the largest value, such as [0, 1].",
        ),
        (
            {"click": {"window": "1h", "range": [1, 1]}},
            "metrics.click.range begins at 1 and ends at 1; the first must be the smaller one.",
        ),
        (
            {"click": {"window": "1h", "range": [0, "1"]}},
            "metrics.click.range must be numbers of at most 1e+12, not '1'.",
        ),
        (
            {"click": {"window": "1h", "range": [0, float("inf")]}},
            "metrics.click.range must be numbers of at most 1e+12, not inf.",
        ),
        (
            {"click": {"window": "1h", "range": [float("nan"), 1]}},
            "metrics.click.range must be numbers of at most 1e+12, not nan.",
        ),
        (
            {"click": {"window": "1h", "range": [False, 1]}},
            "metrics.click.range must be numbers of at most 1e+12, not False.",
        ),
        (
            {"click": {"window": "1h", "range": [0, 10**5000]}},
            "metrics.click.range must be numbers of at most 1e+12, not a number of over 40 digits.",
        ),
        (
            {"click": {"window": "1h", "default": 2}},
            "metrics.click.default is 2; it must lie in the range, 0 to 1.",
        ),
        (
            {"click": {"window": "1h", "range": [1, 5]}},
            "metrics.click.default would be 0; it must lie in the range, 1 to 5.",
        ),
        ({"was": {"label": 1, "window": "1h"}}, "metrics.was.label must be true, or be left out."),
        ({"was": {"label": False, "window": "1h"}}, "metrics.was.label must be true, or be left out."),
        (
            {"was": {"label": True, "window": "1h", "range": [0, 1]}},
            "Unknown key range in metrics.was; there may be label, window.",
        ),
        (
            {"was": {"label": True}},
            "metrics.was must say for how long rewards may come after a decision, such as `window: 1h`.",
        ),
        (
            {**CLICK, "net": {"formula": "click", "window": "1h"}},
            "Unknown key window in metrics.net; there may be formula, range.",
        ),
        (
            {**CLICK, "net": {"formula": "click + view", "range": [0, 1]}},
            "metrics.net.formula names view, which is no metric with a number that is reported (click).",
        ),
        (
            {"was": {"label": True, "window": "1h"}, "net": {"formula": "was", "range": [0, 1]}},
            "metrics.net.formula names was, which is no metric with a number that is reported (there is none).",
        ),
        (
            {**CLICK, "net": {"formula": "click", "range": [0, 1]}, "more": {"formula": "net", "range": [0, 1]}},
            "metrics.more.formula names net, which is no metric with a number that is reported (click).",
        ),
        (
            {"net": {"formula": "-latency_ms", "range": [0, 1]}},
            "metrics.net.formula needs a metric that is reported: latency_ms alone is in the log already.",
        ),
        (
            {**CLICK, "net": {"formula": "click"}},
            "metrics.net must say its range, such as `range: [-1, 1]`; values beyond it are brought into it.",
        ),
        ({**CLICK, "net": {"formula": "click**2", "range": [0, 1]}}, "metrics.net.formula has 'click ** 2'."),
        ({**CLICK, "net": {"formula": ["click"], "range": [0, 1]}}, "metrics.net.formula must be a formula of at most"),
    ],
)
def test_what_cannot_be_a_metric_is_rejected(declared, sentence):
    with pytest.raises(Rejected) as refused:
        parse_metrics(declared)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(".")


keys = st.sampled_from(["window", "range", "default", "aggregate", "label", "formula", "low"])
some = st.sampled_from(["1h", "90d", "click", "click - 1", True, 1, 0.5, [0, 1], [0, 5], "sum", "max"]) | anything


@given(st.dictionaries(st.sampled_from(["click", "view", "latency_ms", "a b"]), st.dictionaries(keys, some) | anything))
@settings(max_examples=300)
def test_anything_is_read_as_metrics_or_rejected(declared):
    metrics, sentence = (), ""
    try:
        metrics = parse_metrics(declared)
    except Rejected as refused:
        sentence = str(refused)
    assert len(sentence) < 2000
    if metrics:
        assert parse_metrics(json.loads(json.dumps(unparse_metrics(metrics)))) == metrics
