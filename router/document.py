"""The document of a route: what an operator declares, checked, and the state that commands change. Decides.

`parse_spec` reads what people write (YAML or JSON, already a dict); `Document` adds the slot table, which depends
on the history of weights, and a dense version. `to_dict`/`from_dict` are the stored form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from router.assignment import BUCKETS
from router.errors import Corrupt, Rejected
from router.quantities import format_duration, format_percent, parse_duration_s, parse_share
from router.slots import Run, SlotTable, counts, quantise

MAX_ARMS = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNIT = re.compile(r"header:[A-Za-z0-9-]+|parameters\.[A-Za-z0-9_.-]+")
_KEYS = ("route", "arms", "split", "unit", "fallback", "deadline", "batch_wait", "placement", "seed")
PLACEMENTS = ("replica", "dedicated")
MAX_BATCH_WAIT_S = 1.0
_LATER_KINDS = ("rollout", "bandit")


@dataclass(frozen=True, slots=True)
class ArmRef:
    """What an arm is bound to: `model@alias` follows the registry's alias, `model:version` never moves."""

    model: str
    alias: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias is not None else f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as declared. `split` is in slots of 1/10,000; `unit` is None when each request is its own unit.

    `batch_wait_s` is how long a request may wait for company; `placement` overrules what the versions say.
    """

    route: str
    arms: Mapping[str, ArmRef]
    split: Mapping[str, int]
    seed: str
    unit: str | None = None
    fallback: str | None = None
    deadline_s: float | None = None
    batch_wait_s: float | None = None
    placement: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The versioned state of one route. Versions are dense and start at 1."""

    version: int
    spec: RouteSpec
    slots: SlotTable


def parse_ref(text: object, what: str = "An arm") -> ArmRef:
    """`fraud@champion` or `fraud:17`.

    Raises:
        Rejected: neither of the two forms.
    """
    if isinstance(text, str):
        for separator, key in (("@", "alias"), (":", "version")):
            model, found, rest = text.partition(separator)
            if found and _NAME.fullmatch(model) and _NAME.fullmatch(rest):
                return ArmRef(model=model, **{key: rest})
    raise Rejected(f"{what} must be bound to model@alias or model:version, not {text!r}.")


def parse_spec(raw: object) -> RouteSpec:
    """Checks a declared route.

    Raises:
        Rejected: with a sentence that names the key and says what is allowed.
    """
    if not isinstance(raw, dict):
        raise Rejected("A route must be a mapping with the keys route, arms and split.")
    for kind in _LATER_KINDS:
        if kind in raw:
            raise Rejected(f"Routes of kind {kind} are not supported by this version of Pointsman; use split.")
    unknown = [str(key) for key in raw if key not in _KEYS]
    if unknown:
        raise Rejected(f"Unknown key {', '.join(sorted(unknown))}; a route may have {', '.join(_KEYS)}.")
    route = _parse_name(raw.get("route"), "route")
    arms = _parse_arms(raw.get("arms"))
    return RouteSpec(
        route=route,
        arms=arms,
        split=_parse_split(raw.get("split"), arms),
        seed=_parse_seed(raw.get("seed"), route),
        unit=_parse_unit(raw.get("unit")),
        fallback=_parse_fallback(raw.get("fallback"), arms),
        deadline_s=None if raw.get("deadline") is None else parse_duration_s(raw["deadline"], "deadline"),
        batch_wait_s=_parse_batch_wait(raw.get("batch_wait")),
        placement=_parse_placement(raw.get("placement")),
    )


def _parse_name(value: object, what: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Rejected(
            f"{what} must be a name of letters, digits, dots, dashes and underscores (at most 128), not {value!r}."
        )
    return value


def _parse_arms(raw: object) -> dict[str, ArmRef]:
    if not isinstance(raw, dict) or not raw:
        raise Rejected("arms must name at least one arm, such as `stable: fraud@champion`.")
    if len(raw) > MAX_ARMS:
        raise Rejected(f"A route may have at most {MAX_ARMS} arms; this one has {len(raw)}.")
    return {_parse_name(name, "An arm's name"): parse_ref(ref, f"Arm {name}") for name, ref in raw.items()}


def _parse_split(raw: object, arms: Mapping[str, ArmRef]) -> dict[str, int]:
    if not isinstance(raw, dict) or not raw:
        raise Rejected("split must give every arm its share, such as `{stable: 90%, canary: 10%}`.")
    for arm in raw:
        if arm not in arms:
            raise Rejected(f"split names arm {arm!r}, which is not among the arms ({', '.join(arms)}).")
    weights = {arm: parse_share(raw.get(arm, 0), f"The weight of arm {arm}") for arm in arms}
    return quantise(weights)


def _parse_seed(raw: object, route: str) -> str:
    if raw is None:
        return route
    if not isinstance(raw, str) or not raw or not raw.isprintable():  # lone surrogates cannot be stored nor shown
        raise Rejected("seed must be a non-empty string of printable characters.")
    return raw


def _parse_unit(raw: object) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or not _UNIT.fullmatch(raw):
        raise Rejected(f"unit must be header:<name> or parameters.<name>, not {raw!r}.")
    return raw.lower() if raw.startswith("header:") else raw


def _parse_fallback(raw: object, arms: Mapping[str, ArmRef]) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or raw not in arms:
        raise Rejected(f"fallback names {raw!r}, which is not among the arms ({', '.join(arms)}).")
    return raw


def _parse_batch_wait(raw: object) -> float | None:
    if raw is None:
        return None
    wait_s = parse_duration_s(raw, "batch_wait")
    if wait_s > MAX_BATCH_WAIT_S:
        longest = format_duration(MAX_BATCH_WAIT_S)
        raise Rejected(f"batch_wait is {format_duration(wait_s)}; it may be {longest} at most.")
    return wait_s


def _parse_placement(raw: object) -> str | None:
    if raw is not None and raw not in PLACEMENTS:
        raise Rejected(f"placement must be {' or '.join(PLACEMENTS)}, not {raw!r}.")
    return None if raw is None else str(raw)


def spec_to_dict(spec: RouteSpec) -> dict[str, Any]:
    """The spec as an operator would write it; `parse_spec` reads it back to the same spec."""
    written: dict[str, Any] = {
        "route": spec.route,
        "arms": {name: str(ref) for name, ref in spec.arms.items()},
        "split": {arm: format_percent(Fraction(slots, BUCKETS)) for arm, slots in spec.split.items()},
    }
    if spec.unit is not None:
        written["unit"] = spec.unit
    if spec.fallback is not None:
        written["fallback"] = spec.fallback
    if spec.deadline_s is not None:
        written["deadline"] = format_duration(spec.deadline_s)
    if spec.batch_wait_s is not None:
        written["batch_wait"] = format_duration(spec.batch_wait_s)
    if spec.placement is not None:
        written["placement"] = spec.placement
    if spec.seed != spec.route:
        written["seed"] = spec.seed
    return written


def to_dict(document: Document) -> dict[str, Any]:
    """The stored form of a document."""
    return {
        "version": document.version,
        "spec": spec_to_dict(document.spec),
        "slots": {arm: [list(run) for run in runs] for arm, runs in document.slots.items()},
    }


def from_dict(raw: Mapping[str, Any]) -> Document:
    """Reads a stored document back.

    Raises:
        Corrupt: it is not a document, or its slots disagree with its split.
    """
    try:
        spec = parse_spec(raw["spec"])
        slots = {arm: tuple(_run(run) for run in runs) for arm, runs in raw["slots"].items()}
        document = Document(version=raw["version"], spec=spec, slots=slots)
    except (Rejected, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"A stored document cannot be read: {error!r}.") from error
    if type(document.version) is not int or document.version < 1:
        raise Corrupt(f"A stored document of route {spec.route} has version {document.version!r}.")
    if counts(slots) != dict(spec.split):
        raise Corrupt(f"The stored slots of route {spec.route} disagree with its split.")
    return document


def _run(raw: Any) -> Run:
    start, length = raw
    if type(start) is not int or type(length) is not int:
        raise ValueError(f"a run of slots is {raw!r}")
    return start, length
