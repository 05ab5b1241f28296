"""Webhooks of a registry: only what is signed with the secret hurries the companion."""

import asyncio
import base64
import functools
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import FastAPI

from gateway.api.app import create_app
from gateway.api.operators.router import operate_router
from gateway.api.operators.webhook import Webhook
from gateway.api.rewards import rewards_router
from gateway.settings import Settings

SECRET = "a secret of the tests"  # noqa: S105
NOW_S = 1_800_000_000.0
BODY = b'{"entity": "model_version_alias", "action": "created"}'


def signature(body: bytes = BODY, secret: str = SECRET, delivery: str = "d1", sent: str = "1800000000") -> str:
    """Return what MLflow sends (mlflow/webhooks/delivery.py)."""
    content = f"{delivery}.{sent}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def headers(given: str | None = None, delivery: str = "d1", sent: str = "1800000000") -> dict[str, str]:
    value = signature(delivery=delivery, sent=sent) if given is None else given
    return {"X-MLflow-Signature": value, "X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": sent}


class Asked:
    """Stands for the webhook that is asked at the moment."""

    webhook: ClassVar[Webhook]

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        Asked.webhook.take(headers, body)


@functools.cache
def app() -> FastAPI:
    """Return one application for all tests: FastAPI takes 0.2 s to build it."""
    nothing: Any = None
    asked: Any = Asked()
    operate = operate_router(
        store=nothing,
        catalogue=nothing,
        changes=nothing,
        desired=nothing,
        view=nothing,
        trials=nothing,
        webhook=asked,
    )
    return create_app(nothing, operate, rewards_router(nothing), bytes)


class Receiver:
    def __init__(self, file: Path, secret: str = SECRET) -> None:
        self.file = file
        self.now_s = 0.0
        self.webhook = Webhook(secret, file, wall_s=lambda: NOW_S, clock_s=lambda: self.now_s)

    async def post(self, body: bytes, given: dict[str, str]) -> httpx.Response:
        raw = {name: value.encode("latin-1") for name, value in given.items()}
        Asked.webhook = self.webhook
        transport = httpx.ASGITransport(app())
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post("/api/registry/webhook", content=body, headers=raw)


@pytest.fixture
def receiver(tmp_path) -> Receiver:
    return Receiver(tmp_path / "registry" / "hurry")


def send(receiver: Receiver, body: bytes = BODY, given: dict[str, str] | None = None) -> httpx.Response:
    return asyncio.run(receiver.post(body, headers() if given is None else given))


def test_a_signed_message_changes_the_time_of_the_file(receiver):
    assert send(receiver).status_code == 204
    before = receiver.file.stat()
    assert (before.st_mode & 0o777, before.st_size) == (0o600, 0)
    receiver.now_s += 1
    assert send(receiver).status_code == 204  # again: it is no harm
    assert receiver.file.stat().st_mtime_ns > before.st_mtime_ns


def test_messages_that_come_at_once_are_one(receiver):
    assert send(receiver).status_code == 204
    receiver.file.unlink()
    assert send(receiver).status_code == 204
    assert not receiver.file.exists()
    receiver.now_s += 0.2
    assert send(receiver).status_code == 204
    assert receiver.file.exists()


def test_one_of_several_signatures_is_enough(receiver):
    """So a secret can be replaced: the sender signs with both."""
    both = f"{signature(secret='before')} {signature()}"  # noqa: S106
    assert send(receiver, given=headers(both)).status_code == 204


@pytest.mark.parametrize("given", [
    {},
    headers(""),
    headers("v1,"),
    headers("v1,é".encode().decode("latin-1")),
    headers(signature(secret="another")),  # noqa: S106
    headers(signature().replace("v1,", "v2,")),
    headers(signature().removeprefix("v1,")),
    headers(signature(body=b"{}")),
    headers(signature(delivery="d2")),
    headers(signature(sent="1800000001")),
    headers(signature(secret="")),
    headers(" ".join(["v1,x"] * 5 + [signature()])),
], ids=range(12))  # fmt: skip
def test_what_is_not_signed_with_the_secret_is_refused(receiver, given):
    answer = send(receiver, given=given)
    assert (answer.status_code, answer.headers["x-error"]) == (403, "NotSigned")
    assert "POINTSMAN_REGISTRY_WEBHOOK_SECRET" in answer.json()["error"]
    assert not receiver.file.exists()


@pytest.mark.parametrize(("sent", "status"), [
    ("1800000000", 204), ("1799999700", 204), ("1799999699", 403), ("1800000030", 204), ("1800000031", 403),
    ("", 403), ("soon", 403), ("-1", 403), ("1800000000.0", 403), ("9" * 400, 403), ("\u0661", 403),
])  # fmt: skip
def test_what_is_old_or_of_the_future_is_refused(receiver, sent, status):
    sent = sent.encode().decode("latin-1")
    content = b"d1." + sent.encode("latin-1") + b"." + BODY
    signed = "v1," + base64.b64encode(hmac.new(SECRET.encode(), content, hashlib.sha256).digest()).decode()
    given = {"X-MLflow-Signature": signed, "X-MLflow-Delivery-Id": "d1", "X-MLflow-Timestamp": sent}
    assert send(receiver, given=given).status_code == status
    assert receiver.file.exists() == (status == 204)


def test_what_is_too_large_is_refused_before_it_is_signed(receiver):
    body = b"x" * (64 * 1024 + 1)
    assert send(receiver, body, headers(signature(body))).status_code == 413
    assert send(receiver, body[1:], headers(signature(body[1:]))).status_code == 204


def test_without_a_secret_nothing_is_taken(tmp_path):
    """An empty key would make a signature that everybody knows."""
    receiver = Receiver(tmp_path / "hurry", secret="")
    answer = send(receiver, given=headers(signature(secret="")))
    assert answer.status_code == 403
    assert "not set" in answer.json()["error"]
    assert not receiver.file.exists()


def test_the_secret_reaches_replicas_as_it_is_and_is_not_printed():
    """Settings go to other processes as JSON, where pydantic would put stars for a SecretStr."""
    settings = Settings(registry_webhook_secret=SECRET)
    assert Settings(**settings.model_dump(mode="json")).registry_webhook_secret == SECRET
    assert SECRET not in repr(settings)
