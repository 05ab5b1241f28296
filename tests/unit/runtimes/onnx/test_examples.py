"""A manifest without examples, for a model that does not run with zeros of size 1: the loader finds inputs itself."""

import hashlib
import time

import numpy as np
import pytest

from runtimes.batching import why_unbatched
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Manifest, TensorSpec
from runtimes.onnx.probe import Probe
from runtimes.runtime import Runtime, example_inputs
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS, endless_onnx
from tests.support.models import load_one
from tests.support.onnx_kinds import directly, kinds, model_of, node

_KINDS = kinds()
_IMAGE, _SCALE = TensorSpec("x", "FP32", (1, 1, -1, -1)), TensorSpec("scale", "FP32", (4,))
_WAVE, _STATE, _RATE = (
    TensorSpec("input", "FP32", (-1, -1)),
    TensorSpec("state", "FP32", (2, -1, 8)),
    TensorSpec("sr", "INT64", ()),
)


def _voice_detector() -> bytes:
    """Return a model that answers only 512 samples at a rate of 16 kHz, like silero-vad."""
    nodes = [
        node("Reshape", ["input", "windows"], ["w"]),
        node("ReduceMean", ["w"], ["m"], axes=[1, 2], keepdims=0),
        node("Div", ["sr", "rate"], ["which"]),
        node("Sub", ["which", "one"], ["place"]),
        node("Gather", ["factors", "place"], ["factor"]),  # at a rate of 0 there is no such place
        node("Mul", ["m", "factor"], ["s"]),
        node("Unsqueeze", ["s", "axis"], ["output"]),
        node("Identity", ["state"], ["stateN"]),
    ]
    constants = {
        "windows": np.array([-1, 8, 64]),
        "rate": np.array(8000),
        "one": np.array(2),
        "factors": np.array([2.0], "f4"),
        "axis": np.array([1]),
    }
    inputs = {"input": ("FP32", ["N", "T"]), "state": ("FP32", [2, "N", 8]), "sr": ("INT64", [])}
    return model_of(nodes, inputs, {"output": ("FP32", ["N", 1]), "stateN": ("FP32", [2, "N", 8])}, constants)


def _load(content: bytes, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], **more: object) -> Runtime:
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        **more,
    )
    return load_one(content, manifest)


def _found(runtime: Runtime) -> dict[str, Example | None]:
    return {spec.name: spec.example for spec in runtime.signature.inputs}


def test_the_size_of_an_image_is_found():
    shape = (-1, 1, -1, -1)
    kind = _KINDS["unet"]
    runtime = _load(kind.files["model.onnx"], (TensorSpec("x", "FP32", shape),), (TensorSpec("y", "FP32", shape),))
    assert _found(runtime) == {"x": Example((1, 1, 8, 8))}
    assert why_unbatched(runtime, 64) == ""
    request = kind.request(np.random.default_rng(0))
    answer = directly(kind.files, "model.onnx")(request)["y"]
    np.testing.assert_allclose(runtime.run(request, ["y"])[0], answer, rtol=1e-5)


def test_a_scale_that_must_not_be_zero_is_found():
    content = _KINDS["upscale"].files["model.onnx"]
    began_s = time.monotonic()
    runtime = _load(content, (_IMAGE, _SCALE), (TensorSpec("y", "FP32", (1, 1, -1, -1)),))
    assert _found(runtime) == {"x": Example((1, 1, 1, 1)), "scale": Example((4,), 1)}
    assert time.monotonic() - began_s < 20.0  # large images are the last resort


def test_the_rate_and_the_length_of_a_sound_are_found():
    outputs = (TensorSpec("output", "FP32", (-1, 1)), TensorSpec("stateN", "FP32", (2, -1, 8)))
    runtime = _load(_voice_detector(), (_WAVE, _STATE, _RATE), outputs, batch="none")
    assert _found(runtime) == {"input": Example((1, 512)), "state": Example((2, 1, 8)), "sr": Example((), 16_000)}


def test_an_example_of_the_manifest_stays_and_what_it_lacks_is_found():
    content = _KINDS["upscale"].files["model.onnx"]
    image = TensorSpec("x", "FP32", (1, 1, -1, -1), example=Example((1, 1, 2, 3)))
    runtime = _load(content, (image, _SCALE), (TensorSpec("y", "FP32", (1, 1, -1, -1)),))
    assert _found(runtime) == {"x": image.example, "scale": Example((4,), 1)}
    assert example_inputs(runtime.signature)["x"].shape == (1, 1, 2, 3)


def test_nothing_is_searched_for_a_model_that_runs_with_zeros(monkeypatch):
    monkeypatch.setattr(Probe, "find", lambda *_, **__: pytest.fail("searched"))
    content = model_of([node("Relu", ["x"], ["y"])], {"x": ("FP32", ["N", 3])}, {"y": ("FP32", ["N", 3])})
    taken = (TensorSpec("x", "FP32", (-1, 3)),)
    assert _found(_load(content, taken, (TensorSpec("y", "FP32", (-1, 3)),))) == {"x": None}


def test_the_search_of_a_model_that_hangs_ends_at_the_limit():
    content = endless_onnx()
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=LINEAR_INPUTS,
        outputs=LINEAR_OUTPUTS,
    )
    began_s = time.monotonic()
    with pytest.raises(ModelRefused, match=r"had not answered after 0\.3 s"):
        load_one(content, manifest, LoadOptions(within_s=0.3))
    assert time.monotonic() - began_s < 20.0
