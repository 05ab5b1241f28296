"""Asks a version logged requests again, and compares its answers with the logged ones as a shadow's are compared."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from gateway.execution.checking.logged_requests import Request, prepare, unlogged_inputs
from gateway.execution.checking.messages import Logged, Replayed
from gateway.execution.checking.steps import LOG_READ, LOGGED, Steps
from inference_log.answers import Answers, as_logged
from inference_log.errors import LogUnavailable
from inference_log.files.directory import DirectoryFiles
from inference_log.sample import Asked, Sample, sample_requests
from router.quantities import format_rough_duration
from runtimes.comparison import compare
from runtimes.datatypes import tensor_bytes
from runtimes.errors import InputRefused, ModelFailed, ModelRefused
from runtimes.logged_tensors import label_and_prediction
from runtimes.manifest import Signature
from runtimes.runtime import Runtime

RUN_WITHIN_S = 30.0
"""No request is asked after this time. What one request may take is limited by the process's parent."""
_MILLION = 1e6
_MOST_REASON = 300


def replay_logged(runtime: Runtime, logged: Logged, steps: Steps) -> None:
    """Ask a version logged requests, and report what came of it. Without any that can be asked, a remark says so.

    Raises:
        StepFailed: more answers differ than may. It was reported, with the reason.
    """
    unlogged = unlogged_inputs(runtime.signature)
    if unlogged:
        steps.note(LOGGED, "remark", f"the log never keeps the values of {', '.join(unlogged)}: skipped")
        return
    sample, requests, left_out = steps.run(LOG_READ, lambda: _read(runtime.signature, logged))

    def work() -> tuple[None, str]:
        replayed = ask(runtime, requests, sample, left_out, logged.tolerance)
        steps.report(replayed)
        require_agreement(replayed, logged)
        return None, summary(replayed, logged)

    if requests:
        steps.run(LOGGED, work)
    else:
        replayed = ask(runtime, (), sample, left_out, logged.tolerance)
        steps.report(replayed)
        steps.note(LOGGED, "remark", summary(replayed, logged))


def _read(signature: Signature, logged: Logged) -> tuple[tuple[Sample, list[Request], Counter[str]], str]:
    try:
        if logged.unreadable:
            raise LogUnavailable(logged.unreadable)
        asked = Asked(logged.route, logged.since_s, logged.until_s, logged.without_digest)
        sample = sample_requests(DirectoryFiles(Path(logged.log)), asked, logged.requests)
        sample = sample._replace(is_partial=sample.is_partial or logged.is_partial)
        requests, left_out = prepare(signature, sample.requests)
    except Exception as error:  # noqa: BLE001  # a fault of the log is none of the version
        return (Sample((), 0, 1, is_partial=True), [], Counter()), f"it cannot be read: {error!r}"
    whole = "; a bound was reached before all were read" if sample.is_partial else ""
    return (sample, requests, left_out), f"{len(sample.requests)} drawn of {sample.found:,} requests{whole}"


def ask(
    runtime: Runtime,
    requests: Iterable[Request],
    sample: Sample,
    left_out: Mapping[str, int],
    tolerance: float,
    clock: Callable[[], float] = time.monotonic,
) -> Replayed:
    """Ask a version requests, and return how often its answers differ.

    A request counts by the share of its instances that differ, and as a whole if it is not answered.
    """
    until_s = clock() + RUN_WITHIN_S
    asked, unanswered, reason, differ, distances = 0, 0, "", 0.0, []
    for request in requests:
        if clock() > until_s:
            break
        asked += 1
        try:
            answer = _answer(runtime, request)
        except (ModelFailed, InputRefused) as error:
            unanswered, differ, reason = unanswered + 1, differ + 1.0, reason or str(error)[:_MOST_REASON]
            continue
        pairs, flips, difference, _ = _compare(request, answer, tolerance)
        differ += flips / pairs
        if request.expected.predictions is not None:
            distances.append(difference / _MILLION / pairs)
    return Replayed(
        found=sample.found,
        sampled=len(sample.requests),
        asked=asked,
        differ=differ / asked if asked else 0.0,
        mean_difference=sum(distances) / len(distances) if distances else None,
        unanswered=unanswered,
        first_failure=reason,
        left_out=dict(left_out),
        unread_files=sample.unread,
        is_partial=sample.is_partial,
    )


def require_agreement(replayed: Replayed, logged: Logged) -> None:
    """Require that the answers differ no more often than is allowed.

    Raises:
        ModelRefused: they do.
    """
    if logged.above is not None and replayed.asked and replayed.differ > logged.above:
        raise ModelRefused(
            f"Its answers differ from those in the log of route {logged.route}, and at most "
            f"{100 * logged.above:.4g} % may: {summary(replayed, logged)}."
        )


def summary(replayed: Replayed, logged: Logged) -> str:
    """Return what came of it, as a clause."""
    said = f"the last {format_rough_duration(logged.until_s - logged.since_s)} of route {logged.route}"
    if not replayed.found:
        parts = [f"no logged requests of {said}: skipped"]
    elif not replayed.asked:
        parts = [f"none of {replayed.sampled} logged requests of {said} can be asked again"]
    else:
        parts = [
            f"{100 * replayed.differ:.4g} % of {replayed.asked} logged requests of {said} get another answer",
            *([f"{replayed.unanswered} of them none ({replayed.first_failure})"] if replayed.unanswered else []),
        ]
        if replayed.mean_difference is not None:
            parts.append(f"predictions differ by {replayed.mean_difference:.4g} on average")
    parts += [f"{number} left out: {why}" for why, number in sorted(replayed.left_out.items())]
    late = replayed.sampled - replayed.asked - sum(replayed.left_out.values())
    parts += [f"{late} not asked within {RUN_WITHIN_S:g} s"] if late else []
    parts += [f"{replayed.unread_files} files of the log cannot be read"] if replayed.unread_files else []
    return "; ".join(parts)


def _answer(runtime: Runtime, request: Request) -> Answers:
    """Return the version's answer as the log would hold it. Raises as `Runtime.run`."""
    label, prediction = label_and_prediction(runtime.signature)
    kept = {each[0] for each in (label, prediction) if each is not None}
    outputs = runtime.run(request.inputs, [spec.name for spec in runtime.signature.outputs])
    contents = [tensor_bytes(tensor) if index in kept else b"" for index, tensor in enumerate(outputs)]
    return as_logged(label, prediction, contents, request.instances)


def _compare(request: Request, answer: Answers, tolerance: float) -> tuple[int, int, int, int]:
    """Compare as a shadow's answer is compared with a primary's. A missing part has another shape than any other."""
    empty, expected = np.empty(0), request.expected
    one, other = ([empty if part is None else part for part in each] for each in (expected, answer))
    label = None if expected.labels is None else 0
    prediction = None if expected.predictions is None else 1
    return compare(one, other, label, prediction, request.instances, tolerance)
