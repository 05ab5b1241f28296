"""The scenarios, read from the TOML files in `loadtests/scenarios`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from loadtests.bench.launch import Form
from loadtests.bench.payload import Payload

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
DEFAULT_DURATION_S: Final = 3


class Kind(StrEnum):
    """When a scenario sends its next request: after a response (closed loop) or by the clock (open loop)."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load. An open loop also has a rate."""

    name: str
    suite: str
    kind: Kind
    summary: str
    connections: int
    warmup_s: int
    rate_per_s: int | None = None
    model: str = "cancer"
    form: Form = Form.JSON
    rows: int = 1
    threads: int = 1
    duration_s: int = DEFAULT_DURATION_S

    @property
    def payload(self) -> Payload:
        """The content of each request."""
        return Payload(self.model, self.form, self.rows)


def load_scenarios(suite: str, kinds: frozenset[Kind]) -> list[Scenario]:
    """Read a suite's scenarios of these kinds: closed loops first, then open loops from the lowest rate on."""
    scenarios = [scenario for path in sorted(FOLDER.glob("*.toml")) for scenario in _read(path)]
    chosen = [scenario for scenario in scenarios if scenario.suite == suite and scenario.kind in kinds]
    return sorted(chosen, key=lambda scenario: (scenario.kind, scenario.rate_per_s or 0))


def parse_scenarios(document: dict[str, Any]) -> Iterator[Scenario]:
    """Turn the content of a scenario file into scenarios: one for each number of rows, if `rows` lists several.

    Raises:
        ValueError: a key is missing, unknown or wrong.
    """
    rows = document.get("rows", 1)
    several = isinstance(rows, list)
    for count in rows if several else [rows]:
        if unknown := sorted(document.keys() - Scenario.__dataclass_fields__.keys()):
            raise ValueError(f"'{unknown[0]}' is not known")
        scenario = msgspec.convert({**document, "rows": count}, Scenario)
        if scenario.kind is Kind.OPEN and scenario.rate_per_s is None:
            raise ValueError("an open scenario needs a rate_per_s")
        yield replace(scenario, name=f"{scenario.name}-{count}") if several else scenario


def _read(path: Path) -> list[Scenario]:
    try:
        return list(parse_scenarios(tomllib.loads(path.read_text())))
    except ValueError as error:  # base class of the errors of tomllib and msgspec
        raise ValueError(f"Correct the scenario file {path.name}: {error}.") from error
