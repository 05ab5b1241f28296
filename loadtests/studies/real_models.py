"""Models that others made: what each needed to be served, and whether it answers as ONNX Runtime alone does.

Each model in the packages of `loadtests.real_packages` gets a draft of its manifest, without a hand-written line. It is
loaded with that, and asked by 32 threads at once with different rows and shapes.
`python -m loadtests.studies.real_models [--few] [--json] [--page]`; `--page` writes the table of docs/models_real.md.
"""

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import msgspec
import numpy as np
import onnxruntime
import typer
from rich.console import Console
from rich.table import Table

from loadtests.onnx_version import drafted_manifest
from loadtests.real_models_page import write_page
from loadtests.real_packages import FEW, MORE, Artifact, artifacts
from loadtests.real_result import Found
from runtimes.batching import why_unbatched
from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature
from runtimes.runtime import example_inputs

CLIENTS = 32
_TRIES = 8
_MOST_BYTES = 32_000_000
"""Of the requests of one model together."""

Feed = dict[str, Tensor]


def main(
    few: Annotated[bool, typer.Option(help="Only the packages that CI tries.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    page: Annotated[bool, typer.Option(help="Write the table of docs/models_real.md.")] = False,
) -> None:
    """Draft, load and ask every model."""
    found = [examine(artifact) for package in (FEW if few else (*FEW, *MORE)) for artifact in artifacts(package)]
    if as_json:
        sys.stdout.write(json.dumps([msgspec.to_builtins(each) for each in found], indent=2) + "\n")
        return
    if page:
        write_page(found)
        return
    table = Table("package", "model", "needed", "merged", "requests", "wrong")
    for each in found:
        table.add_row(
            each.package, each.model, each.refused or each.needed, each.merged, str(each.requests), str(each.wrong)
        )
    Console().print(table)


def examine(artifact: Artifact) -> Found:
    """Draft, load and ask one model."""
    began_s, files = time.monotonic(), {"model.onnx": artifact.content}
    try:
        drafted = drafter_of("onnx")(files, "model.onnx", LoadOptions(), {})
        manifest = drafted_manifest(files, drafted)
        runtime = load(files, manifest, LoadOptions())
    except ModelRefused as error:
        return Found(artifact.package, artifact.name, refused=str(error))
    names = [spec.name for spec in manifest.outputs]
    asked = requests(artifact.content, manifest.signature, CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda pair: runtime.run(pair[0], names), asked))
    wrong = sum(not is_same(answer, expected, names) for answer, (_, expected) in zip(answers, asked, strict=True))
    why = why_unbatched(runtime, manifest.max_batch)
    return Found(
        artifact.package, artifact.name, needs(manifest.signature), f"no: {why}" if why else "yes", len(asked), wrong,
        took_s=round(time.monotonic() - began_s, 1),
    )  # fmt: skip


def needs(signature: Signature) -> str:
    """Return what the manifest says that the graph does not."""
    examples = [spec.name for spec in signature.inputs if spec.example]
    parts = [f"examples of {', '.join(examples)}"] if examples else []
    if signature.batch == "none":
        parts.append("batch: none")
    return "; ".join(parts) or "nothing"


def requests(content: bytes, signature: Signature, count: int) -> list[tuple[Feed, dict[str, Any]]]:
    """Return requests that differ in values, and where the model allows it in rows and sizes, with the right answers.

    The answers are those of ONNX Runtime, used directly.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    generator, made, total = np.random.default_rng(0), [], 0
    for number in range(count * _TRIES):
        feed = _feed(signature, generator, is_plain=number % 2 == 1)
        try:
            answer = dict(zip(names, session.run(names, feed), strict=True))
        except Exception:  # noqa: BLE001, S112  # a size that the model does not take
            continue
        made.append((feed, answer))
        total += sum(tensor.nbytes for tensor in feed.values())
        if len(made) == count or total > _MOST_BYTES:
            break
    return made


def _feed(signature: Signature, generator: np.random.Generator, *, is_plain: bool) -> Feed:
    """Return random values of the example's shape, with some rows, and unless `is_plain` with other sizes."""
    rows, factor, side = (int(generator.integers(1, most)) for most in (4, 4, 33))
    feed = {}
    for spec in signature.inputs:
        shape = list(example_inputs(signature, 1)[spec.name].shape)
        for position, size in enumerate(spec.shape):
            if size == -1 and position and not is_plain:
                shape[position] = shape[position] * factor if spec.example else side
        if signature.counts_instances(spec):
            shape[0] = rows
        dtype = NUMPY_OF[spec.datatype]
        if spec.example is not None and spec.example.data is not None:
            feed[spec.name] = np.full(shape, spec.example.data, dtype)
        elif dtype.kind in "biu":
            feed[spec.name] = generator.integers(0, 2, shape).astype(dtype)
        else:
            feed[spec.name] = np.asarray(generator.normal(size=shape), dtype)
    return feed


def is_same(answers: Any, expected: Mapping[str, Any], names: list[str]) -> bool:
    """Compare the answers to one request. Merging rows changes the last bits of floats."""
    return all(
        answer.shape == expected[name].shape
        and np.allclose(answer, expected[name], rtol=1e-3, atol=1e-4, equal_nan=True)
        for name, answer in zip(names, answers, strict=True)
    )


if __name__ == "__main__":
    typer.run(main)
