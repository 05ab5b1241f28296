"""Tries whether a model answers each row as if the row were alone.

1. Values that the model can answer are searched for: lengths of the dimensions that vary, and the range of integers.
2. Rows of several kinds (`runtimes.trial_rows`) are run alone. Those on which the model fails are left out. NaN is an
   answer. The first is run again later: a model that counts its calls, or draws numbers, answers otherwise.
3. The rows are run together: beside huge and tiny ones, in other positions, twice, in batches of several sizes. Each
   answer is compared with the answer alone.
4. The same is done with another length, and with a full batch.

The tests that tell most come first, and each difference ends the trial. It takes `MOST_RUNS` runs at most. A model so
slow that they take longer than `BUDGET_S` is not merged: it has not been tried to the end, and requests for a model
that takes half a second gain little from a common run.

Floats may differ as another order of summation explains (`runtimes.rounding`), or as much as the answer alone changes
if the row itself is changed by its rounding.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature
from runtimes.rounding import distance, same, scale
from runtimes.runtime import Interruptible, Runtime
from runtimes.trial_rows import KINDS, RANGES, Row, Values, is_integer, nudged, trial_row

BUDGET_S = 10.0
MOST_RUNS = 26

_SIDES = (7, 2, 1)
_MOST_ROWS = 64
_MOST_BYTES = 16 * 1024 * 1024
_FIRST, _FIRST_ORDERS = KINDS[:4], ((0, 1, 2, 3), (1, 2, 3, 0))
_OTHER_SIDE = KINDS[:3]
_ABSOLUTE = 1e-5
_ROUNDINGS = 16.0
"""The answer may differ by this many times what one rounding of the row changes it by."""

Outputs = Sequence[Tensor]


class _Verdict(Exception):
    """Why the model's requests must not be merged, as a clause."""


def why_dependent(
    runtime: Runtime, max_batch: int, given: Sequence[Row] = (), clock: Callable[[], float] = time.monotonic
) -> str:
    """Return why the answer to a row may depend on the other rows, as a clause. Return an empty text if it does not.

    `given` are rows that the model can answer. Without them, rows are made. Every tensor must count instances.
    """
    trial = _Trial(runtime, max_batch, clock)
    try:
        if given:
            trial.compare(trial.answered(given), _orders(len(given)))
        else:
            trial.try_made_rows()
    except _Verdict as verdict:
        return str(verdict)
    return ""


class _Trial:
    def __init__(self, runtime: Runtime, max_batch: int, clock: Callable[[], float]) -> None:
        self._runtime = runtime.limited(BUDGET_S) if isinstance(runtime, Interruptible) else runtime
        self._signature = runtime.signature
        self._outputs = [spec.name for spec in runtime.signature.outputs]
        self._max_batch = max_batch
        self._clock = clock
        self._until_s = clock() + BUDGET_S
        self._runs = 0
        self._error = ""

    def try_made_rows(self) -> None:
        values = self._searched()
        first = self.answered([trial_row(self._signature, kind, values) for kind in _FIRST])
        _require_telling(self._signature, first, values, self._error)
        self.compare(first, [tuple(each for each in order if each < len(first)) for order in _FIRST_ORDERS])
        self._require_repeatable(*first[0])
        more = self.answered([trial_row(self._signature, kind, values) for kind in KINDS[4:]])
        rows = [*first, *more]
        every = tuple(range(len(rows)))
        self.compare(rows, [(0, 0, *every[:0:-1]), tuple(each for each in every if each != 1)])
        self._try_other_side(values)
        self.compare(rows, [tuple(each % len(rows) for each in range(_MOST_ROWS))])

    def answered(self, rows: Sequence[Row]) -> list[tuple[Row, Outputs]]:
        """Return the rows that the model can answer alone, with the answers."""
        answers = [(row, self._try(row)) for row in rows]
        return [(row, answer) for row, answer in answers if answer is not None]

    def compare(self, rows: Sequence[tuple[Row, Outputs]], orders: Sequence[tuple[int, ...]]) -> None:
        """Run rows together, in each order, in batches that are not too large. Compare them with their answers."""
        if len(rows) < 2:
            return
        size = sum(tensor.nbytes for tensor in rows[0][0].values())
        most = max(2, min(self._max_batch, _MOST_BYTES // max(size, 1)))
        for order in orders:
            for start in range(0, len(order), most):
                chosen = [rows[each] for each in order[start : start + most]]
                if self._runs < MOST_RUNS and len(chosen) > 1:
                    self._compare(chosen, rows)

    def _compare(self, chosen: Sequence[tuple[Row, Outputs]], rows: Sequence[tuple[Row, Outputs]]) -> None:
        together = self._try({name: np.concatenate([row[name] for row, _ in chosen]) for name in chosen[0][0]})
        if together is None:
            raise _Verdict(f"it fails on rows together that it answers alone: {self._error}")
        for name, tensor in zip(self._outputs, together, strict=True):
            if tensor.shape[:1] != (len(chosen),):
                raise _Verdict(f"it does not answer {len(chosen)} rows with {len(chosen)} rows of {name}")
        for at, (row, alone) in enumerate(chosen):
            for position, name in enumerate(self._outputs):
                whole = together[position][at : at + 1]
                floor = _ABSOLUTE * min(1.0, max(scale(answer[position]) for _, answer in rows))
                if not same(whole, alone[position], floor) and not self._is_rounding(row, alone, whole, position):
                    raise _Verdict(f"the answer {name} to a row depends on the other rows")

    def _is_rounding(self, row: Row, alone: Outputs, whole: Tensor, position: int) -> bool:
        """Return True if the difference is no larger than what a rounding of the row itself would make."""
        other = self._try(nudged(row))
        if other is None or whole.shape != alone[position].shape or other[position].shape != whole.shape:
            return False
        if whole.dtype.kind not in "fV":
            return bool(np.any(other[position] != alone[position]))
        here, there = (distance(each, alone[position]) for each in (whole, other[position]))
        return here <= _ROUNDINGS * there < np.inf

    def _require_repeatable(self, row: Row, alone: Outputs) -> None:
        again = self._try(row)
        if again is None or not all(same(one, other) for one, other in zip(again, alone, strict=True)):
            raise _Verdict("it answers the same row differently each time")

    def _try_other_side(self, values: Values) -> None:
        signature = self._signature
        if not any(-1 in spec.shape[1:] and spec.example is None for spec in signature.inputs):
            return
        for side in (2 * values.side + 1, *_SIDES):
            if side != values.side:
                other = values._replace(side=side)
                rows = self.answered([trial_row(signature, kind, other) for kind in _OTHER_SIDE])
                if len(rows) > 1:
                    self.compare(rows, [tuple(range(len(rows)))])
                    return

    def _searched(self) -> Values:
        """Return values with which an ordinary row is answered.

        Raises:
            _Verdict: there are none.
        """
        signature = self._signature
        names = [spec.name for spec in signature.inputs if is_integer(spec)]
        varies = any(-1 in spec.shape[1:] and spec.example is None for spec in signature.inputs)
        has_examples = any(spec.example for spec in signature.inputs)
        has_texts = any(spec.datatype == "BYTES" for spec in signature.inputs)
        for keeps_given, has_numbers, side in product(
            (False, True) if has_examples else (False,),
            (False, True) if has_texts else (False,),
            _SIDES if varies else (1,),
        ):
            values = Values(side, dict.fromkeys(names, RANGES[0]), keeps_given, has_numbers)
            if self._try(trial_row(signature, KINDS[0], values)) is not None:
                return self._widened(values, names)
        raise _Verdict(f"it could not be tried with values that tell: {self._error}")

    def _widened(self, values: Values, names: Sequence[str]) -> Values:
        """Return the values with the largest ranges of integers that the model can answer."""
        if not names or values.keeps_given:
            return values
        values = self._wider(values, names)
        if values.ranges[names[0]] < RANGES[3] and len(names) > 1:
            for name in names:
                values = self._wider(values, [name])
        return values

    def _wider(self, values: Values, names: Sequence[str]) -> Values:
        low, high = 0, len(RANGES)
        while high - low > 1:
            middle = (low + high) // 2
            wider = values._replace(ranges={**values.ranges, **dict.fromkeys(names, RANGES[middle])})
            row = trial_row(self._signature, "huge", wider)
            ints = {**trial_row(self._signature, KINDS[0], wider), **{name: row[name] for name in names}}
            if self._runs < MOST_RUNS // 2 and self._try(ints) is not None:
                low = middle
            else:
                high = middle
        return values._replace(ranges={**values.ranges, **dict.fromkeys(names, RANGES[low])})

    def _try(self, inputs: Mapping[str, Tensor]) -> Outputs | None:
        """Run the model. Return None if it fails on these values.

        Raises:
            _Verdict: there is no time left.
        """
        if self._clock() >= self._until_s:
            raise _Verdict(f"it is slow: to try it with rows together would take longer than {BUDGET_S:g} s")
        self._runs += 1
        try:
            return self._runtime.run(inputs, self._outputs)
        except ModelFailed as error:
            self._error = str(error)
            return None


def _require_telling(signature: Signature, rows: Sequence[tuple[Row, Outputs]], values: Values, error: str) -> None:
    if len(rows) < 2:
        raise _Verdict(f"it could not be tried with values that tell: {error}")
    is_narrow = all(is_integer(spec) and values.ranges[spec.name] == RANGES[0] for spec in signature.inputs)
    if is_narrow and not any(spec.example for spec in signature.inputs):
        raise _Verdict("it could not be tried with values that tell: it answers no integers but 0 and 1")


def _orders(count: int) -> list[tuple[int, ...]]:
    every = tuple(range(count))
    return [every, every[::-1]]
