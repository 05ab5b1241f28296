"""The weights that were in force for a decision: those of a document, or of a policy that was learned from it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import duckdb

from bandits.errors import BanditError
from bandits.linear.context import SCALE
from bandits.linear.policy_weights import PolicyWeights
from router.compile import Pin, compile_route
from router.document.document import Document
from router.document.learned import LearnedPolicy, policy_from_dict, policy_to_dict, with_learned
from router.document.stored import from_dict
from router.errors import Corrupt
from router.snapshot import Route

_COMPILED = 64
_CREATE = "CREATE OR REPLACE TABLE learned (life BIGINT, number BIGINT, since_version BIGINT, policy VARCHAR)"


class Lacking(NamedTuple):
    """Why a decision cannot be computed: what the log lacks, as a sentence."""

    sentence: str


class DrawnRow(NamedTuple):
    """A decision as the log has it. `document_id` is None if the log lacks its document."""

    decision_id: str
    policy_version: int
    policy_number: int
    arm: str
    reason: str
    propensity: float
    document_id: int | None
    context: Sequence[float] | None


class InForce(NamedTuple):
    """A route as it was served. With `models`, the weights of a decision depend on its context."""

    route: Route
    models: PolicyWeights | None

    def slots(self, context: Sequence[float] | None) -> tuple[int, ...] | None:
        """Return the slots of the route's arms for a context (shares of 1, as in the log); None without models."""
        contextual = self.route.contextual
        if contextual is None or self.models is None or context is None or len(context) + 1 != self.models.size:
            return None
        slots = self.models.slots((SCALE, *(round(SCALE * feature) for feature in context)))
        return tuple([owned for owned, place in zip(slots, contextual.order, strict=True) if place is not None])


class SlotTables:
    """The compiled form of a route under each document and learned policy. The table `documents` must be there."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, route: str) -> None:
        self._connection = connection
        self._route = route
        connection.execute(_CREATE)
        self._document = lru_cache(_COMPILED)(self._read_document)
        self._compiled = lru_cache(_COMPILED)(self._compile)

    def add(self, policy: LearnedPolicy) -> None:
        """Add a policy that was learned."""
        content = policy.content if policy.content.get("models") else {}  # decisions need the models alone
        kept = json.dumps(policy_to_dict(replace(policy, content=content)))
        values = [policy.declared_us, policy.number, policy.since_version, kept]
        self._connection.execute("INSERT INTO learned VALUES (?, ?, ?, ?)", values)

    def of_documents(self, life: int, since_version: int) -> list[Document]:
        """Return the documents of a life in which commands gave the weights last at a version."""
        sql = "SELECT document_id FROM documents WHERE life = ? AND since_version = ?"
        found = self._connection.execute(sql, [life, since_version]).fetchall()
        documents = [self._document(document_id) for (document_id,) in found]
        return [each for each in documents if isinstance(each, Document)]

    def routes(self, row: DrawnRow) -> Sequence[InForce] | Lacking:
        """Return what a decision was drawn from.

        Machines may have learned policies of the same number at the same time, and the log does not say which of them
        won. Then all are returned.
        """
        if row.document_id is None:
            return Lacking(f"The log lacks version {row.policy_version} of route {self._route}.")
        return self._compiled(row.document_id, row.policy_number)

    def _compile(self, document_id: int, number: int) -> Sequence[InForce] | Lacking:
        document = self._document(document_id)
        if isinstance(document, Lacking):
            return document
        candidates = [document]
        if document.policy_number != number:
            sql = "SELECT policy FROM learned WHERE life = ? AND number = ?"
            found = self._connection.execute(sql, [document.declared_us, number]).fetchall()
            learned = [with_learned(document, policy_from_dict(json.loads(policy))) for (policy,) in found]
            candidates = [each for each in learned if each.policy_number == number]
        if not candidates:
            of = f"policy {number} of route {self._route}" if number else f"the weights of route {self._route}"
            return Lacking(f"The log lacks {of} for version {document.version}.")
        try:
            return [_in_force(each) for each in candidates]
        except (BanditError, KeyError, TypeError, ValueError) as error:
            return Lacking(f"Policy {number} of route {self._route} cannot be used: {error!r}.")

    def _read_document(self, document_id: int) -> Document | Lacking:
        found = self._connection.execute(
            "SELECT version, document FROM documents WHERE document_id = ?", [document_id]
        ).fetchall()
        ((version, text),) = found
        try:
            raw: dict[str, Any] = json.loads(text)
            return from_dict(raw)
        except (Corrupt, ValueError, AttributeError) as error:
            return Lacking(f"Version {version} of route {self._route} cannot be read: {error}")


def _in_force(document: Document) -> InForce:
    route = compile_route(document, dict.fromkeys(document.spec.arms, Pin("", "")))
    contextual = route.contextual
    if contextual is None or contextual.models is None:
        return InForce(route, None)
    return InForce(route, PolicyWeights(contextual.models, len(contextual.models["average"])))
