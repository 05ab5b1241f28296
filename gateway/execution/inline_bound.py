"""How large the input of a batch may be so that the batch still runs on the event loop.

The rows of a batch do not say how long it takes if its input varies in other dimensions, or holds strings. So the
elements count as well, and the bytes of strings. The bound follows the runs:

- A run within the limit lets inputs run on the loop that are somewhat larger: at most twice as large, and only as far
  as the run would stay within the limit if the time grew with the square of the elements.
- Two runs that took longer than the limit, without a quick one of their size between, put the bound below them. One
  such run changes nothing, because it may be a hiccup of the machine.

A larger input runs in a thread, once. That run is measured as well.
"""

import math

from runtimes.batching import Inputs

_GROWTH = 2.0
_MOST_STRINGS = 1024  # counting their bytes takes about 20 µs


class InlineBound:
    """The bound of one version in one replica. `most` is the largest number of elements that runs on the loop."""

    __slots__ = ("_limit_s", "_slow_from", "most")

    def __init__(self, limit_s: float, one: float, one_s: float, several: float, several_s: float) -> None:
        """Take two measured runs: the elements and the seconds of one instance, and of several together."""
        self._limit_s = limit_s
        self._slow_from = math.inf
        self.most = 0.0
        self.observe(one, one_s)
        self.observe(several, several_s)
        if one_s < limit_s <= several_s:
            # Between the two, a time that grows no slower than the elements lies below the straight line.
            line = one + (several - one) * (limit_s - one_s) / (several_s - one_s)
            self.most = max(self.most, line)

    def close(self) -> None:
        """Let nothing run on the event loop any more: a run had to be broken off there."""
        self.most, self._limit_s = -1.0, 0.0

    def observe(self, elements: float, duration_s: float) -> None:
        """Adjust the bound to one more run."""
        if duration_s < self._limit_s:
            if elements >= self._slow_from:
                self._slow_from = math.inf
            if _GROWTH * elements > self.most and elements < math.inf:
                self.most = max(self.most, elements * min(_GROWTH, self._factor(duration_s)))
        elif elements <= self.most:
            if self._slow_from < math.inf:
                self.most = min(self._slow_from, elements) * self._factor(duration_s)
                self._slow_from = math.inf
            else:
                self._slow_from = elements

    def _factor(self, duration_s: float) -> float:
        """Return how much larger an input may be that takes the limit, if time grows with the square."""
        return math.sqrt(self._limit_s / duration_s) if duration_s > 0 else _GROWTH


def elements_of(inputs: Inputs) -> float:
    """Return the number of elements of all tensors, and of the bytes in them; infinite if there are many strings."""
    elements = 0
    for tensor in inputs.values():
        elements += tensor.size
        if tensor.dtype.hasobject:
            if tensor.size > _MOST_STRINGS:
                return math.inf
            elements += sum(map(len, tensor.ravel().tolist()))
    return elements
