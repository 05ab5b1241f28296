"""How many threads the libraries of a model's process have."""

import pytest

from gateway.execution.process import model
from registry_sync.version import VersionKey
from runtimes.load_options import LoadOptions


class Child:
    """A process that is not started."""


@pytest.mark.parametrize(("folder", "threads"), [("trial", "1"), (None, "4")])
def test_a_trial_has_one_thread_until_it_has_left_its_network(tmp_path, monkeypatch, folder, threads):
    """With several threads, unshare(CLONE_NEWUSER) fails with EINVAL. OpenBLAS starts them when it is loaded."""
    given = {}
    monkeypatch.setattr(model, "ChildProcess", lambda *_, **options: given.update(options) or Child())
    options = model.ProcessOptions(str(tmp_path), LoadOptions(intra_op_threads=4))
    model.start_model(VersionKey("m", "1", "0" * 64), options, 0, trial_folder=folder)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    assert [given["environment"][name] for name in names] == [threads] * 3
