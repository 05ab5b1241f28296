"""A bandit whose decisions, rewards, changes and learned policies go into a log, as a gateway would write them."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway.control.learning.bounds import bounds_of
from gateway.control.learning.learning import learning_of
from gateway.control.learning.next import next_policy
from gateway.inference.log_context import log_context
from inference_log.local_converter import LocalConverter
from inference_log.record import Audit, Learned, Record, Reward, RewardContext
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.writer import LogWriter
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Command, Declare
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy, policy_to_dict, with_learned
from router.document.phase import Phase
from router.document.stored import to_dict
from router.draw.assignment import BUCKETS
from router.draw.slots import counts
from router.evidence.reward_counts import ReadSums
from router.evidence.sums import group_of
from router.plan import plan
from router.rewards.buckets import bucket_s, length_s
from router.rewards.events import Operation
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum, add_to
from router.spec.parse import parse_spec
from runtimes.manifest import Manifest

BEGAN_S = 1_767_268_800
"""2026-01-01T12:00:00Z."""
BANDIT: dict[str, Any] = {
    "route": "shop",
    "arms": {"a": "ranker:1", "b": "ranker:2", "c": "ranker:3"},
    "metrics": {"click": {"window": "1m"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%"},
}
RATES = {"a": 0.1, "b": 0.2, "c": 0.3}
_LATENCY_US = 1500


class Asked(NamedTuple):
    """What the log has of a request, and the probability of a click on each arm.

    `inputs` are the bytes of its tensors, `vector` is its context in bytes. `propensity`, if it is given, is written
    in place of the weight of the arm.
    """

    rates: Mapping[str, float]
    inputs: tuple[bytes, ...] = ()
    vector: bytes | None = None
    propensity: float | None = None


class LoggedBandit:
    """A route of one machine. Each decision is a click with the probability that `rates` has for its arm.

    With `ask`, requests differ: it returns the next one. Their inputs are those of `manifest`.
    """

    def __init__(
        self,
        home: Path,
        declared: Mapping[str, Any] = BANDIT,
        rates: Mapping[str, float] = RATES,
        *,
        seed: int = 7,
        began_s: int = BEGAN_S,
        name: str = "w",
        ask: Callable[[random.Random], Asked] | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        folder = home / "spool" / "0"
        folder.mkdir(parents=True, exist_ok=True)
        self.writer = LogWriter(folder, name)
        self.known: LearnedPolicy | None = None
        self.document: Document
        self._home = home
        self._rates = dict(rates)
        self.ask = ask or (lambda _: Asked(self._rates))
        self._manifest = manifest
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._sums: dict[RewardKey, RewardSum] = {}
        self._decisions = 0
        self._changes = 0
        self._set(apply(None, Declare(parse_spec(declared), float(began_s))), began_s)

    def command(self, command: Command, at_s: int) -> None:
        """Change the document, and write that into the log."""
        self._set(apply(self.document, command), at_s)

    def decide(self, count: int, at_s: int, units: int = 0) -> None:
        """Make decisions in the ten seconds from `at_s`, for one of so many units each if there are units."""
        served = compile_route(
            self.document, {arm: Pin(str(n), f"digest-{arm}") for n, arm in enumerate(self.document.spec.arms, 1)}
        )
        contexts = [log_context(served, arm, self._manifest, "primary", "hash") for arm in served.arms]
        for _ in range(count):
            self._decisions += 1
            decision_id = f"{self._random.getrandbits(64):016x}"
            unit = f"user-{self._random.randrange(units)}" if units else None
            asked = self.ask(self._random)
            planned = plan(served, decision_id, unit=unit)
            if asked.propensity is not None:
                planned = planned._replace(propensity=asked.propensity)
            decided_us = at_s * 1_000_000 + self._random.randrange(10_000_000)
            unit_hash = None if unit is None else f"hash of {unit}"

            def record(
                number: int, sequence: int, of: Any = (decision_id, decided_us, planned, unit_hash, asked)
            ) -> Record:
                return Record(
                    number, sequence, of[0], 0, of[1] + _LATENCY_US, of[2].reason, of[2].propensity, of[3], 200, "ok",
                    "", _LATENCY_US, 500, 1, "", "", inputs=of[4].inputs, vector=of[4].vector,
                )  # fmt: skip

            self.writer.append(contexts[planned.primary], record)
            if planned.propensity is not None:
                arm = served.arms[planned.primary].name
                is_click = self._random.random() < asked.rates[arm]
                self._reward(decision_id, decided_us, arm, planned.propensity, unit_hash, is_click)

    def learn(self, now_s: float) -> bool:
        """Learn what has matured, and write it into the log. Return False if there is nothing to learn."""
        learning = learning_of(self.document)
        assert learning is not None
        if learning.state.phase is not Phase.PROGRESSING:
            return False
        serving = {arm: Candidate(arm, f"digest-{arm}") for arm in self.document.spec.arms}
        bounds = bounds_of(self.document, learning.bandit, serving)
        policy = next_policy(learning, self.known, ReadSums({}, self._sums), bounds, now_s=now_s)
        if policy is None:
            return False
        self.note(policy)
        self.known, self.document = policy, with_learned(self.document, policy)
        return True

    def note(self, policy: LearnedPolicy, **changes: Any) -> None:
        """Write a policy into the log, with changes of its row."""
        weights = {arm: slots / BUCKETS for arm, slots in counts(policy.slots).items()}
        content = json.dumps(policy_to_dict(policy), separators=(",", ":"))
        row = {"weights": weights, "content": content, **changes}
        self.writer.note(
            Learned(policy.route, policy.declared_us, policy.number, policy.since_version, policy.at_us, **row)
        )

    def ship(self) -> None:
        """Turn what was written into Parquet."""
        self.writer.rotate(0.0, 0)
        Shipper(self._home / "spool", LocalConverter(DirectorySink(self._home / "log"))).tick()

    def _set(self, document: Document, at_s: int) -> None:
        self.document = document
        self._changes += 1
        weights = {arm: slots / BUCKETS for arm, slots in document.weights.items()}
        stored = json.dumps(to_dict(document))
        self.writer.note(
            Audit(
                self._changes, document.spec.route, document.version, at_s * 1_000_000, "ann", "apply", "", "host", "",
                weights, stored,
            )
        )  # fmt: skip

    def _reward(
        self, decision_id: str, decided_us: int, arm: str, propensity: float, unit_hash: str | None, is_click: bool
    ) -> None:
        """Add a decision to the sums, and report its click."""
        spec, (metric, *_) = self.document.spec, self.document.spec.metrics
        value = MILLION * is_click
        groups = [NO_GROUP] if unit_hash is None else [NO_GROUP, group_of(unit_hash)]
        for group in groups:
            start_s = bucket_s(decided_us, metric)
            key = RewardKey(start_s, length_s(metric), self.document.version, arm, "1", metric.name, group)
            add_to(self._sums, key, RewardSum(1, int(is_click), value, value))
        if is_click:
            context = RewardContext(
                0, spec.route, self.document.declared_us, self.document.version, arm, "1", spec.metrics
            )
            at_us = decided_us + 1_000_000
            self.writer.append(
                context,
                lambda number, sequence: Reward(
                    number, sequence, decision_id, decided_us, _LATENCY_US, propensity, groups[-1], metric.name, "e",
                    Operation.SET, at_us, 1.0, at_us, False, "test",
                ),
            )  # fmt: skip
