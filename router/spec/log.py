"""What a route keeps of its requests in the log, and how safe a row must be before the answer is sent."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from router.draw.assignment import BUCKETS


class Durability(StrEnum):
    """What must be true of a request's rows before its answer is sent."""

    BEST_EFFORT = "best_effort"  # nothing: rows of this route are dropped first if there is no room
    DURABLE = "durable"  # they are in the segment on this machine, which outlives the process
    STRICT = "strict"  # a second place has them, too: S3, where the log is


class RedactAction(StrEnum):
    """What is done to a value before it is logged."""

    DROP = "drop"  # it is left out
    HMAC = "hmac"  # a text becomes a hash that only the gateway's secret can make: equal texts stay equal
    TRUNCATE = "truncate"  # of a text the first characters stay
    BUCKET = "bucket"  # a number becomes the largest multiple of a width that is not above it
    MASK = "mask"  # letters of a text become x and digits 9; what is neither, such as a space or a hyphen, stays


@dataclass(frozen=True, slots=True)
class Redaction:
    """An action with its number: the characters that `truncate` leaves, or the width of `bucket`; else 0."""

    action: RedactAction
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.action} {f'{self.amount:.6f}'.rstrip('0').rstrip('.')}" if self.amount else str(self.action)


@dataclass(frozen=True, slots=True)
class LogSpec:
    """What a route declares of its log.

    Of its requests, the share `sample_slots` (in slots of 1/10,000) is logged, by unit. `redact` maps names of features
    or inputs to what is done to their values. With `payloads`, the bodies of requests and responses are kept, too.
    """

    durability: Durability = Durability.DURABLE
    sample_slots: int = BUCKETS
    payloads: bool = False
    redact: Mapping[str, Redaction] = field(default_factory=dict)

    @property
    def redaction(self) -> str:
        """A hash of the rules of `redact`, the same for the same rules; empty if there are none."""
        if not self.redact:
            return ""
        rules = json.dumps(sorted((name, str(each)) for name, each in self.redact.items()))
        return hashlib.sha256(rules.encode()).hexdigest()[:12]


DEFAULT_LOG = LogSpec()
