"""Lets the demo's bandit begin anew, so that it does not know an earlier crowd."""

from typing import Any

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient

_NOT_FOUND = 404
_WHY = "another crowd comes: pointsman demo bandit"
_OVER = ("PROMOTED", "ABORTED")


def find_bandit(client: ApiClient, route: str) -> dict[str, Any]:
    """Return the document of a bandit.

    Raises:
        ApiError: no gateway answers, or it has no such bandit. The sentence says how to start one.
    """
    document = client.find(route)
    if document is None or document["bandit"] is None or not document["bandit"]["acts"]:
        raise ApiError(
            f"The gateway at {client.url} has no bandit {route}, which is a route of the demo: start the demo with "
            "`make up`, or name its gateway with --url.",
            _NOT_FOUND,
        )
    return document


def begin_anew(client: ApiClient, route: str) -> dict[str, Any]:
    """Give the arms of a bandit equal weights and have it forget what it knows. Return its document.

    A bandit that has had no decision yet stays as it is.

    Raises:
        ApiError: as for `find_bandit`, or the gateway refused a command.
    """
    document = find_bandit(client, route)
    if not _has_begun(client, document):
        return document
    phase = document["bandit"]["phase"]
    if phase in _OVER:
        document = _send(client, document, "start")
    first, *others = document["spec"]["arms"]
    equal = round(100 / (1 + len(others)), 2)
    document = _send(client, document, "shift", weights=dict.fromkeys(others, equal))
    for arm in (first, *others):
        document = _send(client, document, "reset", arm=arm)
    return _send(client, document, "resume")


def _has_begun(client: ApiClient, document: dict[str, Any]) -> bool:
    """Return True if the bandit has had decisions, or commands."""
    (status,) = client.status([document["route"]])["routes"]
    return document["version"] > 1 or any(each["decisions"] + each["waiting"] for each in status["rewards"])


def _send(client: ApiClient, document: dict[str, Any], command: str, **body: Any) -> dict[str, Any]:
    return client.command(document["route"], command, {**body, "why": _WHY}, document["version"])
