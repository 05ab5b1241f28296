"""Stored policies give the same weights on processors with other instructions and another BLAS."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace

import pytest

from bandits.policies.choose import POLICY_NAMES
from router.document.learned import policy_to_dict
from tests.support.logged_bandit import BANDIT, BEGAN_S, LoggedBandit
from tests.support.paths import ROOT

PROGRAM = """
import hashlib, json, sys
import numpy as np
from analysis.replay.policies import recomputed_slots
from bandits.estimates.estimates import Estimates
from bandits.policies.choose import choose_policy
from router.document.learned import policy_from_dict

for line in sys.stdin:
    content = policy_from_dict(json.loads(line)).content
    decisions, means, covariance = content["estimates"]
    seen = Estimates(tuple(decisions), tuple(means), tuple(map(tuple, covariance)))
    weights = choose_policy(content["policy"], content["parameters"]).weights(seen)
    print(recomputed_slots(content), [each.hex() for each in weights])
reals = np.arange(1, 90_001).reshape(300, 300) % 997 / 7
print(hashlib.sha256((reals @ reals).tobytes() + np.exp(-reals / 1e5).tobytes() + reals.sum(1).tobytes()).hexdigest())
"""
MACHINES = [
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"},
]


@pytest.fixture
def policies(tmp_path):
    """Return learned policies as they are stored: by each of the rules, with and without units."""
    stored = []
    for units in (0, 300):
        declared = BANDIT | ({"unit": "header:x-user"} if units else {})
        bandit = LoggedBandit(tmp_path / str(units), declared, {"a": 0.2, "b": 0.21, "c": 0.22})
        for at_s in range(BEGAN_S, BEGAN_S + 200, 10):
            bandit.decide(300, at_s, units)
            if bandit.learn(at_s + 10.0):
                known = bandit.known
                stored += [
                    replace(known, content=known.content | {"policy": name, "parameters": {}}) for name in POLICY_NAMES
                ]
    return [json.dumps(policy_to_dict(each)) for each in stored]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instruction sets of x86-64")
def test_weights_are_the_same_with_other_instructions(policies):
    mine, other = (outputs(policies, machine) for machine in MACHINES)
    assert len(mine) == len(policies) + 1 > 100
    assert other[:-1] == mine[:-1]
    assert len(set(mine)) > len(policies) / 4, "the policies must differ, or little was shown"
    assert other[-1] != mine[-1], "the settings must change what BLAS, exp or a sum of floats give"


def outputs(policies, machine):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"} | machine
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], input="\n".join(policies), env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return result.stdout.splitlines()
