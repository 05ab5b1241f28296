"""Strategies for every legal declaration of metrics, as `parse_metrics` returns it."""

import string

from hypothesis import strategies as st

from router.spec.formula import LARGEST_VALUE, LATENCY_MS
from router.spec.metric import Aggregate, MetricSpec
from router.spec.parse_metrics import LONGEST_WINDOW_S

variables = st.text(string.ascii_lowercase, min_size=1, max_size=3).map("m_{}".format)
values = st.floats(-LARGEST_VALUE, LARGEST_VALUE)
numbers = st.floats(0.001, 1000.0).map(lambda number: f"{number:.3f}") | st.integers(1, 99).map(str)
windows_s = st.integers(1_000_000, int(LONGEST_WINDOW_S) * 1_000_000).map(lambda micros: micros / 1_000_000)


def ranges() -> st.SearchStrategy[tuple[float, float]]:
    return st.just((0.0, 1.0)) | st.lists(values, min_size=2, max_size=2, unique=True).map(
        lambda ends: tuple(sorted(ends))
    )


@st.composite
def reported(draw: st.DrawFn, name: str) -> MetricSpec:
    low, high = draw(ranges())
    default = draw(st.floats(low, high)) if not low <= 0.0 <= high else draw(st.just(0.0) | st.floats(low, high))
    return MetricSpec(name, draw(windows_s), low, high, default, draw(st.sampled_from(Aggregate)))


def formulas(names: list[str]) -> st.SearchStrategy[str]:
    """Return a strategy for formulas of these names."""
    atoms = st.sampled_from([*names, LATENCY_MS]) | numbers
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from([" + ", "-", " * "]), inner).map("".join),
            inner.map("({})".format),
            inner.map("-({})".format),
            st.tuples(inner, numbers).map("({0[0]}) / {0[1]}".format),
        ),
        max_leaves=6,
    )


@st.composite
def computed(draw: st.DrawFn, name: str, numbers_: list[MetricSpec]) -> MetricSpec:
    first = draw(st.sampled_from(numbers_)).name
    text = f"{first} + {draw(formulas([each.name for each in numbers_]))}"
    by_name = {each.name: each for each in numbers_}
    named = text.replace("(", " ").replace(")", " ").replace("-", " ").replace("+", " ").replace("*", " ").split()
    parts = tuple(dict.fromkeys(word for word in named if word in by_name or word == LATENCY_MS))
    window_s = max(by_name[part].window_s for part in parts if part != LATENCY_MS)
    low, high = draw(ranges())
    return MetricSpec(name, window_s, low, high, formula=text, parts=parts)


@st.composite
def metric_specs(draw: st.DrawFn, least: int = 0) -> tuple[MetricSpec, ...]:
    """Draw metrics: numbers that are reported, labels, and formulas of the former."""
    names = draw(st.lists(variables, unique=True, min_size=least, max_size=6))
    made: list[MetricSpec] = []
    for at, name in enumerate(names):
        numbers_ = [metric for metric in made if not metric.is_label and not metric.formula]
        kind = draw(st.sampled_from(["reported", "label", "computed"])) if at else "reported"
        if kind == "label":
            made.append(MetricSpec(name, draw(windows_s), is_label=True))
        else:
            made.append(draw(computed(name, numbers_) if kind == "computed" else reported(name)))
    return tuple(sorted(made, key=lambda metric: metric.name))
