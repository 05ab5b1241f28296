"""The file with the learned policies of all bandits. With it, replicas that start while the store is away serve them.

There is one file per home, beside that of the documents (`last_known.py`). The companion writes it, and replicas read
it when they start. It is replaced as a whole, and belongs to one identity of one store.

The first line says so. Each other line is a policy behind the SHA-256 of its text: what a replica serves from the file
is what was learned, bit for bit, or it is not served. A line that is damaged costs the policy of one route.

Policies of a thousand routes may change every ten seconds. So a policy is encoded once, the file is written at most
twice a minute, and a file that takes long is written less often.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from gateway.telemetry.periodic import LogOnce
from registry_sync.copy.whole_file import write_whole
from router.document.learned import LearnedPolicy
from store.codec import decode_policy, encode_policy

_log = structlog.get_logger()

EVERY_S = 30.0
MOST_BYTES = 64 * 1024 * 1024
_MOST_OF_THE_TIME = 0.01
_FORMAT = 1
_HEAD_BYTES = 256  # more than the first line has


class _Head(msgspec.Struct, frozen=True):
    """The first line."""

    format: int
    store: str
    identity: str
    policies: int


class _Encoded(NamedTuple):
    """A policy, and its line."""

    policy: LearnedPolicy
    line: bytes


class LearnedFile:
    """The file. One process writes it: the companion."""

    def __init__(self, path: Path, store_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._store = hashlib.sha256(store_url.encode()).hexdigest()[:16]  # the URL may hold a password
        self._clock = clock
        self._due_s = -float("inf")
        self._kept: tuple[str, Mapping[str, LearnedPolicy]] = ("", {})
        self._encoded: Mapping[str, _Encoded] = {}
        self._failed = LogOnce("gateway.learned.not_kept")
        self._too_large = LogOnce("gateway.learned.too_large")

    def load(self, identity: str) -> dict[str, LearnedPolicy]:
        """Read the policies, by route. There are none if the file is missing, unreadable, or of another store."""
        if not identity:
            return {}
        try:
            if self._path.stat().st_size > MOST_BYTES:
                self._warn(f"It has more than {MOST_BYTES} bytes.")
                return {}
            head, *lines = self._path.read_bytes().split(b"\n")
            described = msgspec.json.decode(head, type=_Head)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._warn(f"It cannot be read: {error}")
            return {}
        if described.format != _FORMAT:
            self._warn(f"It has format {described.format}, and this release reads format {_FORMAT}.")
            return {}
        if (described.store, described.identity) != (self._store, identity):
            return {}
        read = [_decode(line) for line in lines]
        policies = {policy.route: policy for policy in read if policy is not None}
        if len(policies) < described.policies:
            self._warn(f"{described.policies - len(policies)} of its {described.policies} policies are damaged.")
        return policies

    def is_due(self) -> bool:
        """Return True if the file may be written again."""
        return self._clock() >= self._due_s

    def keep(self, identity: str, policies: Mapping[str, LearnedPolicy]) -> None:
        """Replace the file if the policies have changed. A disk error is logged, not raised."""
        if not self.is_due() or (identity, policies) == self._kept:
            return
        began_s, before = self._clock(), self._encoded
        self._encoded = {route: _encode(policy, before.get(route)) for route, policy in policies.items()}
        lines = self._that_fit()
        head = msgspec.json.encode(_Head(_FORMAT, self._store, identity, len(lines)))
        content = b"\n".join([head, *lines])
        try:
            write_whole(self._path, content, is_lasting=False)
        except OSError as error:
            self._failed.note(f"{self._path}: {error}")
        else:
            self._failed.note("")
            self._kept = identity, dict(policies)
        ended_s = self._clock()
        self._due_s = ended_s + max(EVERY_S, (ended_s - began_s) / _MOST_OF_THE_TIME)

    def _that_fit(self) -> list[bytes]:
        """Return the lines for which there is room, the shortest first. Log it if there is none for some."""
        lines = sorted([each.line for each in self._encoded.values()], key=len)
        count, size = 0, _HEAD_BYTES
        for line in lines:
            size += len(line) + 1
            count += size <= MOST_BYTES
        left_out = len(lines) - count
        self._too_large.note(
            f"{left_out} of {len(lines)} learned policies do not fit into {MOST_BYTES} bytes. A replica that starts "
            "while the store is away serves these routes with the weights of their documents."
            if left_out
            else ""
        )
        return lines[:count]

    def _warn(self, reason: str) -> None:
        _log.warning(
            "gateway.learned.unreadable",
            path=str(self._path),
            error=f"{reason} Until the store answers, bandits without a policy serve the weights of their documents.",
        )


def _encode(policy: LearnedPolicy, known: _Encoded | None) -> _Encoded:
    if known is not None and known.policy is policy:
        return known
    text = encode_policy(policy).encode()
    return _Encoded(policy, _digest(text) + b" " + text)


def _decode(line: bytes) -> LearnedPolicy | None:
    """Read a policy back; None if it is damaged."""
    digest, _, text = line.partition(b" ")
    return decode_policy(text.decode(errors="replace")) if _digest(text) == digest else None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
