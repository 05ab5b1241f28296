"""The files of a version that a gateway fetches for its process, from a registry that is no folder."""

import pytest

from gateway.execution.process import model
from registry_sync.version import VersionKey
from runtimes.load_options import LoadOptions
from runtimes.python.folder import remove_unused


class Child:
    """A process that is not started."""


@pytest.fixture
def fetching(tmp_path, monkeypatch):
    """Return a function that starts a process, and the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(model, "version_folder", lambda *given: (given[-1] / "model.yaml").write_text("a manifest"))
    options = model.ProcessOptions("s3://models", LoadOptions())
    return lambda: model.start_model(VersionKey("m", "1", "0" * 64), options, 0), tmp_path


def test_the_files_stay_while_the_process_loads_them_and_go_when_it_has(fetching, monkeypatch):
    start, folder = fetching
    monkeypatch.setattr(model, "ChildProcess", lambda *_, **__: Child())
    child = start()
    remove_unused()  # as another process would, after this one was killed
    (file,) = folder.glob("*/m/1/model.yaml")
    assert file.read_text() == "a manifest"
    child.fetched.close()
    assert list(folder.iterdir()) == []


def test_the_files_go_if_the_process_cannot_be_started(fetching, monkeypatch):
    start, folder = fetching

    def fail(*_: object, **__: object) -> None:
        raise OSError("too many processes")

    monkeypatch.setattr(model, "ChildProcess", fail)
    with pytest.raises(OSError, match="too many"):
        start()
    assert list(folder.iterdir()) == []
