"""Layers, which keep experiments apart, and holdouts, which keep units out of all experiments.

A layer is a line of 1,000 places. Every unit has one place on it. Routes that name the same layer and disjoint ranges
of it never share a unit. The place is GrowthBook's (`inNamespace`), so that a front end with their SDK agrees. Its hash
is weak for names that are alike: of the first halves of `layer-3` and `layer-7`, 3 % of the units are in both, not a
quarter. So name layers by different words. Splits and holdouts are drawn by the better hash, independently of every
layer.

A holdout is a share of the buckets under a seed of its own. Routes that hold out under one seed hold out the same
units.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

from router.draw.assignment import BUCKETS, PLACES, bucket, place, seed_state
from router.errors import Rejected
from router.quantities import format_percent, parse_share
from router.refusals import short_repr

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Layer:
    """The part [start, end) of the layer `name`. Both limits are whole thousandths."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Holdout:
    """`share_slots` of 10,000 buckets, drawn under `seed`.

    A prefix goes before the seed, so that a split with the same seed is drawn independently.
    """

    share_slots: int
    seed: str
    state: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", seed_state(f"holdout:{self.seed}"))


def is_in_layer(layer: Layer, key: str) -> bool:
    """Return True if the unit's place is in this range of the layer."""
    return layer.start <= place(f"__{layer.name}", key) / PLACES < layer.end


def is_held_out(holdout: Holdout, key: str) -> bool:
    """Return True if the unit is held out. This costs one hash."""
    return bucket(holdout.state, key) < holdout.share_slots


def parse_layer(raw: object) -> Layer:
    """Read `{name: checkout, range: [0%, 50%]}`.

    Raises:
        Rejected: if it has other keys or no name, or its range is empty, backwards or finer than a thousandth.
    """
    if not isinstance(raw, dict) or set(raw) != {"name", "range"}:
        raise Rejected("layer must have a name and a range, such as {name: checkout, range: [0%, 50%]}.")
    name, limits = raw["name"], raw["range"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Rejected(
            "layer.name must be of letters, digits, dots, dashes and underscores (at most 128), "
            f"not {short_repr(name)}."
        )
    if not isinstance(limits, list) or len(limits) != 2:
        raise Rejected(f"layer.range must be two shares, such as [0%, 50%], not {short_repr(limits)}.")
    start, end = (_parse_limit(limit) for limit in limits)
    if start >= end:
        raise Rejected(
            f"layer.range goes from {format_percent(start)} to {format_percent(end)}; "
            "the second limit must be above the first."
        )
    return Layer(name, float(start), float(end))


def _parse_limit(raw: object) -> Fraction:
    limit = parse_share(raw, "A limit of layer.range")
    if (limit * PLACES).denominator != 1:
        raise Rejected(f"A limit of layer.range is {raw}; a layer has {PLACES} places, so give it in steps of 0.1%.")
    return limit


def unparse_layer(layer: Layer) -> dict[str, Any]:
    """Return the layer as an operator would write it. `parse_layer` reads it back."""
    return {"name": layer.name, "range": [_percent(layer.start), _percent(layer.end)]}


def parse_holdout(raw: object, default_seed: str) -> Holdout:
    """Read `5%`, or `{share: 5%, seed: q4-2026}`.

    Raises:
        Rejected: if it has other keys, an unprintable seed, or a share that is not a whole number of slots.
    """
    share: object = raw
    seed: object = default_seed
    if isinstance(raw, dict):
        unknown = sorted(str(key) for key in raw if key not in ("share", "seed"))
        if unknown or "share" not in raw:
            raise Rejected("holdout must be a share such as 5%, or {share: 5%, seed: q4-2026}.")
        share, seed = raw["share"], raw.get("seed", default_seed)
    if not isinstance(seed, str) or not seed or not seed.isprintable():
        raise Rejected("holdout.seed must be a non-empty string of printable characters.")
    slots = parse_share(share, "holdout") * BUCKETS
    if slots.denominator != 1:
        raise Rejected(f"holdout is {share}; give it in steps of 0.01%.")
    return Holdout(int(slots), seed)


def unparse_holdout(holdout: Holdout) -> dict[str, Any]:
    """Return the holdout as an operator would write it. `parse_holdout` reads it back under any default seed."""
    return {"share": format_percent(Fraction(holdout.share_slots, BUCKETS)), "seed": holdout.seed}


def check_exclusive(layers_by_route: Mapping[str, Layer]) -> None:
    """Reject routes of which two have a part of a layer in common.

    Raises:
        Rejected: if two have. The sentence names both, and the ranges of the layer that are free.
    """
    for (one, here), (other, there) in combinations(layers_by_route.items(), 2):
        if here.name == there.name and max(here.start, there.start) < min(here.end, there.end):
            taken = [layer for layer in layers_by_route.values() if layer.name == here.name]
            raise Rejected(
                f"Routes {one} ({_range(here)}) and {other} ({_range(there)}) overlap in layer {here.name}; "
                f"free in it: {_free(taken) or 'nothing'}."
            )


def _free(taken: list[Layer]) -> str:
    """Return the ranges that no layer of `taken` covers, as text."""
    free: list[str] = []
    end = 0.0
    for layer in sorted([*taken, Layer("", 1.0, 1.0)], key=lambda layer: layer.start):
        if layer.start > end:
            free.append(_range(Layer("", end, layer.start)))
        end = max(end, layer.end)
    return ", ".join(free)


def _range(layer: Layer) -> str:
    return f"{_percent(layer.start)} to {_percent(layer.end)}"


def _percent(limit: float) -> str:
    return format_percent(Fraction(round(limit * PLACES), PLACES))
