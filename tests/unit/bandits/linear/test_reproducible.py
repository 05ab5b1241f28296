"""Models, scores and weights are the same, bit for bit, with another BLAS kernel and another instruction set."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import hashlib
import numpy as np
from bandits.linear.context import Category, Context, Number
from bandits.linear.policies.epsilon_greedy import LinearEpsilonGreedy
from bandits.linear.policies.linucb import LinUCB
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.policies.thompson import LinearThompson
from bandits.linear.scorer import Scorer
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import combine, exposure

rng = np.random.Generator(np.random.PCG64(7))  # whole numbers only: they are the same everywhere
context = Context((*(Number(f"x{i}", 0, 997, 0) for i in range(10)), Category("c", ("a", "b", "c"))))
size = len(context.features)
rows = [
    context.encode([*numbers, "abcd"[word]])
    for numbers, word in zip(rng.integers(0, 998, (10_000, 10)).tolist(), rng.integers(0, 4, 10_000), strict=True)
]
models = []
for arm in range(4):
    buckets = []
    for bucket in range(3):
        parts = [exposure(row, int(rng.integers(0, 1_000_001))) for row in rows[arm + 4 * bucket : 1200 : 12]]
        buckets.append(Bucket(combine(parts, size), 0.9**bucket, 0.1 * bucket))
    models.append(solve(buckets, size, 0.7))
scorer = Scorer(models, size, with_spreads=True)
policies = (LinearThompson(0.3), LinUCB(0.25), SquareCB(10.0), LinearEpsilonGreedy(0.05))
found = hashlib.sha256(repr(models).encode())
between = 0
for row in rows:
    scores = scorer.scores(row)
    thompson = policies[0].weights(scores)
    between += 0.01 < max(thompson) < 0.99
    found.update(repr((scores, thompson, *(policy.weights(scores) for policy in policies[1:]))).encode())
print(found.hexdigest(), between)

reals = rng.integers(1, 10**6, (300, 300)) / 7
print(hashlib.sha256((reals @ reals).tobytes() + np.exp(-reals / 1e5).tobytes() + reals.sum(1).tobytes()).hexdigest())
"""
ROOT = Path(__file__).parents[4]


def outputs(**variables: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"} | variables
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.split("\n")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instruction sets of x86-64")
def test_ten_thousand_contexts_have_the_same_weights_with_other_instructions():
    mine = outputs()
    other = outputs(OPENBLAS_CORETYPE="Prescott", NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4")
    assert other[0] == mine[0]
    assert int(mine[0].split()[1]) > 1000, "Thompson must be undecided often, or its quadrature was not tried"
    assert other[1] != mine[1], "the settings must change what BLAS, exp or a sum of floats give, or nothing was shown"
