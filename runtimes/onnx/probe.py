"""Inputs that a model can answer, found by running it: the sizes of its dimensions, and a few kinds of values.

Each dimension that varies is a variable. Dimensions of one name are one variable. So are all first dimensions, unless
their name says that they are time: they count instances, until the model shows otherwise (`runtimes.onnx.batch`).
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any, NamedTuple

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import Example
from runtimes.onnx.dimension_names import is_time_name
from runtimes.onnx.session import sentence_of
from runtimes.onnx.values import run_with_values, to_feed

BATCH = "the number of instances"
"""The variable of first dimensions. A name with spaces is no name in a graph."""

_LADDER = (1, 2, 8, 16, 32, 64, 128, 224, 256, 320, 512, 640, 1024, 4_000, 16_000)
_CHANNELS = (3, 1, 4)
_MOST_ELEMENTS = 1 << 24
_RATES = (16_000, 8_000)
_RATE_NAME = re.compile(r"sr|sampl(e|ing)_?rate|rate", re.IGNORECASE)
_MOST_TRIES = 250
_LENGTH_NAME = re.compile(r"\w*(len|lens|length|lengths)", re.IGNORECASE)

Sizes = Mapping[str, int]


class TensorInput(NamedTuple):
    """An input of the model: its name in the graph, its datatype, its shape, and the example that a person
    gave, also as a tensor.
    """

    name: str
    datatype: str
    shape: tuple[int | str, ...]
    given: Tensor | None = None
    example: Example | None = None


class Found(NamedTuple):
    """Inputs that the model answers: the sizes, and how the values were chosen (`_STYLES`)."""

    sizes: Sizes
    style: str


_STYLES = ("known", "zeros", "other rate", "ones where small", "ones")


class Probe:
    """A model that is run with inputs of chosen sizes, until a limit on the time of all runs is reached."""

    def __init__(
        self,
        session: Any,
        inputs: tuple[TensorInput, ...],
        outputs: tuple[str, ...],
        limit_s: float,
        *,
        with_values: bool = False,
    ) -> None:
        self.inputs = inputs
        self.last_error = ""
        self._session = session
        self._outputs = outputs
        self._with_values = with_values
        self._until_s = time.monotonic() + limit_s
        firsts = {each.shape[0] for each in inputs if _first_counts(each)}
        self._keys = {each.name: tuple(_keys(each, firsts)) for each in inputs}
        self._known = {
            key: size
            for each in inputs
            if each.given is not None
            for key, size in zip(self._keys[each.name], each.given.shape, strict=True)
            if isinstance(key, str) and key != BATCH
        }

    def variables(self) -> list[str]:
        """Return the variables, instances first."""
        found = dict.fromkeys(key for keys in self._keys.values() for key in keys if isinstance(key, str))
        names = {part for key in found for part in _parts(key)}
        return sorted((name for name in {*found, *names} if not _is_sum(name)), key=lambda name: (name != BATCH, name))

    def keys_of(self, name: str) -> tuple[int | str, ...]:
        """Return the dimensions of an input: numbers, and variables."""
        return self._keys[name]

    def of_one_instance(self, each: TensorInput) -> TensorInput:
        """Return an input whose number of instances is 1."""
        shape = (1, *each.shape[1:]) if self._keys[each.name][:1] == (BATCH,) else each.shape
        return each._replace(shape=shape)

    def feed(self, found: Found) -> dict[str, Tensor]:
        """Return inputs of these sizes."""
        made = {}
        for each in self.inputs:
            keys = self._keys[each.name]
            shape = [size_of(key, found.sizes) for key in keys]
            made[each.name] = _filled(each, shape, found) if each.given is None else _fitted(each.given, shape, keys)
        return made

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the answers by the outputs' names in the graph, or None if the model raises."""
        if any(tensor.size > _MOST_ELEMENTS for tensor in inputs.values()):
            return None
        if self.is_over():
            self.last_error = "the time for trying inputs is over."
            return None
        try:
            if self._with_values:
                answers = run_with_values(self._session, inputs, self._outputs)
            else:
                answers = self._session.run(self._outputs, {name: to_feed(name, each) for name, each in inputs.items()})
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has one class per status, without a common base
            self.last_error = sentence_of(error)
            return None
        return dict(zip(self._outputs, answers, strict=True))

    def answers(self, found: Found) -> dict[str, Any] | None:
        """Return `run` of `feed`."""
        return self.run(self.feed(found))

    def is_over(self) -> bool:
        """Return True if there is no time left."""
        return time.monotonic() > self._until_s

    def find(self, *, small_first: bool = False) -> Found | None:
        """Return the first inputs that the model answers with more than empty tensors, or else with these.

        With `small_first`, other values are tried before larger sizes, which takes less time.
        """
        empty: Found | None = None
        candidates: Iterable[Found] = self._candidates()
        if small_first:
            candidates = sorted(candidates, key=lambda found: sum(found.sizes.values()))
        for found in islice(candidates, _MOST_TRIES):
            answers = self.answers(found)
            if answers is not None and not any(
                isinstance(each, np.ndarray) and not each.size for each in answers.values()
            ):
                return found
            if answers is not None and empty is None:
                empty = found
        return empty

    def _candidates(self) -> Iterator[Found]:
        names = [name for name in self.variables() if name != BATCH and name not in self._known]
        styles = [style for style in _STYLES if style != "other rate" or any(map(_is_rate, self.inputs))]
        if not any(_is_rate(each) or _is_length(each) for each in self.inputs):
            styles.remove("known")  # the same as zeros
        together = [dict.fromkeys(names, size) for size in (_LADDER if names else (1,))]
        apart = list(self._channels(names)) if len(names) > 1 else []
        for style in styles:
            yield from (self._found(style, sizes) for sizes in (*together, *apart))
        if 1 < len(names) <= 3:
            for style in styles[:2]:
                for chosen in product((1, 8, 32, 64, 128, 320), repeat=len(names)):
                    yield self._found(style, dict(zip(names, chosen, strict=True)))

    def _found(self, style: str, sizes: Sizes) -> Found:
        return Found({BATCH: 1, **self._known, **sizes}, style)

    def _channels(self, names: list[str]) -> Iterator[dict[str, int]]:
        """Yield the sizes of images whose number of channels is not in the graph."""
        for position in (1, 3):
            keys = {keys[position] for keys in self._keys.values() if len(keys) == 4}
            channels = [key for key in keys if isinstance(key, str)]
            for number, size in product(_CHANNELS if channels else (), _LADDER[4:]):
                yield {**dict.fromkeys(names, size), **dict.fromkeys(channels, number)}


def is_time(each: TensorInput) -> bool:
    """Return True if the name of an input's first dimension says that it is time."""
    return bool(each.shape) and is_time_name(each.shape[0], is_alone=len(each.shape) == 1)


def size_of(key: int | str, sizes: Sizes) -> int:
    """Return the size of a dimension. Its key may be a sum of variables and numbers."""
    return key if isinstance(key, int) else sum(sizes[part] if part in sizes else int(part) for part in _parts(key))


def _first_counts(each: TensorInput) -> bool:
    return bool(each.shape) and isinstance(each.shape[0], str) and not is_time(each) and not _is_sum(each.shape[0])


def _keys(each: TensorInput, firsts: set[int | str]) -> Iterator[int | str]:
    for position, size in enumerate(each.shape):
        if isinstance(size, int):
            yield size
        elif (position == 0 and _first_counts(each)) or (size and size in firsts):
            yield BATCH
        else:
            yield size or f"{each.name}:{position}"


def _is_sum(key: str) -> bool:
    return " + " in key


def _parts(key: str) -> list[str]:
    parts = key.split(" + ")
    return parts if all(re.fullmatch(r"\w+", part) for part in parts) else [key]


def _is_rate(each: TensorInput) -> bool:
    return NUMPY_OF[each.datatype].kind in "iuf" and len(each.shape) <= 1 and bool(_RATE_NAME.fullmatch(each.name))


def _is_length(each: TensorInput) -> bool:
    return NUMPY_OF[each.datatype].kind in "iu" and len(each.shape) <= 1 and bool(_LENGTH_NAME.fullmatch(each.name))


def value_of(each: TensorInput, found: Found) -> Any:
    """Return the value that fills an input which no person gave."""
    text = each.datatype == "BYTES"
    if found.style in ("known", "other rate") and _is_rate(each):
        return _RATES[found.style == "other rate"]
    if found.style in ("known", "ones where small", "other rate") and _is_length(each):
        return max((size for name, size in found.sizes.items() if name != BATCH), default=1)
    small = len(each.shape) <= 1 or NUMPY_OF[each.datatype].kind not in "fV"
    if found.style == "ones" or (found.style == "ones where small" and small):
        return b"0" if text else 1
    return b"" if text else 0


def _filled(each: TensorInput, shape: list[int], found: Found) -> Tensor:
    return np.full(shape, value_of(each, found), NUMPY_OF[each.datatype])


def _fitted(given: Tensor, shape: list[int], keys: tuple[int | str, ...]) -> Tensor:
    """Return a person's example, with as many instances as are wanted."""
    return np.resize(given, (shape[0], *given.shape[1:])) if keys[:1] == (BATCH,) and given.size else given
