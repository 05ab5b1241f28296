"""A model is merged only if it answers each row as if the row were alone: models that do not, and ordinary ones."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

from runtimes import row_by_row
from runtimes.batching import why_unbatched
from runtimes.datatypes import BYTES
from runtimes.errors import ModelFailed
from runtimes.manifest import Example, Manifest, Signature, TensorSpec
from runtimes.row_by_row import BUDGET_S, MOST_RUNS, why_dependent
from tests.support.models import load_one, onnx_content

Array = np.ndarray[Any, Any]
DEPENDS = "the answer y to a row depends on the other rows"


class Model:
    """A runtime of one function of its inputs."""

    def __init__(self, function: Callable[..., Array], *inputs: TensorSpec, output: TensorSpec | None = None) -> None:
        self.signature = Signature(inputs=inputs, outputs=(output or TensorSpec("y", "FP32", (-1, 4)),))
        self.unbatched_because = ""
        self.sizes: list[int] = []
        self._function = function

    def run(self, inputs, outputs):  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        self.sizes.append(len(next(iter(inputs.values()))))
        return [self._function(*inputs.values())]


FOUR = TensorSpec("X", "FP32", (-1, 4))
VARYING = TensorSpec("X", "FP32", (-1, -1))
IDS = TensorSpec("X", "INT64", (-1, -1))
TEXT = TensorSpec("X", "BYTES", (-1,))
EACH = TensorSpec("y", "FP32", (-1,))
LENGTHS = TensorSpec("y", "INT64", (-1,))
TABLE = np.random.default_rng(0).random((100, 4)).astype("f4") * np.logspace(-1, 2, 100, dtype="f4")[:, None]


def quantized(x: Array) -> Array:
    """Round to 255 steps between the least and the greatest value of the batch."""
    finite = np.where(np.isfinite(x), x, 0)
    low, high = min(finite.min(), 0), max(finite.max(), 0)
    step = max((high - low) / 255, 1e-9)
    return (np.round(x / step) * step).astype("f4")


def looked_up(x: Array) -> Array:
    if (x >= len(TABLE)).any() or (x < 0).any():
        raise ModelFailed("index out of range")
    return TABLE[x]


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def attended(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return (softmax(x @ x.T / 1e3, 1) @ x).astype("f4")


def longest(x: Array) -> Array:
    """Divide by the length of the longest row, which ends where its zeros begin."""
    lengths = [np.max(np.nonzero(row)[0], initial=0) + 1 for row in x]
    return x / max(lengths)


def longest_text(x: Array) -> Array:
    texts = [each.decode() for each in x.tolist()]
    return np.array([max(map(len, texts)) for _ in texts])


def top(x: Array) -> Array:
    """Keep the two rows with the greatest sums."""
    kept = np.argsort(-np.nan_to_num(x).sum(axis=1))[:2]
    answer = np.zeros_like(x)
    answer[kept] = x[kept]
    return answer


def counting() -> Callable[[Array], Array]:
    calls = count()
    return lambda x: x + np.float32(next(calls))


def noisy() -> Callable[[Array], Array]:
    generator = np.random.default_rng(1)
    return lambda x: x + generator.normal(size=x.shape).astype("f4") * 1e-3


def carried() -> Callable[[Array], Array]:
    held = np.zeros(4, "f4")

    def run(x: Array) -> Array:
        nonlocal held
        answer, held = x + np.nan_to_num(held) * 1e-2, x[-1]
        return answer.astype("f4")

    return run


def only_beyond(limit: float) -> Callable[[Array], Array]:
    """Return a model that mixes rows only if one value exceeds a limit."""
    return lambda x: x if np.nanmax(x, initial=0) <= limit else (x - np.nanmean(x, axis=0)).astype("f4")


def deduplicated(x: Array) -> Array:
    seen: set[bytes] = set()
    return np.stack([np.zeros(4, "f4") if row.tobytes() in seen or seen.add(row.tobytes()) else row for row in x])


MIXING = {
    "dynamic quantization": Model(lambda x: quantized(x), FOUR),
    "dynamic quantization of looked up rows": Model(
        lambda x: quantized(looked_up(x)), IDS, output=TensorSpec("y", "FP32", (-1, -1, 4))
    ),
    "batch norm in training": Model(lambda x: ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)).astype("f4"), FOUR),
    "softmax over the rows": Model(lambda x: softmax(x, 0).astype("f4"), FOUR),
    "the mean of the batch": Model(lambda x: (x - x.mean(axis=0)).astype("f4"), FOUR),
    "sorted": Model(lambda x: np.sort(x, axis=0), FOUR),
    "deduplicated": Model(deduplicated, FOUR),
    "unique": Model(lambda x: np.unique(x, axis=0), FOUR),
    "attention": Model(attended, FOUR),
    "padding by the longest": Model(
        lambda x: longest(x).astype("f4"), VARYING, output=TensorSpec("y", "FP32", (-1, -1))
    ),
    "padding of texts": Model(longest_text, TEXT, output=LENGTHS),
    "a counter": Model(counting(), FOUR),
    "a state that is carried": Model(carried(), FOUR),
    "top k": Model(top, FOUR),
    "noise": Model(noisy(), FOUR),
    "beyond 100": Model(only_beyond(100.0), FOUR),
    "beyond 1000": Model(only_beyond(1000.0), FOUR),
    "a filled gap": Model(lambda x: np.where(np.isnan(x), np.nan_to_num(x).mean(), x).astype("f4"), FOUR),
    "lengths other than 1 and 2": Model(
        lambda x: (x - x.mean(0) * (x.shape[1] > 2)).astype("f4"), VARYING, output=TensorSpec("y", "FP32", (-1, -1))
    ),
    "batches above 32": Model(lambda x: x * np.float32(1 + (len(x) > 32)), FOUR),
    "half precision": Model(
        lambda x: (x - x.mean(0)).astype("f2"),
        TensorSpec("X", "FP16", (-1, 4)),
        output=TensorSpec("y", "FP16", (-1, 4)),
    ),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", MIXING)
def test_a_model_whose_rows_mix_is_not_merged(kind):
    model = MIXING[kind]
    model.sizes.clear()
    assert why_unbatched(model, 64) != ""
    assert len(model.sizes) <= MOST_RUNS
    assert max(model.sizes) <= 64


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("most", [2, 3, 5])
@pytest.mark.parametrize("kind", sorted(MIXING.keys() - {"batches above 32", "top k"}))
def test_neither_is_it_with_a_small_max_batch_and_no_run_has_more_rows(kind, most):
    model = MIXING[kind]
    model.sizes.clear()
    assert why_unbatched(model, most) != ""
    assert max(model.sizes) <= most


def network(
    nodes: Sequence[NodeProto], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], **constants: Array
):
    content = onnx_content(nodes, inputs, outputs, constants)
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = Manifest(runtime="onnx", file="m", sha256=sha256, inputs=tuple(inputs), outputs=tuple(outputs))
    return load_one(content, manifest)


def weights(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape).astype("f4") / np.float32(np.sqrt(shape[-1]))


def mlp() -> Any:
    nodes = [
        helper.make_node("Gemm", ["X", "W", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "V", "c"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    made = {"W": weights(300, 500), "b": weights(500), "V": weights(500, 3), "c": weights(3)}
    return network(nodes, [TensorSpec("X", "FP32", (-1, 300))], [TensorSpec("y", "FP32", (-1, 3))], **made)


def convolution() -> Any:
    nodes = [
        helper.make_node("Conv", ["X", "W"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return network(
        nodes,
        [TensorSpec("X", "FP32", (-1, 3, -1, -1))],
        [TensorSpec("y", "FP32", (-1, 8))],
        W=weights(8, 3, 3, 3),
    )


def lstm() -> Any:
    nodes = [
        helper.make_node("Transpose", ["X"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R"], ["", "h"], hidden_size=8),
        helper.make_node("Squeeze", ["h", "first"], ["y"]),
    ]
    return network(
        nodes,
        [TensorSpec("X", "FP32", (-1, -1, 5))],
        [TensorSpec("y", "FP32", (-1, 8))],
        W=weights(1, 32, 5),
        R=weights(1, 32, 8),
        first=np.array([0]),
    )


def embedding(rows: int) -> Any:
    """Return a model like BERT's first layer: ids below `rows`, a type of 0 or 1, and a mask."""
    nodes = [
        helper.make_node("Gather", ["E", "ids"], ["e"]),
        helper.make_node("Gather", ["T", "types"], ["t"]),
        helper.make_node("Add", ["e", "t"], ["s"]),
        helper.make_node("Cast", ["mask"], ["m"], to=1),
        helper.make_node("Unsqueeze", ["m", "last"], ["u"]),
        helper.make_node("Mul", ["s", "u"], ["w"]),
        helper.make_node("ReduceMean", ["w", "middle"], ["y"], keepdims=0),
    ]
    inputs = [TensorSpec(name, "INT64", (-1, -1)) for name in ("ids", "types", "mask")]
    made = {"E": weights(rows, 6), "T": weights(2, 6), "last": np.array([2]), "middle": np.array([1])}
    return network(nodes, inputs, [TensorSpec("y", "FP32", (-1, 6))], **made)


def half() -> Any:
    nodes = [helper.make_node("MatMul", ["X", "W"], ["y"])]
    signature = [TensorSpec("X", "FP16", (-1, 64))], [TensorSpec("y", "FP16", (-1, 8))]
    return network(nodes, *signature, W=weights(64, 8).astype("f2"))


def test_an_onnx_model_that_quantizes_the_whole_batch_is_not_merged(monkeypatch):
    monkeypatch.setattr("runtimes.onnx.runtime.why_rows_mix", lambda _: "")  # what the operators of the graph say
    nodes = [
        helper.make_node("Gather", ["E", "ids"], ["h"]),
        helper.make_node("DynamicQuantizeLinear", ["h"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    table = TABLE.copy()
    table[:2] = [[0, 0.25, 0.5, 1], [1, 0.5, 0.25, 0]]  # so that 0 and 1 do not tell
    inputs, outputs = [TensorSpec("ids", "INT64", (-1, -1))], [TensorSpec("y", "FP32", (-1, -1, 4))]
    assert why_unbatched(network(nodes, inputs, outputs, E=table), 64) == DEPENDS


ORDINARY = {
    "mlp": mlp,
    "convolution": convolution,
    "lstm": lstm,
    "embedding of 100": lambda: embedding(100),
    "embedding of 30522": lambda: embedding(30_522),
    "half precision": half,
    "waves": lambda: Model(lambda x: np.sin(x.astype("f4") * np.float32(100)) + np.float32(1e-9) * len(x), FOUR),
    "texts": lambda: Model(lambda x: np.array([len(each) for each in x.tolist()]), TEXT, output=LENGTHS),
    "numbers as texts": lambda: Model(
        lambda x: np.array([numeric(each) for each in x.tolist()], "f4"), TEXT, output=EACH
    ),
}


def numeric(text: bytes) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ModelFailed(str(error)) from error


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_model_is_merged(kind):
    model = ORDINARY[kind]()
    for most in (2, 3, 64):
        assert why_unbatched(model, most) == ""


def test_a_pipeline_of_scikit_learn_and_its_onnx_are_merged(boosting, logistic, to_onnx, manifest_of):
    for estimator in (boosting, logistic):
        content = to_onnx(estimator)
        inputs = (TensorSpec("X", "FP32", (-1, 30)),)
        outputs = (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2)))
        assert (
            why_unbatched(load_one(content, manifest_of(content, "model.onnx", inputs=inputs, outputs=outputs)), 64)
            == ""
        )


def test_rows_where_the_model_answers_nan_count_and_rows_where_it_fails_do_not():
    logarithm = Model(lambda x: np.log(x), FOUR)
    with np.errstate(all="ignore"):
        assert why_unbatched(logarithm, 64) == ""

    def strict(x: Array) -> Array:
        if not (x >= 0).all():
            raise ModelFailed("negative")
        return x

    assert "could not be tried with values that tell: negative" in why_unbatched(Model(strict, FOUR), 64)


def categories(known: Sequence[bytes]) -> Callable[..., Array]:
    def run(x: Array, place: Array) -> Array:
        if not set(place.tolist()) <= set(known):
            raise ModelFailed("unknown category")
        return x * np.array([[known.index(each)] for each in place.tolist()], "f4")

    return run


def test_strings_that_must_be_known_are_those_of_the_example():
    place = TensorSpec("place", "BYTES", (-1,), example=Example(data=("Rome", "Oslo")))
    assert why_unbatched(Model(categories([b"Rome", b"Oslo"]), FOUR, place), 64) == ""
    mixing = Model(lambda x, place: categories([b"Rome", b"Oslo"])(x, place) - x.mean(), FOUR, place)
    assert why_unbatched(mixing, 64) == DEPENDS
    unknown = Model(categories([b"Rome"]), FOUR, TensorSpec("place", "BYTES", (-1,)))
    assert why_unbatched(unknown, 64) == "it could not be tried with values that tell: unknown category"


def test_a_model_that_answers_no_integers_but_0_and_1_cannot_be_tried():
    def picky(x: Array) -> Array:
        if (x > 1).any():
            raise ModelFailed("index")
        return x.astype("f4")

    model = Model(picky, TensorSpec("X", "INT64", (-1, 4)))
    assert "no integers but 0 and 1" in why_unbatched(model, 64)


def test_a_slow_model_is_not_merged_and_takes_no_longer_than_the_budget():
    now_s = 0.0

    def slow(x: Array) -> Array:
        nonlocal now_s
        now_s += float(len(x))
        return x

    reason = why_dependent(Model(slow, FOUR), 64, clock=lambda: now_s)
    assert reason == f"it is slow: to try it with rows together would take longer than {BUDGET_S:g} s"
    assert now_s < BUDGET_S + 5


def test_given_rows_are_tried_together():
    rows = [{"X": np.full((1, 4), value, "f4")} for value in (2e6, 1.0)]
    model = Model(only_beyond(1e6), FOUR)
    assert why_dependent(model, 64) == ""
    assert why_dependent(model, 64, rows) == DEPENDS


def test_no_run_is_larger_than_16_megabytes_unless_two_rows_are():
    wide = TensorSpec("X", "FP32", (-1, 1 << 20))
    model = Model(lambda x: x[:, :4], wide)
    assert why_unbatched(model, 64) == ""
    assert max(model.sizes) * 4 * (1 << 20) <= row_by_row._MOST_BYTES


def test_bytes_of_answers_are_compared():
    model = Model(lambda x: np.array([max(x.tolist())] * len(x), BYTES), TEXT, output=TensorSpec("y", "BYTES", (-1,)))
    assert why_unbatched(model, 64) == DEPENDS
