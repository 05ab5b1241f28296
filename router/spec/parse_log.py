"""Parsing what a route keeps of its requests in the log.

It looks like this:

    log:
      durability: durable
      sample: 10%
      payloads: true
      redact: {age: bucket 10, email: hmac, name: drop, postcode: truncate 3, iban: mask}
"""

import re
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.errors import Rejected
from router.quantities import format_percent, parse_share
from router.refusals import check_keys, short_repr
from router.spec.log import DEFAULT_LOG, Durability, LogSpec, RedactAction, Redaction
from router.spec.spec import RouteSpec

MAX_REDACTED = 256
MAX_NAME_LENGTH = 256
MAX_TRUNCATED = 64
_WIDTH = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_WITH_AMOUNT = (RedactAction.TRUNCATE, RedactAction.BUCKET)


def parse_log(raw: object) -> LogSpec:
    """Read the key `log` of a route. Without it, the log keeps everything but payloads.

    Raises:
        Rejected: if it is not such a mapping.
    """
    if raw is None:
        return DEFAULT_LOG
    if not isinstance(raw, dict):
        raise Rejected("log must be a mapping such as `{sample: 10%, redact: {email: hmac}}`.")
    check_keys(raw, ("durability", "sample", "payloads", "redact"), "log")
    spec = LogSpec(
        durability=_parse_durability(raw.get("durability")),
        sample_slots=_parse_sample(raw.get("sample")),
        payloads=_parse_payloads(raw.get("payloads")),
        redact=_parse_redact(raw.get("redact")),
    )
    if spec.payloads and spec.redact:
        raise Rejected("log has payloads and redact. A body holds every value as it came: leave one of them out.")
    return spec


def unparse_log(spec: LogSpec) -> dict[str, Any]:
    """Return the declaration, without what is the default."""
    declared: dict[str, Any] = {}
    if spec.durability is not DEFAULT_LOG.durability:
        declared["durability"] = str(spec.durability)
    if spec.sample_slots != BUCKETS:
        declared["sample"] = format_percent(Fraction(spec.sample_slots, BUCKETS))
    if spec.payloads:
        declared["payloads"] = True
    if spec.redact:
        declared["redact"] = {name: str(each) for name, each in spec.redact.items()}
    return declared


def check_log(spec: RouteSpec) -> None:
    """Check what the log leaves out against what reads the log.

    Raises:
        Rejected: if a bandit, or the check of a version, needs it.
    """
    log, bandit = spec.log, spec.bandit
    if bandit is not None and log.sample_slots != BUCKETS:
        raise Rejected("log.sample leaves out requests, and a bandit's decisions must all be there: leave it out.")
    if spec.check is not None and log.redact:
        raise Rejected("check asks a version logged requests again, and log.redact changes them: leave one out.")
    for column in () if bandit is None else bandit.context:
        source, name, offset = column.attribute
        if source == "inputs" and log.redact.keys() & {name, f"{name}_{offset}"}:
            raise Rejected(
                f"log.redact hides a value of input {name}, and the log keeps what the bandit sees of {column.path}: "
                "leave one of them out."
            )


def _parse_durability(raw: object) -> Durability:
    if raw is None:
        return DEFAULT_LOG.durability
    if raw not in list(Durability):
        raise Rejected(f"log.durability must be {', '.join(Durability)}, not {short_repr(raw)}.")
    return Durability(str(raw))


def _parse_sample(raw: object) -> int:
    if raw is None:
        return BUCKETS
    slots = parse_share(raw, "log.sample") * BUCKETS
    if slots < 1 or slots.denominator != 1:
        raise Rejected(f"log.sample is {raw}; it must be 0.01% to 100%, with at most two decimals.")
    return int(slots)


def _parse_payloads(raw: object) -> bool:
    if raw is not None and not isinstance(raw, bool):
        raise Rejected(f"log.payloads must be true or false, not {short_repr(raw)}.")
    return bool(raw)


def _parse_redact(raw: object) -> dict[str, Redaction]:
    if raw is None:
        return {}
    if not isinstance(raw, dict) or len(raw) > MAX_REDACTED:
        raise Rejected(
            f"log.redact must map at most {MAX_REDACTED} names of features or inputs to actions, "
            "such as `{email: hmac}`."
        )
    return {_parse_name(name): _parse_redaction(each, f"log.redact.{_readable(name)}") for name, each in raw.items()}


def _parse_name(raw: object) -> str:
    is_text = isinstance(raw, str) and 0 < len(raw) <= MAX_NAME_LENGTH
    if not is_text or any("\ud800" <= char <= "\udfff" for char in str(raw)):  # a lone surrogate cannot be stored
        raise Rejected(
            f"log.redact has the name {short_repr(raw)}, which is no text of at most {MAX_NAME_LENGTH} characters; "
            "write a number in quotes."
        )
    return str(raw)


def _readable(name: object) -> str:
    return name if isinstance(name, str) and name.isprintable() else short_repr(name)


def _parse_redaction(raw: object, what: str) -> Redaction:
    word, _, amount = raw.strip().partition(" ") if isinstance(raw, str) else ("", "", "")
    amount = amount.strip()
    if word not in list(RedactAction):
        raise Rejected(f"{what} must be drop, hmac, mask, `truncate N` or `bucket WIDTH`, not {short_repr(raw)}.")
    action = RedactAction(word)
    if action not in _WITH_AMOUNT:
        if amount:
            raise Rejected(f"{what} is {short_repr(raw)}; {action} takes no number.")
        return Redaction(action)
    if action is RedactAction.TRUNCATE:
        if not amount.isascii() or not amount.isdigit() or not 1 <= int(amount[:9]) <= MAX_TRUNCATED:
            raise Rejected(f"{what} must say how many characters stay, 1 to {MAX_TRUNCATED}, such as `truncate 3`.")
        return Redaction(action, float(amount[:9]))
    if not _WIDTH.fullmatch(amount) or float(amount) == 0:
        raise Rejected(f"{what} must say a width above 0, such as `bucket 10`, with at most 6 decimals.")
    return Redaction(action, float(amount))
