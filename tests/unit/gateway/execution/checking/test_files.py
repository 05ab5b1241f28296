"""Where a process without network and credentials reads a version."""

from pathlib import Path

import pytest

from gateway.execution.checking import files
from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.directory import DirectoryRegistry
from tests.unit.registry_sync.copy.support import Remote


def test_a_directory_is_read_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.readable_registry("models", "fraud", "18") as registry:
        assert registry == str(tmp_path / "models")


@pytest.fixture
def remote(monkeypatch) -> Remote:
    made = Remote()
    made.add("fraud", "18", b"weights", b"more")
    monkeypatch.setattr(files, "open_remote", lambda _: made)
    return made


def test_another_registry_is_fetched_from_and_the_files_are_removed_afterwards(remote):
    with files.readable_registry("s3://models", "fraud", "18") as registry:
        read = DirectoryRegistry(Path(registry))
        manifest = read.manifest("fraud", "18")
        assert manifest == remote.manifest("fraud", "18")
        assert read.fetch("fraud", "18", manifest) == {"f0": b"weights", "f1": b"more"}
    assert not Path(registry).exists()


@pytest.mark.parametrize("request_", ["manifest fraud:18", "read fraud/18/f1"])
def test_a_registry_that_cannot_be_read_leaves_no_files(tmp_path, monkeypatch, remote, request_):
    def fail(request: str) -> None:
        if request == request_:
            raise RegistryUnavailable("gone")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remote.before = fail
    with pytest.raises(RegistryUnavailable), files.readable_registry("s3://models", "fraud", "18"):
        pass
    assert list(tmp_path.iterdir()) == []
