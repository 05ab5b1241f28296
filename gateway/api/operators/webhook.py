"""`POST /api/registry/webhook`: MLflow says that something in the registry has changed.

1. The signature is the credential. It is base64 of HMAC-SHA256, keyed with POINTSMAN_REGISTRY_WEBHOOK_SECRET, of the
   delivery's id, its time and its body, with dots between them (https://www.standardwebhooks.com).
2. A message that is older than five minutes is refused.
3. A message only hurries the companion, which then reads the registry itself. Nothing in the message is believed or
   read, so one that was recorded and is sent again within five minutes does no harm.

The companion sees the file `hurry` in the home change. Messages that come faster than ten a second count as one: the
companion reads the registry every few seconds in any case.
"""

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from gateway.api.error_responses import raises
from gateway.errors import CrossOrigin, NotSigned, TooLarge

_MAX_BODY_BYTES = 64 * 1024
_OLDEST_S = 300
_CLOCKS_DIFFER_S = 30
_AT_MOST_EVERY_S = 0.1
_VERSION = "v1,"
_MOST_SIGNATURES = 4
"""While a secret is being replaced, a sender signs with the old one and the new one."""


class Webhook:
    """Takes messages of one registry. Without a secret, it refuses all."""

    def __init__(
        self,
        secret: str = "",
        hurry_file: Path | None = None,
        *,
        wall_s: Callable[[], float] = time.time,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret = secret.encode()
        self._hurry_file = hurry_file
        self._wall_s = wall_s
        self._clock_s = clock_s
        self._hurried_s = float("-inf")

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Let the companion read the registry soon.

        Raises:
            NotSigned: the message is not signed with the secret, or it is too old.
            TooLarge: no message of a registry is so large.
        """
        if len(body) > _MAX_BODY_BYTES:
            raise TooLarge(f"A message of a registry has at most {_MAX_BODY_BYTES} bytes.")
        if not self._secret:
            raise NotSigned("This gateway takes no webhooks: POINTSMAN_REGISTRY_WEBHOOK_SECRET is not set.")
        delivery, sent = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
        signed = b".".join((delivery.encode("latin-1"), sent.encode("latin-1"), body))
        expected = base64.b64encode(hmac.digest(self._secret, signed, hashlib.sha256))
        given = headers.get("x-mlflow-signature", "").split(" ")[:_MOST_SIGNATURES]
        if not any(_is_same(each, expected) for each in given):
            raise NotSigned(
                "The signature is not valid. The webhook's secret in MLflow must be POINTSMAN_REGISTRY_WEBHOOK_SECRET."
            )
        self._require_fresh(sent)
        self._hurry()

    def _require_fresh(self, sent: str) -> None:
        if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
            raise NotSigned("X-MLflow-Timestamp is no number of seconds.")
        age_s = self._wall_s() - int(sent)
        if not -_CLOCKS_DIFFER_S <= age_s <= _OLDEST_S:
            raise NotSigned(
                f"The message was signed {age_s:.0f} s ago; it must be at most {_OLDEST_S} s. Are the clocks right?"
            )

    def _hurry(self) -> None:
        now_s, file = self._clock_s(), self._hurry_file
        if file is None or now_s - self._hurried_s < _AT_MOST_EVERY_S:
            return
        self._hurried_s = now_s
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)


def webhook_router(webhook: Webhook) -> APIRouter:
    """Build the router of the webhook."""
    router = APIRouter(prefix="/registry")

    @router.post("/webhook", status_code=204, responses=raises(NotSigned, CrossOrigin, TooLarge))
    async def registry_webhook(request: Request) -> Response:
        """Take a webhook of MLflow: the registry is read at once. The signature is the credential."""
        body = await request.body()
        await run_in_threadpool(webhook.take, request.headers, body)
        return Response(status_code=204)

    return router


def _is_same(given: str, expected: bytes) -> bool:
    prefix, value = given[: len(_VERSION)], given[len(_VERSION) :]
    return prefix == _VERSION and hmac.compare_digest(value.encode("latin-1"), expected)
