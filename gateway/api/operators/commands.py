"""Commands over HTTP: `POST /api/routes/{route}/{command}`.

With If-Match, a command applies to that version of the document or is rejected. Without it, a command applies to the
newest version.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Response

from gateway.api.error_responses import BIND_ERRORS, READ_ERRORS, raises
from gateway.api.openapi import RouteName
from gateway.api.operators.headers import ETAG, UNKNOWN, ChangeId, IfMatch, Who, seen_version, with_etag
from gateway.api.operators.requests import AbortBody, Ask, PromoteBody, ReleaseBody, ResetBody, ShiftBody, UndoBody
from gateway.api.operators.responses import Changed
from gateway.api.operators.strict_json import StrictRoute
from gateway.control.binding import bind, candidate_of
from gateway.control.changes import Changes, Note
from gateway.control.replica_view import ReplicaView
from gateway.control.required_tags import require_tags
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryError
from router.document.apply import apply
from router.document.bindings import binding_of
from router.document.commands import (
    Abort,
    Command,
    Pause,
    Promote,
    PromoteShadow,
    Release,
    Reset,
    Resume,
    Shift,
    Start,
    Undo,
)
from router.document.document import Candidate, Document
from router.document.promoted_base import base_after_promotion
from router.document.rollout import spec_and_state
from router.document.shift import check_arm
from router.errors import Rejected, UnknownRoute
from router.quantities import parse_percent
from router.spec.spec import Starts
from runtimes.errors import ModelRefused
from store.errors import Conflict

_RESPONSES = {200: ETAG, **raises(UnknownRoute, Rejected, Conflict, *READ_ERRORS)}
_LOADING_RESPONSES = {200: ETAG, **raises(UnknownRoute, Conflict, *BIND_ERRORS, *READ_ERRORS)}
_NO_BODY = Ask()
_PROMOTE, _ABORT, _UNDO = PromoteBody(), AbortBody(), UndoBody()


class _Target(NamedTuple):
    """The route of a command, the headers of its request, and its response."""

    route: str
    if_match: str | None
    who: str
    response: Response
    change_id: str


async def _target(
    route: RouteName, response: Response, if_match: IfMatch = None, who: Who = UNKNOWN, change_id: ChangeId = ""
) -> _Target:
    return _Target(route, if_match, who, response, change_id)


Target = Annotated[_Target, Depends(_target)]


def command_router(changes: Changes, catalogue: Catalogue, view: ReplicaView) -> APIRouter:
    """Build the router with one handler for each command."""
    router = APIRouter(prefix="/routes/{route}", route_class=StrictRoute)
    commands = _Commands(changes, catalogue, view)

    @router.post("/shift", responses=_LOADING_RESPONSES)
    def shift(target: Target, body: ShiftBody) -> Changed:
        """Set the weights of arms. The other arms share the rest in proportion. Pauses a rollout."""
        weights = {arm: parse_percent(share, f"The weight of arm {arm}") for arm, share in body.weights.items()}
        what = "shift " + " ".join(f"{arm}={share}" for arm, share in body.weights.items())
        return commands.run(target, lambda _: Shift(weights, time.time()), what, body.why)

    @router.post("/start", responses=_LOADING_RESPONSES)
    def start(target: Target, body: Ask = _NO_BODY) -> Changed:
        """Begin the rollout with the version that its arm's reference names now."""
        return commands.load_and_run(target, commands.start, "start", body.why)

    @router.post("/pause", responses=_RESPONSES)
    def pause(target: Target, body: Ask = _NO_BODY) -> Changed:
        """Keep the weights as they are until the rollout is resumed."""
        return commands.run(target, lambda _: Pause(), "pause", body.why)

    @router.post("/resume", responses=_RESPONSES)
    def resume(target: Target, body: Ask = _NO_BODY) -> Changed:
        """Restart the current step of a paused rollout, or approve the next step."""
        return commands.run(target, lambda _: Resume(time.time()), "resume", body.why)

    @router.post("/promote", responses=_LOADING_RESPONSES)
    def promote(target: Target, body: PromoteBody = _PROMOTE) -> Changed:
        """Give all traffic to the candidate or to an arm of a bandit, or begin the rollout of a shadow's version."""
        name = body.shadow
        if name is None:
            what = "promote" if body.arm is None else f"promote {body.arm}"
            return commands.run(target, lambda _: Promote(time.time(), body.arm), what, body.why)
        return commands.load_and_run(
            target, lambda document: commands.promote_shadow(document, name), f"promote shadow {name}", body.why
        )

    @router.post("/abort", responses=_LOADING_RESPONSES)
    def abort(target: Target, body: AbortBody = _ABORT) -> Changed:
        """Take all traffic from an arm, and put its version in quarantine."""
        what = "abort" if body.arm is None else f"abort {body.arm}"
        why = body.why or f"{target.who} aborted it."
        return commands.run(target, lambda document: commands.abort(document, body.arm, why), what, body.why)

    @router.post("/undo", responses=_LOADING_RESPONSES)
    def undo(target: Target, body: UndoBody = _UNDO) -> Changed:
        """Go back to an earlier version of the document. Versions in quarantine stay there."""
        what = "undo" if body.to is None else f"undo to {body.to}"
        return commands.load_and_run(target, lambda document: commands.undo(document, body.to), what, body.why)

    @router.post("/release", responses=_RESPONSES)
    def release(target: Target, body: ReleaseBody) -> Changed:
        """Release a version from quarantine. This alone gives it no traffic."""
        return commands.run(target, lambda _: Release(body.version, time.time()), f"release {body.version}", body.why)

    _add_reset(router, commands)
    return router


def _add_reset(router: APIRouter, commands: "_Commands") -> None:
    @router.post("/reset", responses=_RESPONSES)
    def reset(target: Target, body: ResetBody) -> Changed:
        """Forget what a bandit has learned of an arm. The weights stay until it learns anew."""
        return commands.run(target, lambda _: Reset(body.arm, time.time()), f"reset {body.arm}", body.why)


class _Commands:
    """Runs commands, and builds those that depend on the version that an arm is bound to now."""

    def __init__(self, changes: Changes, catalogue: Catalogue, view: ReplicaView) -> None:
        self._changes = changes
        self._catalogue = catalogue
        self._view = view

    def run(self, target: _Target, command_for: Callable[[Document], Command], what: str, why: str) -> Changed:
        """Run a command, and return the document that it makes."""
        note = Note(target.who, what, why, target.change_id)
        entry = self._changes.change(target.route, command_for, note, seen_version(target.if_match))
        return with_etag(entry, target.response)

    def load_and_run(self, target: _Target, command_for: Callable[[Document], Command], what: str, why: str) -> Changed:
        """Run a command that may bring in new versions, and return the document that it makes.

        The versions are loaded first, without a lock on the route. So a version that cannot be served is rejected here,
        instead of keeping every replica waiting for it.
        """
        seen, document = seen_version(target.if_match), self._changes.existing(target.route).document
        if seen is not None and document.version != seen:
            raise Conflict(target.route, seen, document.version)
        bind(self._catalogue, apply(document, command_for(document)), retry=True)
        return self.run(target, command_for, what, why)

    def start(self, document: Document) -> Start:
        """Build the command with the version that the reference of the candidate's arm names now."""
        if document.spec.learns:
            return Start(None, time.time())
        rollout, _ = spec_and_state(document)
        ref = document.spec.arms[rollout.of]
        candidate = candidate_of(self._catalogue, ref)
        require_tags(self._catalogue, document.spec, ref, candidate)
        is_moved = {} if rollout.starts is Starts.BY_HAND else base_after_promotion(document) or {}
        for arm in rollout.base:
            if arm not in is_moved and self._served(document, arm) == candidate:
                raise Rejected(
                    f"Arm {rollout.of} is bound to what arm {arm} serves already, version {candidate.version}; there "
                    "is nothing to roll out."
                )
        return Start(candidate, time.time())

    def promote_shadow(self, document: Document, name: str) -> PromoteShadow:
        """Build the command with the version that the reference of the shadow names now.

        Applying the command rejects the name of a shadow that does not exist.
        """
        rollout, _ = spec_and_state(document)
        refs = {shadow.name: shadow.ref for shadow in document.spec.shadows}
        ref = refs.get(name) or document.spec.arms[rollout.of]
        candidate = candidate_of(self._catalogue, ref)
        require_tags(self._catalogue, document.spec, ref, candidate)
        return PromoteShadow(name, candidate, time.time())

    def _served(self, document: Document, arm: str) -> Candidate:
        """Return the version that an arm serves, by the document or else by the registry."""
        return binding_of(document, arm) or candidate_of(self._catalogue, document.spec.arms[arm])

    def abort(self, document: Document, arm: str | None, why: str) -> Abort:
        """Build the command. A rollout knows its candidate; for the arm of a split, look up its version."""
        if arm is None or document.rollout is not None:
            return Abort(time.time(), why, arm)
        check_arm(document, arm)
        # This replica may be behind the document, and still serve what an alias named before: that is not to blame.
        serving = self._view.candidates(document.spec.route) or {}
        bound = binding_of(document, arm) or serving.get(arm) or self._served(document, arm)
        return Abort(time.time(), why, arm, bound)

    def undo(self, document: Document, to: int | None) -> Undo:
        """Build the command with the document of version `to`, or of the previous version."""
        if to is None and document.version == 1:
            raise Rejected(f"Route {document.spec.route} is at its first version; there is nothing to undo.")
        earlier = document.version - 1 if to is None else to
        then, named = self._changes.version(document.spec.route, earlier), dict[str, Candidate]()
        for name, ref in then.spec.aliases.items():
            # An undo waits for no registry: what an alias named a moment ago counts, or else what was bound.
            with contextlib.suppress(RegistryError, ModelRefused):
                key, _ = self._catalogue.glance(ref)
                named[name] = Candidate(key.version, key.digest)
        return Undo(then, time.time(), named)
