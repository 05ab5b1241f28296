"""Classifiers that are good, and bad in one way each.

They have the demo model's signature: 30 features, labels 0 and 1. They are pickled together with this module, because
a replica cannot import the tests.
"""

import os
import random
import signal
import time
from typing import Any

import numpy as np

RAISE, TOO_FEW, LATE, DIE, HANG = 1, 2, 3, 4, 5
"""What the first feature of a request can make a `Mischief` do."""


def is_patient(features: Any) -> bool:
    """Return False for the rows with which a version is tried: some are zero, small, negative or missing."""
    return bool(features.max() >= 500 and features.min() >= 0)


class _Classifier:
    n_features_in_ = 30

    @property
    def classes_(self) -> Any:
        return np.array([0, 1])


class Canary(_Classifier):
    """Answers as the demo's route does on the average patient: label 1 with certainty, by default.

    It fails the share `fails` of its requests, takes `takes_s` for each, and answers label 0 in the share `differs`.
    It behaves while it is tried out at loading, with numbers that are smaller than any patient's.
    """

    def __init__(self, *, fails: float = 0.0, takes_s: float = 0.0, differs: float = 0.0) -> None:
        self.fails = fails
        self.takes_s = takes_s
        self.differs = differs

    def predict_proba(self, features: Any) -> Any:
        is_tried = not is_patient(features)
        if self.takes_s and not is_tried:
            time.sleep(self.takes_s)
        if random.random() < self.fails and not is_tried:  # noqa: S311  # not a secret
            raise ArithmeticError("on purpose")
        probabilities = np.zeros((len(features), 2), np.float32)
        for row in probabilities:
            row[0 if random.random() < self.differs and not is_tried else 1] = 1  # noqa: S311  # not a secret
        return probabilities


class Crasher(Canary):
    """Ends its process, or hangs in it, after so many requests."""

    def __init__(self, after: int, how: str) -> None:
        super().__init__()
        self.after = after
        self.how = how

    def predict_proba(self, features: Any) -> Any:
        self.after -= is_patient(features)
        if self.after < 0:
            if self.how == "hang":
                time.sleep(3600)
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().predict_proba(features)


class Mischief(_Classifier):
    """Does what the first feature of a row orders; otherwise it answers label 1."""

    def predict_proba(self, features: Any) -> Any:
        probabilities = np.zeros((len(features), 2), np.float32)
        probabilities[:, 1] = 1
        for order in features[:, 0]:
            if order == RAISE:
                raise ArithmeticError("on purpose")
            if order == TOO_FEW:
                return probabilities[:0]
            if order == LATE:
                time.sleep(10)
            if order == DIE:
                hoard = [bytearray(1 << 20) for _ in range(200)]  # as the kernel ends a process without memory
                os.kill(os.getpid(), signal.SIGKILL)
                del hoard
            if order == HANG:
                time.sleep(3600)
        return probabilities
