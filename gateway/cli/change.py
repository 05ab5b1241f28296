"""Makes a change, and finds out what became of it if its answer is lost.

The gateway loads what a change needs before it answers, which may take minutes. The client waits for as long as the
connection stands. If it ends early, the change may have been made all the same, so the client looks: it has given the
change an id, which the history shows.
"""

import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.cli.api_error import AnswerLost, ApiError
from gateway.cli.client import ApiClient
from gateway.cli.output import Progress, print_json

EXIT_UNKNOWN = 4
"""The exit code of a command of which it is not known whether its change was made."""
_PAUSE_S = 0.5
_SERVER_ERROR = 500
_HISTORY = 20


class OutcomeUnknown(ApiError):
    """The answer was lost, and the change is not made so far."""

    exit_code = EXIT_UNKNOWN


def make_change(
    client: ApiClient,
    send: Callable[[str], Any],
    seen: Mapping[str, int],
    patience_s: float,
    *,
    is_quiet: bool = False,
) -> list[dict[str, Any]]:
    """Return the documents that a change has made, one for each route of `seen`.

    `send` sends the change under an id and returns what the gateway answers. `seen` are the versions that it replaces.
    With `is_quiet` nothing is said meanwhile, and what is not known is printed as JSON, too.

    Raises:
        ApiError: the gateway refused the change.
        OutcomeUnknown: it is not known whether the change was or will be made.
    """
    change_id = uuid.uuid4().hex
    with _announced(client, is_quiet=is_quiet):
        try:
            made = send(change_id)
            return made if isinstance(made, list) else [made]
        except AnswerLost as error:
            lost = error
    until_s = time.monotonic() + patience_s
    while True:
        found = [_find(client, route, version, change_id) for route, version in seen.items()]
        made = [each for each in found if each is not None]
        if len(made) == len(seen):
            return made
        if time.monotonic() > until_s:
            sentence = _unknown(client, seen, lost)
            if is_quiet:
                print_json({"outcome": "unknown", "change_id": change_id, "seen": dict(seen), "error": sentence})
            raise OutcomeUnknown(sentence)
        time.sleep(_PAUSE_S)


@contextmanager
def _announced(client: ApiClient, *, is_quiet: bool) -> Generator[None, None, None]:
    """Say that the gateway is still at work, if it takes long."""
    progress = Progress()
    if not is_quiet:
        client.on_slow = lambda: progress.step("the gateway is working on it; a version may have to be loaded")
    try:
        yield
    finally:
        client.on_slow = None
        progress.done()


def _find(client: ApiClient, route: str, version: int, change_id: str) -> dict[str, Any] | None:
    """Return the document that the change made, or None if it is not made so far.

    Raises:
        ApiError: another change came first, so this one is never made.
    """
    try:
        history = client.history(route, _HISTORY)
    except ApiError as error:
        if error.status is None or error.status >= _SERVER_ERROR or not version:
            return None
        raise
    for entry in history:
        if entry.get("change_id") == change_id:
            return entry
    after = next((entry for entry in history if entry["version"] == version + 1), None)
    if after is not None and "change_id" in after:
        raise ApiError(
            f"Nothing was changed: {after['who']} changed route {route} first ({after['what']}), and it is at version "
            f"{history[0]['version']}."
        )
    return None


def _unknown(client: ApiClient, seen: Mapping[str, int], lost: AnswerLost) -> str:
    """Return what is known of a change whose answer was lost."""
    route = next(iter(seen))
    try:
        now = client.find(route)
    except ApiError:
        return f"{lost} It is not known whether the change was made. `pointsman history {route}` shows it if it was."
    at = "not there" if now is None else f"at version {now['version']}"
    return (
        f"{lost} The change is not made so far: route {route} is {at}. It may still be made: "
        f"`pointsman history {route}` shows it then."
    )
