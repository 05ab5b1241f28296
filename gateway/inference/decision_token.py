"""The decision token: what a reward needs to know of its decision, sealed, so that nothing is kept for a prediction.

A token is base64url, without padding, of

    version (1 byte) | key id (4) | day (2) | nonce (12) | ciphertext and tag of AES-256-GCM

The version, key id, day and nonce are the associated data, so they cannot be changed either. The nonce is the decision
id: 96 random bits, of which no two decisions have the same. The key is that of the day of the decision
(`gateway.inference.token_keys`). Below 2^32 decisions a day of all gateways that share the keys, the probability that
two of them have the same nonce is below 2^-32 (NIST SP 800-38D, section 8.3).

The ciphertext holds the route (8 bytes of a hash), the times, the arm and, at its end, the context. In a token of the
second form, the weights of the arms are between the two: where guardrails of a bandit compare rewards. Callers and
their pipelines cannot read it.
"""

import binascii
import hashlib
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from gateway.inference.token_keys import TokenKeys
from router.draw.assignment import BUCKETS

MAX_CHARS = 512
"""The longest token."""
VERSION, WITH_SLOTS = 1, 2
"""The forms of a token."""

_DAY_US = 86_400_000_000
_HEAD = struct.Struct(">B4sH")
_NONCE_BYTES = 12
_SEALED_AT = _HEAD.size + _NONCE_BYTES
_TAG_BYTES = 16
_BODY = struct.Struct(">8sqqqqHbB")
"""Route, life, policy version, time of the decision, latency, propensity in slots, group, length of the arm's name."""
_NOT_DRAWN = 0xFFFF
ROOM_BYTES = MAX_CHARS * 3 // 4 - _SEALED_AT - _BODY.size - _TAG_BYTES
"""How long the arm's name, the slots with their length, and the context may be together."""
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")

Declared = Mapping[bytes, tuple[str, int]]
"""The routes that are declared, with their lives (`Document.declared_us`), as `declared` gives them."""


class Decision(NamedTuple):
    """A decision, as its record in the log has it.

    `declared_us` names the life of the route. The decision's request arrived at `decided_us`, microseconds since the
    epoch. `propensity` is None if the arm was not drawn. `group` is the group of the unit, or -1 without one. `context`
    is what a contextual bandit saw. `slots` are the weights of the arms, in the order of the document
    (`inference_log.request_slots`), if the guardrails of a bandit compare its rewards.
    """

    decision_id: str
    route: str
    declared_us: int
    policy_version: int
    arm: str
    propensity: float | None
    decided_us: int
    latency_us: int
    group: int
    context: bytes = b""
    slots: bytes = b""


class TokenRefused(Exception):
    """A text is no token of a decision of a route that is declared here. The sentence says why."""


def seal(decision: Decision, keys: TokenKeys) -> str:
    """Return the token of a decision.

    Raises:
        ValueError: the context is so long that the token would have more than 512 characters.
    """
    decision_id, route, declared_us, policy_version, arm, propensity, decided_us, latency_us, group, *rest = decision
    context, slots = rest
    owned = _NOT_DRAWN if propensity is None else round(propensity * BUCKETS)
    body = _BODY.pack(_route_hash(route), declared_us, policy_version, decided_us, latency_us, owned, group, len(arm))
    weights = bytes([len(slots)]) + slots if slots else b""
    day = decided_us // _DAY_US & 0xFFFF  # in range whatever the clock says
    key_id, nonce = keys.sealing, bytes.fromhex(decision_id)
    head = _HEAD.pack(WITH_SLOTS if slots else VERSION, key_id, day) + nonce
    text = _encode(head + keys.cipher(key_id, day).encrypt(nonce, body + arm.encode() + weights + context, head))
    if len(text) > MAX_CHARS:
        raise ValueError(f"A context of {len(context)} bytes is too long for a decision token.")
    return text


def declared(routes: Mapping[str, int]) -> Declared:
    """Return routes, given with their `declared_us`, in the form that `open_token` takes. Make it once for many."""
    return {_route_hash(route): (route, declared_us) for route, declared_us in routes.items()}


def open_token(text: str, keys: TokenKeys, routes: Declared) -> Decision:
    """Return the decision of a token. Whether its window is over is for the caller to say, from `decided_us`.

    Raises:
        TokenRefused: the text is no token, was changed, or is of another gateway, route or life of a route.
    """
    content = _decode(text)
    version, key_id, day = _HEAD.unpack_from(content)
    if version not in (VERSION, WITH_SLOTS):
        raise TokenRefused(
            f"The token has the form {version}; this gateway reads the forms {VERSION} and {WITH_SLOTS}."
        )
    head, nonce = content[:_SEALED_AT], content[_HEAD.size : _SEALED_AT]
    try:
        body = keys.cipher(key_id, day).decrypt(nonce, content[_SEALED_AT:], head)
    except KeyError:
        raise TokenRefused(
            f"No key here opens the token: it needs the key {key_id.hex()}. Another gateway has sealed it, or the key "
            "was dropped. Machines that serve the same routes need the same token keys."
        ) from None
    except InvalidTag:
        raise TokenRefused("The token does not open: it is not as the gateway has sent it.") from None
    name, declared_us, policy_version, decided_us, latency_us, owned, group, length = _BODY.unpack_from(body)
    if name not in routes:
        raise TokenRefused("The token is of a route that is not declared here.")
    route, current_us = routes[name]
    if declared_us != current_us:
        raise TokenRefused(f"Route {route} was declared anew after this decision, which belongs to its earlier life.")
    arm, rest = body[_BODY.size : _BODY.size + length], body[_BODY.size + length :]
    size = rest[0] + 1 if version == WITH_SLOTS else 0
    return Decision(
        nonce.hex(),
        route,
        declared_us,
        policy_version,
        arm.decode(),
        None if owned == _NOT_DRAWN else owned / BUCKETS,
        decided_us,
        latency_us,
        group,
        rest[size:],
        rest[1:size],
    )


@lru_cache(maxsize=1024)
def _route_hash(route: str) -> bytes:
    return hashlib.blake2b(route.encode(), digest_size=8).digest()


def _encode(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).translate(_TO_URL, b"=").decode()


def _decode(text: str) -> bytes:
    """Return the bytes of a text that `_encode` may have given, and of no other: a token has one form."""
    if len(text) > MAX_CHARS:
        raise TokenRefused(f"No decision token has more than {MAX_CHARS} characters; this text has {len(text)}.")
    try:
        content = binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4))
        is_token = _encode(content) == text
    except ValueError:  # the text is not ASCII, or no base64
        is_token = False
    if not is_token:
        raise TokenRefused("The text is no decision token, or only a part of one.")
    if len(content) < _SEALED_AT + _BODY.size + _TAG_BYTES:
        raise TokenRefused("The text is too short for a decision token; a part of it is missing.")
    return content
