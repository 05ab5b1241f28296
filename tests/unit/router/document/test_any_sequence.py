"""Properties of a document that hold after any sequence of commands."""

import json
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.compile import Pin, compile_route, references
from router.document.apply import apply
from router.document.commands import (
    Abort,
    Advance,
    Command,
    Declare,
    Follow,
    Hold,
    Pause,
    Promote,
    PromoteShadow,
    Release,
    Resume,
    Shift,
    Start,
    Undo,
)
from router.document.document import Candidate, Document
from router.document.follow import Named, following
from router.document.phase import PINNED, UNDER_WAY, Event, Phase
from router.document.quarantine import find_quarantined, refuse_quarantined
from router.document.rollout import due_event
from router.document.stored import from_dict, to_dict
from router.draw.assignment import BUCKETS
from router.draw.slots import owners
from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec

VERSIONS = [Candidate(str(number), f"digest-{number}") for number in range(1, 5)]
ARMS = st.sampled_from([{"a": "m@one", "b": "m@two", "c": "m:3"}, {"a": "m@two", "b": "m@two", "c": "m:3"}])
STEPS = st.sampled_from([["1%", "5%", "25%"], ["2%", {"weight": "50%", "approve": True}], ["100%"], ["10%", "30%"]])
LIMITS = st.sampled_from([None, {"b": {"ceiling": "30%"}}, {"b": {"ceiling": "10%"}, "c": {"ceiling": "60%"}}])
SHARES = st.sampled_from([Fraction(0), Fraction(1, 100), Fraction(1, 3), Fraction(1, 2), Fraction(1)])


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    raw: dict[str, Any] = {"route": "r", "arms": draw(ARMS), "limits": draw(LIMITS)}
    raw["fallback"] = draw(st.sampled_from("ac"))
    raw["holdout"] = draw(st.sampled_from([None, "5%"]))
    raw["shadow"] = draw(st.sampled_from([None, [{"arm": "m:4"}, {"arm": "b"}]]))
    if draw(st.sampled_from([False, False, False, True])):
        split = st.sampled_from([["60%", "10%", "30%"], ["100%", 0, 0], [0.35, 0.05, 0.6]])
        return {**raw, "split": dict(zip("abc", draw(split), strict=True))}
    base = draw(st.sampled_from(["a", {"a": "50%", "c": "50%"}]))
    starts = draw(st.sampled_from(["by_hand", "by_alias"]))
    steps = {"of": "b", "from": base, "steps": draw(STEPS), "every": "10s", "samples": 5, "starts": starts}
    return {**raw, "rollout": steps}


class Machine(RuleBasedStateMachine):
    """An operator, a registry that moves its aliases, and the replicas' clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.aliases = {"one": VERSIONS[0], "two": VERSIONS[1]}
        self.history: list[Document] = []

    @property
    def document(self) -> Document:
        return self.history[-1]

    def bound(self, document: Document) -> dict[str, Candidate]:
        """Return the version that serves each name, as the gateway does."""
        return {
            name: self.aliases[ref.alias] if ref.alias is not None else VERSIONS[int(ref.version) - 1]
            for name, ref in references(document).items()
        }

    def named(self, spec: RouteSpec) -> dict[str, Candidate]:
        """Return what each alias names now."""
        return {name: self.aliases[ref.alias] for name, ref in spec.aliases.items()}

    def run(self, command: Command) -> bool:
        """Apply a command as the gateway does. Reject it if an arm would serve a version in quarantine."""
        document = self.history[-1] if self.history else None
        before = None if document is None else json.dumps(to_dict(document))
        try:
            changed = apply(document, command)
            refuse_quarantined(changed, self.bound(changed))
        except Rejected:
            return False
        finally:
            assert document is None or json.dumps(to_dict(document)) == before
        self.history.append(changed)
        return True

    @initialize(raw=declarations())
    def first(self, raw: dict[str, Any]) -> None:
        try:
            spec = parse_spec(raw)
        except Rejected:
            spec = parse_spec({**raw, "limits": None})
        assert self.run(Declare(spec, self.now_s, self.named(spec)))

    @rule(raw=declarations())
    def declare(self, raw: dict[str, Any]) -> None:
        try:
            spec = parse_spec(raw)
        except Rejected:
            return
        self.run(Declare(spec, self.now_s, self.named(spec)))

    @rule(seconds=st.sampled_from([1.0, 9.0, 10.0, 100.0]), samples=st.sampled_from([0, 5]))
    def tick(self, seconds: float, samples: int) -> None:
        self.now_s += seconds
        since_s = 0.0 if self.document.rollout is None else self.document.rollout.since_s
        event = due_event(self.document, self.now_s - since_s, samples)
        command = {None: None, Event.ADVANCE: Advance(self.now_s), Event.HOLD: Hold()}[event]
        assert command is None or self.run(command)

    @rule(alias=st.sampled_from(["one", "two"]), version=st.sampled_from(VERSIONS))
    def move_alias(self, alias: str, version: Candidate) -> None:
        self.aliases[alias] = version

    @rule()
    def follow(self) -> None:
        """Make what is due, as the gateway does. What was made is not due again."""
        self.now_s += 400
        for _ in range(4):
            named = {name: Named(each) for name, each in self.named(self.document.spec).items()}
            due = following(self.document, named, self.now_s).due
            assert not due or any(self.run(each.command) for each in due)
            self.now_s += 400
        assert not due

    @rule(arm=st.sampled_from("abc"), share=SHARES, other=st.sampled_from("abc"), more=SHARES)
    def shift(self, arm: str, share: Fraction, other: str, more: Fraction) -> None:
        self.run(Shift({arm: share, other: more}))

    @rule(which=st.sampled_from([Pause(), Hold()]))
    def stand_still(self, which: Command) -> None:
        self.run(which)

    @rule(what=st.sampled_from([Resume, Promote, Advance]))
    def go_on(self, what: Any) -> None:
        self.run(what(self.now_s))

    def candidate(self) -> Candidate:
        ref = self.document.spec.arms["b"]
        return self.aliases[ref.alias] if ref.alias is not None else VERSIONS[int(ref.version) - 1]

    @rule()
    def start(self) -> None:
        self.run(Start(self.candidate(), self.now_s))

    @rule(shadow=st.sampled_from(["m:4", "b"]))
    def promote_shadow(self, shadow: str) -> None:
        self.run(PromoteShadow(shadow, VERSIONS[3] if shadow == "m:4" else self.candidate(), self.now_s))

    @rule(arm=st.sampled_from([None, "a", "b", "c"]))
    def abort(self, arm: str | None) -> None:
        bound = None if arm is None else self.bound(self.document)[arm]
        self.run(Abort(self.now_s, "It fails.", arm, bound))

    @precondition(lambda self: self.history and self.history[-1].quarantine)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        assert self.run(Release(data.draw(st.sampled_from(self.document.quarantine)).version))

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        then = data.draw(st.sampled_from(self.history))
        kept = self.document.quarantine
        if self.run(Undo(then, self.now_s, self.named(then.spec))):
            named = {name: Named(each) for name, each in self.named(then.spec).items()}
            assert not any(isinstance(each.command, Follow) for each in following(self.document, named, 1e9).due)
            assert self.document.slots == then.slots
            assert self.document.quarantine == kept
            assert due_event(self.document, 1e6, 10**6) is None

    @invariant()
    def versions_are_dense(self) -> None:
        assert [document.version for document in self.history] == list(range(1, len(self.history) + 1))

    @invariant()
    def it_can_be_stored(self) -> None:
        for document in self.history[-1:]:
            assert from_dict(json.loads(json.dumps(to_dict(document)))) == document

    @invariant()
    def slots_cover_everything(self) -> None:
        for document in self.history[-1:]:
            owners(document.slots, {arm: index for index, arm in enumerate(document.spec.arms)})
            assert sum(document.weights.values()) == BUCKETS
            assert document.spec.split in (None, document.weights)

    @invariant()
    def the_phase_says_what_the_candidate_has(self) -> None:
        for document in self.history[-1:]:
            state, rollout = document.rollout, document.spec.rollout
            assert (state is None) == (rollout is None)
            if state is None or rollout is None:
                continue
            own = document.weights[rollout.of]
            assert own == {Phase.READY: 0, Phase.ABORTED: 0, Phase.PROMOTED: BUCKETS}.get(state.phase, own)
            assert (state.candidate is None) == (state.phase is Phase.READY)
            assert state.phase not in UNDER_WAY or own <= (document.spec.limits or {}).get("b", _ALL).ceiling
            if state.phase in PINNED:
                assert find_quarantined(document, document.spec.arms[rollout.of].model, state.candidate.digest) is None

    @invariant()
    def every_alias_is_bound(self) -> None:
        for document in self.history[-1:]:
            assert document.bound.keys() == document.followed.keys() | document.bound.keys()
            assert document.bound.keys() == document.spec.aliases.keys()
            state, rollout = document.rollout, document.spec.rollout
            if state is not None and state.phase in PINNED and rollout.of in document.bound:
                assert document.bound[rollout.of] == state.candidate

    @invariant()
    def nothing_in_quarantine_answers(self) -> None:
        for document in self.history[-1:]:
            bound = self.bound(document)
            pins = {name: Pin(version.version, version.digest) for name, version in bound.items()}
            route = compile_route(document, pins)
            held = {each.digest for each in document.quarantine}
            served = {index for index, arm in enumerate(route.arms) if arm.slots}
            served |= {index for chain in route.fallbacks for index in chain}
            served |= set() if route.admission is None else {route.admission.trusted}
            assert not held & {route.arms[index].digest for index in served}


_ALL = parse_spec({"route": "r", "arms": {"b": "m:1"}, "split": {"b": 1}, "limits": {"b": {"ceiling": 1}}}).limits["b"]
Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestMachine = Machine.TestCase
