"""ONNX Runtime gives back the memory of large runs, and strings are converted in pieces."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from runtimes.datatypes import tensor_of_bytes
from runtimes.onnx import values as onnx_values
from tests.support.onnx_kinds import model_of, node

_PROGRAM = """
import gc, json, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import psutil
from gateway.eventloop.freed_memory import return_large_blocks
from loadtests.soak.models import echo, publish
from pathlib import Path
from registry_sync.registries.directory import MANIFEST
from runtimes.manifest_text import parse_manifest
from runtimes.load_options import LoadOptions
from runtimes.onnx.runtime import load_onnx

def resident():
    gc.collect()
    return psutil.Process().memory_info().rss

return_large_blocks()
datatype, root = sys.argv[1], Path(sys.argv[2])
publish(root, [datatype])
folder = root / echo(datatype) / "1"
runtime = load_onnx(
    {"model.onnx": (folder / "model.onnx").read_bytes()},
    parse_manifest((folder / MANIFEST).read_text()),
    LoadOptions(),
)
def run():
    for _ in range(3):
        if datatype == "BYTES":
            given = np.full((1, 1_000_000), b"", object)
        else:
            given = np.ones((1, 8_000_000), np.uint16)
        assert runtime.run({"X": given}, ["Y"])[0].shape == given.shape
before = resident()
with ThreadPoolExecutor(4) as pool:
    for future in [pool.submit(run) for _ in range(4)]:
        future.result()
print(json.dumps(resident() - before))
"""


@pytest.mark.parametrize("datatype", ["UINT16", "BYTES"])
def test_a_rush_of_large_inputs_does_not_stay_in_memory(datatype, tmp_path):
    command = [sys.executable, "-c", _PROGRAM, datatype, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) < 16_000_000


@pytest.mark.parametrize("count", [0, 1, 16_384, 16_385, 40_000])
def test_pieces_and_whole_give_the_same(count):
    elements = [f"é{index}".encode() for index in range(count)]
    fed = onnx_values.to_feed("X", tensor_of_bytes(elements, (count, 1)))
    assert fed.shape == (count, 1)
    assert fed.ravel().tolist() == [element.decode() for element in elements]
    assert onnx_values.from_strings(fed).ravel().tolist() == elements


def test_large_tensors_are_converted_one_at_a_time():
    at_once, most = [], []

    def convert(element):
        at_once.append(1)
        most.append(len(at_once))
        at_once.pop()
        return element

    tensor = np.full(20_000, b"x", object)
    threads = [threading.Thread(target=onnx_values._converted, args=(tensor, convert)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


_LOADING = """
import sys
import numpy as np
import onnx, onnxruntime
from pathlib import Path
from loadtests.onnx_version import drafted_manifest
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.onnx.runtime import load_onnx

content = Path(sys.argv[2]).read_bytes()
if sys.argv[1] == "alone":
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(content, options)
else:
    tensors = {"inputs": (TensorSpec("x", "FP32", (-1, 4000)),), "outputs": (TensorSpec("y", "FP32", (-1, 4000)),)}
    manifest = Manifest(runtime="onnx", file="model.onnx", sha256="0" * 64, **tensors)
    runtime = load_onnx({"model.onnx": content}, manifest, LoadOptions())
status = Path('/proc/self/status').read_text()  # its peak, unlike getrusage's, does not begin with the parent's
print(int(status.split('VmHWM:')[1].split()[0]) * 1024)
"""


def test_reading_the_graph_adds_nothing_to_the_peak_of_loading(tmp_path):
    weights = np.ones((4000, 4000), "f4")
    content = model_of(
        [node("MatMul", ["x", "w"], ["y"])], {"x": ("FP32", ["N", 4000])}, {"y": ("FP32", ["N", 4000])}, {"w": weights}
    )
    (tmp_path / "model.onnx").write_bytes(content)
    peaks = {}
    for how in ("alone", "ours"):
        command = [sys.executable, "-c", _LOADING, how, str(tmp_path / "model.onnx")]
        peaks[how] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    # 64 MB of weights: a second copy at the same time would be seen
    assert peaks["ours"] - peaks["alone"] < weights.nbytes / 2
