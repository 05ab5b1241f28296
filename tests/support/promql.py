"""Finds in an expression of PromQL what no gateway exposes."""

import re

import promql_parser as promql

from tests.support.exposed_metrics import OF_PROMETHEUS, OF_THE_TARGET, exposed


def faults(expression: str) -> list[str]:
    """Return a sentence for each metric and label that does not exist.

    Labels by which series are added or joined must be those of a series in the expression.

    Raises:
        ValueError: it is no PromQL.
    """
    found, grouped, known = list[str](), set[str](), set[str]()

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            labels = (exposed() | OF_PROMETHEUS).get(node.name or "")
            if labels is None:
                found.append(f"No gateway exposes {node.name}.")
                return
            known.update(labels | OF_THE_TARGET)
            named = {each.name for each in node.matchers.matchers}
            found.extend(f"{node.name} has no label {each}." for each in sorted(named - labels - OF_THE_TARGET))
        elif isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            grouped.update(node.modifier.matching.labels)

    promql.walk(promql.parse(expression), pre_visit=visit)
    return found + [f"No series has the label {each}." for each in sorted(grouped - known)]


def labels_of_result(expression: str) -> set[str] | None:
    """Return the labels of what the first part of the expression adds up; None if it adds up nothing."""
    found: list[set[str]] = []

    def visit(node: promql.Expr) -> bool:
        if isinstance(node, promql.AggregateExpr):
            found.append(set() if node.modifier is None else set(node.modifier.labels))
        return not found

    promql.walk(promql.parse(expression), pre_visit=visit)
    return found[0] if found else None


def of_a_panel(expression: str) -> str:
    """Return an expression of Grafana with values in place of its variables."""
    return re.sub(r"\$(?!__)\w+", ".*", expression.replace("$__rate_interval", "5m").replace("$__range", "1h"))
