"""What a route's `log.redact` does to the values of one arm's requests, before they are logged.

A name is that of a feature, or of an input: then it means all features of the input. A label that repeats a text of a
redacted input is replaced, since a model may answer what it was given. What does not fit the signature is left out of
the log.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gateway.inference.redacted_text import hides, redacted_text
from router.spec.log import RedactAction, Redaction
from runtimes.datatypes import TYPE_STRING_OF, Tensor, tensor_of_bytes
from runtimes.logged_tensors import feature_names, numeric_inputs, text_inputs
from runtimes.manifest import Signature

REPLACED = b"[redacted]"
"""The label in place of one that repeats a redacted text. It is not empty: an empty label counts as missing."""
_MOST_COMPARED = 100_000
_DROP = Redaction(RedactAction.DROP)
_OF_NUMBERS = frozenset({RedactAction.DROP, RedactAction.BUCKET})


Instances = np.ndarray[tuple[int], np.dtype[np.int64]]


class _Numbers(NamedTuple):
    """An input of numbers: `width` values an instance, of which those at `kept` stay, some of them in buckets."""

    width: int
    kept: tuple[int, ...]
    widths: tuple[float, ...]


class Rules(NamedTuple):
    """What is done to the logged inputs of an arm, in their order, and the names of inputs that labels may not repeat.

    None leaves an input as it is.
    """

    numbers: tuple[_Numbers | None, ...]
    texts: tuple[Redaction | None, ...]
    hidden: tuple[str, ...]


class LoggedInputs(NamedTuple):
    """What the log has of an arm's inputs: see the fields of the same names in `inference_log.record.Context`.

    Without redaction, `rules` is None.
    """

    features: tuple[str, ...]
    inputs: tuple[str, ...]
    categories: tuple[str, ...]
    rules: Rules | None = None


def logged_inputs_of(signature: Signature, redact: Mapping[str, Redaction]) -> LoggedInputs:
    """Return what the log has of a signature's inputs. If a name is not there, it has none of them."""
    features, kinds, numbers = list[str](), list[str](), list[_Numbers | None]()
    is_known = not unknown_names(signature, redact)
    for spec in numeric_inputs(signature):
        names = feature_names(spec, signature.counts_instances(spec))
        actions = [_of_number(redact, spec.name, name) if is_known else _DROP for name in names]
        kept = [at for at, action in enumerate(actions) if action != _DROP]
        widths = tuple(0.0 if (action := actions[at]) is None else action.amount for at in kept)
        if kept:
            features += [names[at] for at in kept]
            kinds.append(TYPE_STRING_OF["FP64" if any(widths) else spec.datatype])
        is_same = len(kept) == len(names) and not any(widths)
        numbers.append(None if is_same else _Numbers(len(names), tuple(kept), widths))
    categories, texts = list[str](), list[Redaction | None]()
    for spec in text_inputs(signature):
        action = _of_text(redact, spec.name) if is_known else _DROP
        texts.append(action)
        if action != _DROP:
            categories.append(spec.name)
    hidden = tuple(
        spec.name for spec in signature.inputs if spec.datatype == "BYTES" and (not is_known or spec.name in redact)
    )
    rules = Rules(tuple(numbers), tuple(texts), hidden) if redact else None
    return LoggedInputs(tuple(features), tuple(kinds), tuple(categories), rules)


def unknown_names(signature: Signature, redact: Mapping[str, Redaction]) -> list[str]:
    """Return the redacted names that are neither an input nor a feature of the signature."""
    known = known_names(signature) if redact else set()
    return [name for name in redact if name not in known]


def known_names(signature: Signature) -> set[str]:
    """Return the names of inputs and their features."""
    names = {spec.name for spec in signature.inputs}
    numbers = [spec for spec in signature.inputs if spec.datatype != "BYTES"]
    return names.union(*(feature_names(spec, signature.counts_instances(spec)) for spec in numbers))


class Redactor:
    """The rules for one request, whose inputs by name are `inputs`."""

    def __init__(self, rules: Rules, inputs: Mapping[str, Tensor], secret: bytes) -> None:
        self._hidden = [inputs[name] for name in rules.hidden if name in inputs]
        self._rules = rules
        self._secret = secret

    def inputs(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the logged inputs as they may be logged."""
        return redacted_inputs(self._rules, inputs, self._secret)

    def outputs(
        self, outputs: Sequence[Tensor], label: int, batch_size: int, kept: Instances | None
    ) -> Sequence[Tensor]:
        """Return the outputs, in which the texts at index `label` repeat none that must be hidden.

        They are those of the instances `kept`, of `batch_size`; None: of all.
        """
        if not self._hidden or label >= len(outputs):
            return outputs
        hidden = self._hidden
        if kept is not None:
            hidden = [each[kept] if each.shape[:1] == (batch_size,) else each for each in hidden]
        return [redacted_labels(each, hidden) if at == label else each for at, each in enumerate(outputs)]


def redacted_inputs(rules: Rules, inputs: Sequence[Tensor], secret: bytes) -> list[Tensor]:
    """Return the logged inputs as they may be logged, without those that are dropped."""
    found: list[Tensor] = []
    for tensor, numbers in zip(inputs, rules.numbers, strict=False):
        if numbers is None:
            found.append(tensor)
        elif numbers.kept:
            found.append(_redacted_numbers(tensor, numbers))
    for tensor, action in zip(inputs[len(rules.numbers) :], rules.texts, strict=False):
        if action is None:
            found.append(tensor)
        elif action != _DROP:
            texts = [redacted_text(each, action, secret) for each in tensor.ravel().tolist()]
            found.append(tensor_of_bytes(texts, tensor.shape))
    return found


def redacted_labels(labels: Tensor, hidden: Sequence[Tensor]) -> Tensor:
    """Return labels (BYTES) of which those that repeat a text of their instance in `hidden` are replaced.

    If texts cannot be told to belong to instances, no label may repeat any of them; of many, no label is kept. An empty
    label stays empty, since it counts as missing.
    """
    found = labels.ravel().tolist()
    for tensor in hidden:
        texts = tensor.ravel().tolist()
        if len(texts) == len(found):
            found = [REPLACED if hides(label, text) else label for label, text in zip(found, texts, strict=True)]
        elif len(texts) * len(found) > _MOST_COMPARED:
            found = [label and REPLACED for label in found]
        else:
            found = [REPLACED if any(hides(label, text) for text in texts) else label for label in found]
    return tensor_of_bytes(found, labels.shape)


def _redacted_numbers(tensor: Tensor, numbers: _Numbers) -> Tensor:
    if tensor.size % numbers.width:
        return tensor.ravel()[:0]  # it is none of the signature's: it is not logged
    rows = tensor.reshape(-1, numbers.width)[:, numbers.kept]
    if any(numbers.widths):
        rows = rows.astype(np.float64)
        with np.errstate(all="ignore"):  # infinity stays what it is, and so does NaN
            for column, width in enumerate(numbers.widths):
                if width:
                    rows[:, column] = np.floor(rows[:, column] / width) * width
    return rows


def _of_number(redact: Mapping[str, Redaction], input_name: str, feature: str) -> Redaction | None:
    action = redact.get(feature, redact.get(input_name))
    return action if action is None or action.action in _OF_NUMBERS else _DROP


def _of_text(redact: Mapping[str, Redaction], name: str) -> Redaction | None:
    action = redact.get(name)
    return _DROP if action is not None and action.action is RedactAction.BUCKET else action
