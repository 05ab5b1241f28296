"""ONNX Runtime in a Python loop: the model's speed without a server and a network.

It prints one line in the format of `post.lua`, so its figures are read in the same way.
"""

import json
import sys
import time
from pathlib import Path

from loadtests.bench.figures import MICROSECONDS_PER_S, percentile
from loadtests.bench.payload import table
from loadtests.servers.onnx_session import open_session


def main(model: str, file: str, rows: int, duration_s: float) -> None:
    """Call the model on the same rows for `duration_s` seconds, and print the figures."""
    session, batch, taken_us = open_session(Path(file)), table(model, rows), []
    began_s = last_s = time.perf_counter()
    while last_s - began_s < duration_s:
        session.run(None, {"X": batch})
        now_s = time.perf_counter()
        taken_us.append((now_s - last_s) * MICROSECONDS_PER_S)
        last_s = now_s
    taken_us.sort()
    percentiles = {f"p{rank}_us": percentile(taken_us, rank) for rank in (50, 90, 99)}
    duration_us = (last_s - began_s) * MICROSECONDS_PER_S
    summary = {"requests": len(taken_us), "duration_us": duration_us, **percentiles, "max_us": taken_us[-1]}
    sys.stdout.write(json.dumps({**summary, "failures": {}}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
