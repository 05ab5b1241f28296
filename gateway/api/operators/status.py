"""Builds the response of `GET /api/status` from documents, reports and evidence, without reading anything itself."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.api.operators.next_step import next_step
from gateway.api.operators.responses import (
    ArmCounts,
    GuardrailStatus,
    ProgressStatus,
    ReplicaStatus,
    RouteStatus,
    Status,
    StoreStatus,
)
from gateway.api.operators.reward_status import reward_statuses
from gateway.api.operators.sample_ratio_status import sample_ratio_status
from gateway.api.operators.shadow_status import shadow_statuses
from gateway.api.operators.views import document_view, rollout_view
from gateway.control.observer import Observation
from router.document.document import Candidate, Document
from router.evidence.due import is_blind
from router.evidence.sums import ERRORS, LEFT, REQUESTS, total
from router.evidence.verdict import worst
from store.report import Report

FRESH_S = 5.0
"""A replica without a report for this long counts as gone."""
FORGOTTEN_S = 60.0
"""A replica without a report for this long is not shown any more."""


def is_counted(document: Document) -> bool:
    """Return True if status shows sums of this route."""
    spec = document.spec
    return bool(spec.rollout or spec.guardrails or spec.metrics or document.active_shadows)


def status_view(
    store: StoreStatus,
    documents: Mapping[str, Document],
    reports: Sequence[Report],
    evidence: Mapping[str, Observation],
    *,
    now_s: float,
    serving: Mapping[str, Mapping[str, Candidate]] = MappingProxyType({}),
    observed_s: Mapping[str, float] = MappingProxyType({}),
) -> Status:
    """Return the status.

    `evidence` has the routes for which there is some. `now_s` is in seconds since the epoch. `serving` has the version
    of each arm, by route and arm, of the routes that this replica serves. `observed_s` is for how long the step of a
    route's rollout was observed.
    """
    live = [report for report in reports if now_s - report.at_s < FRESH_S]
    silent = [each.replica for each in reports if FRESH_S <= now_s - each.at_s < FORGOTTEN_S]
    return Status(
        store=store,
        routes=[
            _route_status(
                name, document, (live, silent), evidence.get(name), serving.get(name, {}), observed_s.get(name, 0.0)
            )
            for name, document in sorted(documents.items())
        ],
        replicas=replica_views(reports, now_s),
    )


def replica_views(reports: Sequence[Report], now_s: float) -> list[ReplicaStatus]:
    """Return the responses for the reports that are not too old."""
    return [_replica_status(report, now_s) for report in reports if now_s - report.at_s < FORGOTTEN_S]


def _route_status(
    name: str,
    document: Document,
    replicas: tuple[Sequence[Report], Sequence[str]],
    evidence: Observation | None,
    serving: Mapping[str, Candidate],
    observed_s: float,
) -> RouteStatus:
    live, silent = replicas
    found = evidence.findings if evidence is not None else ()
    counted = evidence is not None and is_counted(document)
    totals = evidence.totals if evidence is not None else {}
    return RouteStatus(
        **{**dict(document_view(document)), "rollout": _progress(document, evidence, observed_s)},
        serves={arm: serving[arm].version for arm in document.spec.arms if arm in serving},
        applied={report.replica: report.routes.get(name) for report in live},
        converged=bool(live) and all(report.routes.get(name) == document.version for report in live),
        silent=list(silent),
        trial_s=document.trial_s,
        counts=[
            ArmCounts(
                arm=arm,
                requests=total(totals, REQUESTS, [arm]),
                errors=total(totals, ERRORS, [arm]),
                left=total(totals, LEFT, [arm]),
            )
            for arm in (document.spec.arms if counted else ())
        ],
        guardrails=[
            GuardrailStatus(
                arm=each.arm,
                guardrail=each.guardrail,
                state=each.verdict.state,
                reason=each.verdict.reason,
                p_value=each.verdict.p_value,
            )
            for each in found
        ],
        worst=worst(each.verdict for each in found) if document.spec.guardrails else None,
        sample_ratio=sample_ratio_status(evidence.draws if evidence else {}, by_unit=document.spec.unit is not None),
        shadows=shadow_statuses(document, totals) if counted else [],
        rewards=reward_statuses(document, evidence.rewards if evidence is not None else {}, totals),
    )


def _progress(document: Document, evidence: Observation | None, observed_s: float) -> ProgressStatus | None:
    rollout = rollout_view(document)
    if rollout is None:
        return None
    shown = dict(rollout) | {"observed_s": round(observed_s, 1)}
    if evidence is None:
        return ProgressStatus(**shown, next=next_step(document, None, observed_s))
    following = next_step(document, evidence.samples, observed_s, is_blind=is_blind(evidence.findings))
    return ProgressStatus(**shown, next=following)


def _replica_status(report: Report, now_s: float) -> ReplicaStatus:
    return ReplicaStatus(
        replica=report.replica,
        pid=report.pid,
        state="LIVE" if now_s - report.at_s < FRESH_S else "GONE",
        age_s=round(now_s - report.at_s, 3),
        up_s=round(report.at_s - report.started_s, 1),
        snapshot=report.snapshot_hash,
        routes=dict(report.routes),
        problems=dict(report.problems),
        warnings=dict(report.warnings),
        trouble=report.trouble,
        versions=dict(report.versions),
        policies=dict(report.policies),
    )
