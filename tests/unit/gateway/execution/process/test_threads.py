"""How many threads the libraries of a model's process have."""

from pathlib import Path

import pytest

from gateway.execution.checking import process
from gateway.execution.checking.messages import RegistryVersion, ToCheck
from gateway.execution.process import model
from registry_sync.version import VersionKey
from runtimes.load_options import LoadOptions


class Started(Exception):
    """A process would be started."""


OPTIONS = LoadOptions(intra_op_threads=4)


def serve(folder: Path) -> None:
    model.start_model(VersionKey("m", "1", "0" * 64), model.ProcessOptions(str(folder), OPTIONS), 0)


def check(folder: Path) -> None:
    process.check_in_process(ToCheck(RegistryVersion(str(folder), "m", "1"), OPTIONS), lambda _: None)


@pytest.mark.parametrize(("started_by", "start", "threads"), [(process, check, "1"), (model, serve, "4")])
def test_a_trial_has_one_thread_until_it_has_left_its_network(tmp_path, monkeypatch, started_by, start, threads):
    """With several threads, unshare(CLONE_NEWUSER) fails with EINVAL. OpenBLAS starts them when it is loaded."""
    given = {}

    def note(*_: object, **options: object) -> None:
        given.update(options)
        raise Started

    monkeypatch.setattr(started_by, "ChildProcess", note)
    with pytest.raises(Started):
        start(tmp_path)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    assert [given["environment"][name] for name in names] == [threads] * 3
