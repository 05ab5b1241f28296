"""All soak tests in full, one after the other: a line for each, and a summary. `make soak` calls this."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtests.bench.setting import REPOSITORY

_FUZZ: Final = {"POINTSMAN_FUZZ_S": "60", "POINTSMAN_FUZZ_EXAMPLES": "200"}
_PYTEST: Final = ("pytest", "-q", "--timeout", "1800")


@dataclass(frozen=True, slots=True)
class Part:
    """One soak test: a Python module with its arguments, and settings of the environment."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    minutes: float
    """How long it usually takes."""


PARTS: Final = (
    Part("sizes", ("loadtests.soak.sizes", "--json", "{}"), {}, 120),
    Part("half_open", ("loadtests.soak.half_open", "--json", "{}"), {}, 8),
    Part("million", ("loadtests.soak.million", "--json", "{}"), {}, 10),
    Part("ledger", ("loadtests.soak.ledger", "--json", "{}"), {}, 20),
    Part("bytes", (*_PYTEST, "tests/integration/test_fuzz_ports.py"), _FUZZ, 5),
    Part("floods", (*_PYTEST, "tests/integration/test_http2_floods.py"), _FUZZ, 18),
    Part("examples", (*_PYTEST, "tests/integration/test_schemathesis.py"), _FUZZ, 15),
    Part(
        "stores", (*_PYTEST, "tests/integration/test_redis_faults.py", "tests/integration/test_redis_store.py"), {}, 3
    ),
    Part("log", (*_PYTEST, "tests/unit/inference_log/test_ship_memory.py"), {"POINTSMAN_SEGMENT_MB": "1024"}, 3),
    Part(
        "companion",
        (*_PYTEST, "tests/integration/test_companion.py"),
        {"POINTSMAN_SEGMENT_MB": "1024", "POINTSMAN_COMPANION_ROUNDS": "5"},
        6,
    ),
)


def run(part: Part, folder: Path) -> bool:
    """Run a part. Its output goes to a file, and the end of it to the terminal if it fails. Return True if not."""
    print(f"· {part.name}: about {part.minutes:.0f} minutes …", flush=True)  # noqa: T201
    began_s, output = time.monotonic(), folder / f"{part.name}.txt"
    command = [sys.executable, "-m", *(each.format(folder / f"{part.name}.json") for each in part.command)]
    with output.open("wb") as file:
        done = subprocess.run(  # noqa: S603  # commands of this module
            command, cwd=REPOSITORY, env=os.environ | part.environment, stdout=file, stderr=file, check=False
        )
    taken = f"{(time.monotonic() - began_s) / 60:.1f} minutes"
    lines = output.read_text(errors="replace").strip().splitlines()
    if done.returncode:
        print(f"✗ {part.name}: {taken}; {output}\n" + "\n".join(f"    {line}" for line in lines[-15:]))  # noqa: T201
    else:
        print(f"✓ {part.name}: {taken}; {(lines or [''])[-1]}", flush=True)  # noqa: T201
    return done.returncode == 0


def main(
    only: Annotated[str, typer.Option(help="Only these parts, with commas between.")] = "",
    folder: Annotated[Path, typer.Option(help="For the output and the figures of each part.")] = Path(".bench/soak"),
) -> None:
    """Run the parts and exit with 1 if one failed."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [part for part in PARTS if not only or part.name in only.split(",")]
    passed = [run(part, folder.absolute()) for part in chosen]
    failed = [part.name for part, good in zip(chosen, passed, strict=True) if not good]
    ending = f"; failed: {', '.join(failed)}" if failed else ""
    print(f"soak: {sum(passed)} of {len(chosen)} parts passed{ending}; figures are in {folder}")  # noqa: T201
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
