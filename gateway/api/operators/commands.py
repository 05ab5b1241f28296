"""Commands over HTTP: `POST /api/routes/{route}/{command}`. Acts on the store.

With If-Match a command is made on that version of the document or not at all; without it, on whatever is there.
"""

import time
from collections.abc import Callable

from fastapi import APIRouter, Response

from gateway.api.openapi import RouteName, raises
from gateway.api.operators.headers import BIND, ETAG, NOBODY, READ, IfMatch, Who, with_etag
from gateway.api.operators.preconditions import seen_version
from gateway.api.operators.requests import AbortBody, Ask, PromoteBody, ReleaseBody, ShiftBody, UndoBody
from gateway.api.operators.responses import Changed
from gateway.control.binding import bind, candidate_of
from gateway.control.changes import Changes, Note
from gateway.control.replica_view import ReplicaView
from registry_sync.catalogue import Catalogue
from router.document.commands import (
    Abort,
    Command,
    Pause,
    Promote,
    PromoteShadow,
    Release,
    Resume,
    Shift,
    Start,
    Undo,
    apply,
)
from router.document.document import Document
from router.document.rollout import spec_and_state
from router.document.shift import check_arm
from router.errors import Rejected, UnknownRoute
from router.quantities import parse_percent
from store.errors import Conflict

_PLAIN = {200: ETAG, **raises(UnknownRoute, Rejected, Conflict, *READ)}
_LOADING = {200: ETAG, **raises(UnknownRoute, Conflict, *BIND, *READ)}
_NOTHING = Ask()
_PROMOTE, _ABORT, _UNDO = PromoteBody(), AbortBody(), UndoBody()


def command_router(changes: Changes, catalogue: Catalogue, view: ReplicaView) -> APIRouter:
    """A handler for each command."""
    router = APIRouter(prefix="/routes/{route}")
    commands = _Commands(changes, catalogue, view)

    @router.post("/shift", responses=_LOADING)
    def shift(
        route: RouteName, body: ShiftBody, response: Response, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Gives arms weights; what is left goes to the arms not named, in proportion. Pauses a rollout."""
        weights = {arm: parse_percent(share, f"The weight of arm {arm}") for arm, share in body.weights.items()}
        what = "shift " + " ".join(f"{arm}={share}" for arm, share in body.weights.items())
        return commands.make(route, lambda _: Shift(weights), Note(who, what, body.why), if_match, response)

    @router.post("/start", responses=_LOADING)
    def start(
        route: RouteName, response: Response, body: Ask = _NOTHING, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Begins the rollout with the version that its arm is bound to now."""
        return commands.make_new(route, commands.start, Note(who, "start", body.why), if_match, response)

    @router.post("/pause", responses=_PLAIN)
    def pause(
        route: RouteName, response: Response, body: Ask = _NOTHING, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Keeps the weights as they are, until the rollout is resumed."""
        return commands.make(route, lambda _: Pause(), Note(who, "pause", body.why), if_match, response)

    @router.post("/resume", responses=_PLAIN)
    def resume(
        route: RouteName, response: Response, body: Ask = _NOTHING, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Begins the step anew after a pause, or approves the next one."""
        note = Note(who, "resume", body.why)
        return commands.make(route, lambda _: Resume(time.time()), note, if_match, response)

    @router.post("/promote", responses=_LOADING)
    def promote(
        route: RouteName,
        response: Response,
        body: PromoteBody = _PROMOTE,
        if_match: IfMatch = None,
        who: Who = NOBODY,
    ) -> Changed:
        """Gives the candidate everything; or makes a shadow's version the candidate and begins its rollout."""
        name = body.shadow
        if name is None:
            note = Note(who, "promote", body.why)
            return commands.make(route, lambda _: Promote(time.time()), note, if_match, response)
        note = Note(who, f"promote shadow {name}", body.why)
        return commands.make_new(route, lambda known: commands.promote_shadow(known, name), note, if_match, response)

    @router.post("/abort", responses=_LOADING)
    def abort(
        route: RouteName, response: Response, body: AbortBody = _ABORT, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Takes all traffic from an arm and puts its version in quarantine."""
        note = Note(who, "abort" if body.arm is None else f"abort {body.arm}", body.why)
        why = body.why or f"{who} aborted it."
        return commands.make(route, lambda known: commands.abort(known, body.arm, why), note, if_match, response)

    @router.post("/undo", responses=_LOADING)
    def undo(
        route: RouteName, response: Response, body: UndoBody = _UNDO, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Goes back to an earlier version of the document. What is in quarantine stays there."""
        note = Note(who, "undo" if body.to is None else f"undo to {body.to}", body.why)
        return commands.make_new(route, lambda known: commands.undo(known, body.to), note, if_match, response)

    @router.post("/release", responses=_PLAIN)
    def release(
        route: RouteName, body: ReleaseBody, response: Response, if_match: IfMatch = None, who: Who = NOBODY
    ) -> Changed:
        """Lets a version out of quarantine; it gets no traffic by that."""
        note = Note(who, f"release {body.version}", body.why)
        return commands.make(route, lambda _: Release(body.version, time.time()), note, if_match, response)

    return router


class _Commands:
    """Makes commands; those that need to know what an arm is bound to now are put together here."""

    def __init__(self, changes: Changes, catalogue: Catalogue, view: ReplicaView) -> None:
        self._changes = changes
        self._catalogue = catalogue
        self._view = view

    def make(
        self, route: str, ask: Callable[[Document], Command], note: Note, if_match: str | None, response: Response
    ) -> Changed:
        """Makes a command, and answers with what came of it."""
        return with_etag(self._changes.change(route, ask, note, seen_version(if_match)), response)

    def make_new(
        self, route: str, ask: Callable[[Document], Command], note: Note, if_match: str | None, response: Response
    ) -> Changed:
        """The same for a command that may bring versions in. They are loaded here first, while others can change the
        route: what cannot be served is refused rather than waited for.
        """
        seen, known = seen_version(if_match), self._changes.existing(route).document
        if seen is not None and known.version != seen:
            raise Conflict(route, seen, known.version)
        bind(self._catalogue, apply(known, ask(known)), retry=True)
        return self.make(route, ask, note, if_match, response)

    def start(self, known: Document) -> Start:
        """With what the candidate's arm is bound to now."""
        rollout, _ = spec_and_state(known)
        candidate = candidate_of(self._catalogue, known.spec.arms[rollout.of])
        for arm in rollout.base:
            if candidate_of(self._catalogue, known.spec.arms[arm]) == candidate:
                raise Rejected(
                    f"Arm {rollout.of} is bound to what arm {arm} serves already, version {candidate.version}; there "
                    "is nothing to roll out."
                )
        return Start(candidate, time.time())

    def promote_shadow(self, known: Document, name: str) -> PromoteShadow:
        """With what the shadow is bound to now; one that there is not is refused when the command is applied."""
        rollout, _ = spec_and_state(known)
        refs = {shadow.name: shadow.ref for shadow in known.spec.shadows}
        ref = refs.get(name) or known.spec.arms[rollout.of]
        return PromoteShadow(name, candidate_of(self._catalogue, ref), time.time())

    def abort(self, known: Document, arm: str | None, why: str) -> Abort:
        """A rollout knows its candidate; of a split's arm it is found out what it is bound to now."""
        if arm is None or known.rollout is not None:
            return Abort(time.time(), why, arm)
        check_arm(known, arm)
        serving = self._view.candidates(known.spec.route) or {}  # which may be what the alias has left behind
        bound = serving[arm] if arm in serving else candidate_of(self._catalogue, known.spec.arms[arm])
        return Abort(time.time(), why, arm, bound)

    def undo(self, known: Document, to: int | None) -> Undo:
        """To the version before, unless one is named."""
        if to is None and known.version == 1:
            raise Rejected(f"Route {known.spec.route} is at its first version; there is nothing to undo.")
        earlier = known.version - 1 if to is None else to
        return Undo(self._changes.version(known.spec.route, earlier), time.time())
