"""What is measured: the scenarios, read from the TOML files beside this module."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parent / "scenarios"
DEFAULT_DURATION_S: Final = 5


class Kind(StrEnum):
    """How a scenario decides when to send: on an answer (closed loop) or on the clock (open loop)."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load; an open loop also has a rate."""

    name: str
    kind: Kind
    summary: str
    connections: int
    warmup_s: int
    rate_per_s: int | None = None
    duration_s: int = DEFAULT_DURATION_S


def load_scenarios(kinds: frozenset[Kind]) -> list[Scenario]:
    """Read the scenarios of these kinds, in the order of their file names."""
    scenarios = [_read(path) for path in sorted(FOLDER.glob("*.toml"))]
    return [scenario for scenario in scenarios if scenario.kind in kinds]


def _read(path: Path) -> Scenario:
    try:
        scenario = msgspec.convert(tomllib.loads(path.read_text()), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"Correct the scenario file {path.name}: {error}.") from error
    if scenario.kind is Kind.OPEN and scenario.rate_per_s is None:
        raise ValueError(f"Give the open scenario file {path.name} a rate_per_s.")
    return scenario
