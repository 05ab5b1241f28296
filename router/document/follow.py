"""What is due because an alias names another version now.

The rules, for each arm, and each shadow of its own, whose reference names an alias:

1. In a split, and in a rollout that is not under way, the name is bound to what the alias names now.
2. The arm that is rolled out takes what its alias names now through the steps of a rollout. While one is under way, it
   begins anew. Otherwise it begins if `starts: by_alias` says so. If the other arms serve that version, the rollout is
   withdrawn, or none begins. A rollout that is PAUSED, and one that is PROMOTED and starts by hand, stay as they are.
3. While a rollout is under way, its other arms stay. In a rollout that starts by alias, an arm with the same reference
   as the one that is rolled out never follows the alias: it is bound to what was promoted (`promoted_base`).
4. A name does not follow its alias to a version in quarantine, without the tags that the route requires, whose artifact
   was replaced, or that an operator has gone back from. An alias that names nothing changes nothing.
5. The first move is made at once. After k moves within `WITHIN_S`, the next one is made when the alias has named the
   version for `FIRST_WAIT_S` * 2 ** (k - 1), at most `LONGEST_WAIT_S`, and the last move is as long ago. So a name
   moves at most 17 times in an hour, and reaches what its alias names in the end.

Nothing here knows whether a version can be loaded: the caller makes the first change of `Following.due` whose versions
can.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from router.document.bindings import binding_of, is_bound_to
from router.document.commands import Bind, Command, Follow, Withdraw
from router.document.document import Candidate, Document, Followed
from router.document.phase import PINNED, UNDER_WAY, Phase
from router.document.promoted_base import base_after_promotion
from router.document.quarantine import find_quarantined
from router.quantities import format_duration
from router.spec.required_tags import missing_tags
from router.spec.spec import Starts

WITHIN_S = 3600.0
FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 300.0


class Named(NamedTuple):
    """What an alias names now.

    `candidate` is None if that cannot be found, and `trouble` says why. `tags` are None if they are not known.
    `since_s` is since when it names that, as far as it was seen (seconds since the epoch). `origin` says where the
    version comes from, such as ` (registered by ada)`, or is empty.
    """

    candidate: Candidate | None
    tags: Mapping[str, str] | None = None
    since_s: float = 0.0
    origin: str = ""
    trouble: str = ""


class FollowDue(NamedTuple):
    """A change that is due, its name in the history, and the reason."""

    command: Command
    what: str
    why: str


class Following(NamedTuple):
    """The changes that are due, of which the first that is possible is to be made, and why others are not.

    With `may_pass`, something else may be due though neither the document nor an alias changes.
    """

    due: tuple[FollowDue, ...]
    waits: tuple[str, ...]
    may_pass: bool = False


class _Obstacle(NamedTuple):
    """Why a name does not follow its alias. `may_pass`: by time, or by what the registry says besides its aliases."""

    why: str
    may_pass: bool = False


class _Move(NamedTuple):
    """What a name would do: `make` builds the change. With `obstacle`, it does not, and that is the reason."""

    name: str
    to: Candidate
    make: Callable[["_Move", float], Command] | None = None
    obstacle: _Obstacle | None = None


def following(document: Document, named: Mapping[str, Named], now_s: float) -> Following:
    """Return what is due at `now_s` (seconds since the epoch). `named` has the names whose alias was read."""
    due, waits, bindings, may_pass = [], [], [], False
    for name, each in _known(document, named):
        move = _move(document, name, each.candidate) if each.candidate is not None else None
        if each.candidate is None:
            waits.append(f"{_what(document, name)} goes on as it is: {each.trouble}")
        elif move is not None:
            obstacle = move.obstacle or _obstacle(document, move, each, now_s)
            if obstacle is not None:
                may_pass |= obstacle.may_pass
                ref = document.spec.aliases[name]
                waits.append(f"{ref} names version {move.to.version}. {_what(document, name)} {obstacle.why}")
            elif move.make is None:
                bindings.append((move, each))
            else:
                due.append(_due(document, move, each, now_s))
    return Following((*_all_bindings(document, bindings, now_s), *due), tuple(waits), may_pass)


def differs(document: Document, name: str, candidate: Candidate) -> bool:
    """Return True if an alias names something else than its name is bound to, or than what is held."""
    held = document.followed.get(name, Followed()).held
    return binding_of(document, name) != candidate or bool(held and held != candidate.digest)


def wait_s(followed: Followed, now_s: float) -> float:
    """Return for how long an alias must name the same version before it is followed."""
    moves = len(_moves_within(followed, now_s))
    return min(FIRST_WAIT_S * 2.0 ** (moves - 1), LONGEST_WAIT_S) if moves else 0.0


def _moves_within(followed: Followed, now_s: float) -> list[float]:
    """Return when the alias was followed lately. A move that lies ahead was made by a clock that was wrong."""
    return [each for each in followed.moves_s if 0 <= now_s - each < WITHIN_S]


def _known(document: Document, named: Mapping[str, Named]) -> Iterator[tuple[str, Named]]:
    yield from ((name, named[name]) for name in document.spec.aliases if name in named)


def _move(document: Document, name: str, to: Candidate) -> _Move | None:
    """Return the move that an alias asks for, or None if there is nothing to move."""
    rollout, state, arms = document.spec.rollout, document.rollout, document.spec.arms
    if not differs(document, name, to):
        return None
    was = binding_of(document, name)
    if rollout is None or state is None or name not in arms:
        return _Move(name, to)
    if name == rollout.of:
        return _candidate_move(document, name, to)
    if was is not None and rollout.starts is Starts.BY_ALIAS and arms[name] == arms[rollout.of]:
        return None
    if state.phase in UNDER_WAY:
        is_on_trial = state.candidate is not None and state.candidate.digest == to.digest
        if was is None and not is_on_trial:
            return _Move(name, to)
        return _Move(name, to, obstacle=_Obstacle("stays as it is while the rollout is under way."))
    return _Move(name, to)


def _candidate_move(document: Document, of: str, to: Candidate) -> _Move | None:
    """Return the move of the arm that is rolled out."""
    rollout, state, was = document.spec.rollout, document.rollout, binding_of(document, of)
    assert rollout is not None and state is not None  # noqa: S101, PT018  # for the type checker
    model, phase = document.spec.arms[of].model, state.phase
    is_base = any(is_bound_to(document, arm, model, to) for arm in rollout.base)
    if was is not None and was.digest == to.digest:
        return _Move(of, to) if was == to or phase not in PINNED else None  # another name for the same content
    if phase is Phase.PAUSED:
        return _Move(of, to, obstacle=_Obstacle(f"follows it when the rollout, which is {phase}, is resumed."))
    if phase in UNDER_WAY:
        return _Move(of, to, _withdraw if is_base else _follow)
    is_by_alias = rollout.starts is Starts.BY_ALIAS
    if phase is Phase.PROMOTED:
        if not is_by_alias:
            return None
        if base_after_promotion(document) is None:
            return _Move(of, to, obstacle=_Obstacle(_cannot_base(document)))
        return _Move(of, to, _follow)
    return _Move(of, to, _follow if is_by_alias and was is not None and not is_base else None)


def _cannot_base(document: Document) -> str:
    route = document.spec.route
    return (
        "stays as it is: the other arms do not serve what was promoted, so they would bring an older version back. "
        f"Bind them to it, or `pointsman start {route}`."
    )


def _obstacle(document: Document, move: _Move, named: Named, now_s: float) -> _Obstacle | None:
    """Return why a move is not made, or None."""
    spec, followed = document.spec, document.followed.get(move.name, Followed())
    was = binding_of(document, move.name)
    if was == move.to:  # it only ends what an operator holds
        return _too_early(followed, named, now_s)
    held = find_quarantined(document, spec.aliases[move.name].model, move.to.digest)
    if held is not None:
        return _Obstacle(f"does not follow it, because it is in quarantine: {held.way_back(spec.route)}")
    if was is not None and was.version == move.to.version:
        return _Obstacle("does not follow it, because its artifact is another one now. Publish it as a new version.")
    if followed.held == move.to.digest:
        return _Obstacle("was taken back from it, and follows the alias once it names another one.")
    if spec.require_tags and move.make is not _withdraw:
        missing = missing_tags(spec.require_tags, named.tags or {})
        if named.tags is None:
            return _Obstacle("follows it once its tags are known.", may_pass=True)
        if missing:
            why = f"does not follow it, because it lacks the tag {missing} in the registry."
            return _Obstacle(why, may_pass=True)
    return _too_early(followed, named, now_s)


def _too_early(followed: Followed, named: Named, now_s: float) -> _Obstacle | None:
    wait = wait_s(followed, now_s)
    if not wait or now_s - max(named.since_s, *_moves_within(followed, now_s)) >= wait:
        return None
    often = "follows it later, because the alias moves often: it must name the same version for"
    return _Obstacle(f"{often} {format_duration(wait)}.", may_pass=True)


def _all_bindings(document: Document, bindings: list[tuple[_Move, Named]], now_s: float) -> Iterator[FollowDue]:
    """Yield the change that binds all of these names, and then, if that is not possible, each one's own."""
    alone = [_bind(document, [each], now_s) for each in bindings]
    if len(alone) > 1:
        yield _bind(document, bindings, now_s)
    yield from alone


def _bind(document: Document, bindings: list[tuple[_Move, Named]], now_s: float) -> FollowDue:
    command = Bind({move.name: move.to for move, _ in bindings}, now_s)
    names = ", ".join(f"{move.name} to {move.to.version}" for move, _ in bindings)
    why = [_why(document, move, named) for move, named in bindings]
    return FollowDue(command, f"follow {names}", " ".join(dict.fromkeys(why)))


def _due(document: Document, move: _Move, named: Named, now_s: float) -> FollowDue:
    assert move.make is not None  # noqa: S101  # for the type checker
    what = "withdraw" if move.make is _withdraw else f"follow to {move.to.version}"
    why = _why(document, move, named)
    if move.make is _withdraw:
        why += " The other arms serve it, so there is nothing to roll out."
    return FollowDue(move.make(move, now_s), what, why)


def _why(document: Document, move: _Move, named: Named) -> str:
    return f"{document.spec.aliases[move.name]} names version {move.to.version} now{named.origin}."


def _what(document: Document, name: str) -> str:
    return f"{'Arm' if name in document.spec.arms else 'Shadow'} {name}"


def _follow(move: _Move, now_s: float) -> Command:
    return Follow(move.to, now_s)


def _withdraw(move: _Move, now_s: float) -> Command:
    return Withdraw(move.to, now_s)
