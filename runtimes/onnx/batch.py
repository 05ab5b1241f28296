"""Which dimension of a model counts instances, found by running it with one, two and three of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import Batch
from runtimes.onnx.dimension_names import is_batch_name
from runtimes.onnx.flatten import Flat, flat, member_axis
from runtimes.onnx.probe import BATCH, Found, Probe, TensorInput, is_time

_ROWS = 3
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


class Run(NamedTuple):
    """The sizes of one run, and what the model answered."""

    found: Found
    answers: dict[str, Any]


def with_rows(probe: Probe, found: Found, rows: int) -> Run | None:
    """Run the model with so many instances."""
    sizes = found._replace(sizes={**found.sizes, BATCH: rows})
    answers = probe.answers(sizes)
    return None if answers is None else Run(sizes, answers)


def find_batch(probe: Probe, first: Run, several: list[Run | None], why_mixed: str) -> tuple[Batch, str]:
    """Return which dimension counts instances, and a sentence that says what this was taken from.

    `why_mixed` says why the model is known to answer a row otherwise if there are other rows: that is no sign of time.
    """
    late = [each.name for each in probe.inputs if is_time(each)]
    if late:
        return "none", f"The first dimension of {', '.join(late)} is time by its name, so a request is one instance."
    counted = [each for each in probe.inputs if probe.keys_of(each.name)[:1] == (BATCH,)]
    if not counted:
        return 0, "No first dimension of an input varies, so a request is one instance."
    if any(BATCH in probe.keys_of(each.name)[1:] for each in probe.inputs):
        return (
            "none",
            "The number of instances is not the first dimension of every input, so a request is one instance.",
        )
    if None in several:
        return "none", f"It does not run with 2 and 3 instances ({probe.last_error}), so a request is one instance."
    runs = [first, *(run for run in several if run is not None)]
    strays = [name for name in first.answers if not _follows(name, runs) and not _is_constant(name, runs)]
    if strays or not any(_follows(name, runs) for name in first.answers):
        named = ", ".join(strays or first.answers)
        return "none", f"The answer {named} does not have one row for each instance, so a request is one instance."
    if _vary_apart(probe, counted, first.found):
        return "none", "The first dimensions of its inputs may differ, so a request is one instance."
    if not why_mixed and _rows_depend(probe, counted, first.found):
        return "none", "Without a name, its first dimension may be time: a row changes the others' answers."
    return 0, "The first dimension counts instances: it answers 1, 2 and 3 of them with as many rows."


def flats_of(name: str, runs: Sequence[Run]) -> list[Flat | None]:
    """Return an output's answers in some runs as tensors."""
    answers = [run.answers[name] for run in runs]
    are_tensors = all(isinstance(each, list) and all(hasattr(member, "shape") for member in each) for each in answers)
    axis = member_axis(answers, [run.found.sizes[BATCH] for run in runs]) if are_tensors else 0
    return [flat(each, axis) for each in answers]


def _shapes(name: str, runs: Sequence[Run]) -> list[tuple[int, ...] | None]:
    return [None if each is None else each.tensor.shape for each in flats_of(name, runs)]


def _follows(name: str, runs: Sequence[Run]) -> bool:
    return all(
        shape is not None and shape[:1] == (run.found.sizes[BATCH],)
        for shape, run in zip(_shapes(name, runs), runs, strict=True)
    )


def _is_constant(name: str, runs: Sequence[Run]) -> bool:
    """Return True if an answer has the same number of rows whatever the number of instances is."""
    return len({shape[:1] if shape is not None else None for shape in _shapes(name, runs)}) == 1


def _vary_apart(probe: Probe, counted: list[TensorInput], found: Found) -> bool:
    """Return True if the model also runs with 3 rows in one input and 2 in another, as 1 could be broadcast."""
    if len(counted) < 2 or (len({each.shape[0] for each in counted}) == 1 and is_batch_name(counted[0].shape[0])):
        return False
    two, three = (probe.feed(found._replace(sizes={**found.sizes, BATCH: rows})) for rows in (2, 3))
    return all(probe.run({**two, each.name: three[each.name]}) is not None for each in counted)


def _rows_depend(probe: Probe, counted: list[TensorInput], found: Found) -> bool:
    """Return True if an answer to a row of numbers changes when the other rows do. Rows with a good name do not."""
    if any(each.shape[0] and is_batch_name(each.shape[0]) for each in counted):
        return False
    inputs = probe.feed(found._replace(sizes={**found.sizes, BATCH: _ROWS}))
    generator = np.random.default_rng(0)
    for each in counted:
        if each.given is None and NUMPY_OF[each.datatype].kind in "fV":
            inputs[each.name] = np.asarray(generator.normal(size=inputs[each.name].shape), NUMPY_OF[each.datatype])
    together = probe.run(inputs)
    alone = probe.run({**inputs, **{each.name: inputs[each.name][:1] for each in counted}})
    if together is None or alone is None:
        return False
    return any(not _same(together[name], alone[name]) for name in together)


def _same(whole: Any, part: Any) -> bool:
    """Return True if the first row of one answer is the only one of another. Only numbers can tell."""
    flats = flat(whole), flat(part)
    if flats[0] is None or flats[1] is None:
        return True
    left: Tensor = flats[0].tensor[:1]
    right = flats[1].tensor
    if left.shape != right.shape or left.dtype.kind not in "fV":
        return bool(left.shape == right.shape)
    wide = np.asarray(left, np.float64), np.asarray(right, np.float64)
    same = np.isclose(wide[0], wide[1], rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    return bool(same.all())
