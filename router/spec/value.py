"""Arms without a model: such an arm answers a value that the route declares.

The value is kept as canonical JSON: sorted keys, no spaces. Its SHA-256 names the version, so the same value is the
same version wherever it is declared, and another value is another version.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from router.errors import Rejected
from router.refusals import check_keys, short_repr
from router.spec.references import parse_ref
from router.spec.spec import ArmRef, GuardrailKind, RouteSpec

MODEL = "value"
"""What stands for the name of the model in the log and in the status."""

MAX_BYTES = 64 * 1024
MAX_ROUTE_BYTES = 256 * 1024
"""Of all values of a route. Each version of its document holds them."""
MAX_DEPTH = 16
MAX_KEYS = 64
MAX_KEY_LENGTH = 128
_VERSION_LENGTH = 12
_LARGEST = 2**63
_WHOLE, _FRACTION = "a whole number", "a number with a fraction"
_ABOUT_MODELS = {
    "placement": "placement",
    "batch_wait_s": "batch_wait",
    "shadows": "shadow",
    "require_tags": "require_tags",
    "check": "check",
}


def parse_arm(raw: object, what: str) -> ArmRef:
    """Read `fraud@champion`, `fraud:17` or `{value: {layout: narrow}}`.

    Raises:
        Rejected: if it is none of them, or the value is too large or no JSON.
    """
    if not isinstance(raw, dict):
        return parse_ref(raw, what)
    check_keys(raw, ("value",), what)
    value = raw.get("value")
    if not isinstance(value, dict) or not value:
        raise Rejected(f"{what} has a value that is no mapping; write a key for each output, such as `layout: narrow`.")
    if len(value) > MAX_KEYS:
        raise Rejected(f"{what} has a value of {len(value)} keys; at most {MAX_KEYS} are taken.")
    left = MAX_BYTES
    for key, each in value.items():
        _check_key(key, what)
        if each is None:
            raise Rejected(f"{what}: value.{key} is null, which is no output; leave the key out of the value.")
        left = _spend(each, f"{what}: value.{key}", 1, left)
    return value_ref(value, what)


def value_ref(value: Mapping[str, Any], what: str = "An arm") -> ArmRef:
    """Return the reference that stands for a value, which must be JSON.

    Raises:
        Rejected: if its JSON is too large.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_BYTES:
        raise _too_large(what)
    return ArmRef(MODEL, version=value_digest(text)[:_VERSION_LENGTH], value=text)


def value_digest(text: str) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()


def unparse_arm(ref: ArmRef) -> str | dict[str, Any]:
    """Return what `parse_arm` reads."""
    return str(ref) if ref.value is None else {"value": json.loads(ref.value)}


def is_other_value(ref: ArmRef, other: ArmRef) -> bool:
    """Return True if an arm answers another value than before, or has got one in place of a model, or lost it."""
    if ref.value is None or other.value is None:
        return ref.value is not other.value
    return bool(json.loads(ref.value) != json.loads(other.value))  # 10 and 10.0 are the same


def alike(arms: Mapping[str, ArmRef]) -> dict[str, ArmRef]:
    """Return the arms with values of the same types: where one value has a fraction, whole numbers get one, too.

    Raises:
        Rejected: if values have different keys, a key has values of different types, or they are too large together.
    """
    values = {name: json.loads(ref.value) for name, ref in arms.items() if ref.value is not None}
    if len(values) < 2:
        return dict(arms)
    if sum(len(ref.value.encode()) for ref in arms.values() if ref.value is not None) > MAX_ROUTE_BYTES:
        raise Rejected(f"The values of a route may have {MAX_ROUTE_BYTES} bytes of JSON together at most.")
    (first, keys), *others = values.items()
    for name, value in others:
        if value.keys() != keys.keys():
            raise Rejected(
                f"Arm {name} has the keys {short_repr(sorted(value))} and arm {first} {short_repr(sorted(keys))}; all "
                "values of a route must have the same keys."
            )
    for key in keys:
        kinds = {name: _kind(value[key]) for name, value in values.items()}
        if set(kinds.values()) == {_WHOLE, _FRACTION}:
            for value in values.values():
                value[key] = float(value[key])
        else:
            _require_one_kind(key, kinds, first)
    return {name: value_ref(values[name], f"Arm {name}") if name in values else ref for name, ref in arms.items()}


def check_values(spec: RouteSpec) -> None:
    """Reject what only models can do, of arms that have none.

    Raises:
        Rejected: if an arm with a value is a shadow or is compared, or no arm has a model and a key is about models.
    """
    values = [name for name, ref in spec.arms.items() if ref.value is not None]
    if not values:
        return
    if len(values) == len(spec.arms):
        for field, key in _ABOUT_MODELS.items():
            if getattr(spec, field):
                raise Rejected(f"{key} is about models, and no arm of this route has one; leave it out.")
    for shadow in spec.shadows:
        if shadow.arm in values:
            raise Rejected(f"shadow names arm {shadow.arm}, which has no model; its answer is known without traffic.")
    if any(guardrail.kind is GuardrailKind.DISAGREEMENT for guardrail in spec.guardrails):
        raise Rejected(f"guardrails watches disagreement, which compares models, but arm {values[0]} has none.")


def _require_one_kind(key: str, kinds: Mapping[str, str], first: str) -> None:
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise Rejected(
                f"value.{key} is {kind} in arm {name} and {kinds[first]} in arm {first}; all values of a route must "
                "have the same types."
            )


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return _WHOLE
    if isinstance(value, float):
        return _FRACTION
    return "a text" if isinstance(value, str) else "a list or a mapping"


def _check_key(key: object, what: str) -> None:
    if not isinstance(key, str) or not key or not key.isprintable() or len(key) > MAX_KEY_LENGTH:
        raise Rejected(
            f"{what} has a value with the key {short_repr(key)}; a key is a text of 1 to {MAX_KEY_LENGTH} printable "
            "characters."
        )


def _spend(raw: object, what: str, depth: int, left: int) -> int:
    """Check that a part of a value is JSON. Return how many of `left` bytes remain after it, or somewhat more.

    A file of YAML can name one list a thousand times, so what is too large is not visited to its end.
    """
    if depth > MAX_DEPTH:
        raise Rejected(f"{what} is nested more than {MAX_DEPTH} levels deep.")
    left -= 1
    if isinstance(raw, str):
        left -= len(raw)
        _require_utf8(raw, what)
    elif isinstance(raw, list):
        for each in raw:
            left = _spend(each, what, depth + 1, left)
    elif isinstance(raw, dict):
        for key, each in raw.items():
            if not isinstance(key, str):
                raise Rejected(f"{what} has the key {short_repr(key)}; in JSON a key is a text: put it in quotes.")
            left = _spend(each, what, depth + 1, _spend(key, what, depth, left))
    elif not _is_scalar(raw):
        raise Rejected(
            f"{what} has {short_repr(raw)}, which is no JSON or no number of 64 bits; in quotes it is a text."
        )
    if left < 0:
        raise _too_large(what)
    return left


def _is_scalar(raw: object) -> bool:
    if isinstance(raw, float):
        return math.isfinite(raw)
    return raw is None or isinstance(raw, bool) or (isinstance(raw, int) and -_LARGEST <= raw < _LARGEST)


def _require_utf8(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Rejected(f"{what} has a text with half of a character (a lone surrogate), which UTF-8 lacks.") from None


def _too_large(what: str) -> Rejected:
    return Rejected(f"{what} is too large: the JSON of a value may have {MAX_BYTES} bytes at most.")
