"""Each kind of model is drafted without a hand-written line, loaded, and answers as ONNX Runtime does alone."""

import numpy as np
import pytest

from runtimes.batching import why_unbatched
from tests.support.onnx_kinds import as_tensor, assert_same, directly, draft, kinds, loaded

_KINDS = kinds()


@pytest.mark.parametrize("name", _KINDS)
def test_a_kind_is_served_as_it_is(name):
    kind = _KINDS[name]
    runtime, alone = loaded(kind.files, kind.file), directly(kind.files, kind.file)
    generator = np.random.default_rng(1)
    assert runtime.signature.batch == kind.batch
    for _ in range(20):
        feed = kind.request(generator)
        expected = alone(feed)
        assert runtime.signature.outputs
        names = [spec.name for spec in runtime.signature.outputs]
        for output, answer in zip(names, runtime.run(feed, names), strict=True):
            wanted = as_tensor(expected[output])
            assert_same(answer, wanted.swapaxes(0, 1) if name == "sequence" else wanted)


@pytest.mark.parametrize("name", [name for name, kind in _KINDS.items() if kind.is_merged])
def test_the_graph_of_an_ordinary_model_says_nothing_against_merging(name):
    assert loaded(_KINDS[name].files, _KINDS[name].file).unbatched_because == ""


@pytest.mark.parametrize("name", [name for name, kind in _KINDS.items() if not kind.is_merged])
def test_what_is_not_row_by_row_is_not_merged(name):
    assert why_unbatched(loaded(_KINDS[name].files, _KINDS[name].file), 64)


def test_what_was_read_and_guessed_is_said():
    kind = _KINDS["dynamic_quantization"]
    remarks = "\n".join(draft(kind.files, kind.file).remarks)
    assert "An ONNX model of IR version 8, opset ai.onnx 17" in remarks
    assert "The first dimension counts instances" in remarks
    assert "never merged: the operator DynamicQuantizeLinear works on all rows together" in remarks
