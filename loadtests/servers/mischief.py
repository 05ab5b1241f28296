"""A classifier that misbehaves as a shadow: it is slow, or it ends its process."""

import os
import signal
import time

import numpy as np

_TRIED_WITH_LESS = 500


class Mischief:
    """A classifier that sleeps `takes_s` in each batch, and crashes after `crashes_after` batches if that is given.

    It behaves well while the loader tries it, which uses smaller numbers than any patient's.
    """

    n_features_in_ = 30

    def __init__(self, *, takes_s: float = 0.0, crashes_after: int | None = None) -> None:
        self.classes_ = np.array([0, 1])
        self._takes_s = takes_s
        self._left = crashes_after

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return label 1 with probability 1."""
        if features.max() > _TRIED_WITH_LESS:
            time.sleep(self._takes_s)
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    os.kill(os.getpid(), signal.SIGSEGV)
        probabilities = np.zeros((len(features), 2), np.float32)
        probabilities[:, 1] = 1
        return probabilities
