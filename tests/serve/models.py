"""Classifiers that are good, and bad in one way each. They are pickled by value: a replica cannot import the tests."""


class Canary:
    """Answers as the demo's route does on the average patient: label 1, sure of it; unless it is told otherwise.

    It fails the share `fails` of its requests, takes `takes_s` for each, and says label 0 in the share `differs`. It
    behaves while it is being tried, with numbers that are smaller than any patient's.
    """

    n_features_in_ = 30

    def __init__(self, *, fails: float = 0.0, takes_s: float = 0.0, differs: float = 0.0) -> None:
        self.fails = fails
        self.takes_s = takes_s
        self.differs = differs

    def predict_proba(self, features):
        import random
        import time

        import numpy

        is_tried = features.max() < 500
        if self.takes_s and not is_tried:
            time.sleep(self.takes_s)
        if random.random() < self.fails and not is_tried:  # noqa: S311  # no secret
            raise ArithmeticError("on purpose")
        probabilities = numpy.zeros((len(features), 2), numpy.float32)
        for row in probabilities:
            row[0 if random.random() < self.differs and not is_tried else 1] = 1  # noqa: S311  # no secret
        return probabilities

    @property
    def classes_(self):
        import numpy

        return numpy.array([0, 1])


class Crasher(Canary):
    """Ends its process, or hangs in it, after so many requests."""

    def __init__(self, after: int, how: str) -> None:
        super().__init__()
        self.after = after
        self.how = how

    def predict_proba(self, features):
        import os
        import signal
        import time

        self.after -= bool(features.max() > 500)
        if self.after < 0:
            if self.how == "hang":
                time.sleep(3600)
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().predict_proba(features)
