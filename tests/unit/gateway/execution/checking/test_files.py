"""Where a process without network and credentials reads a version."""

from pathlib import Path

import pytest

from gateway.execution.checking import files
from registry_sync.errors import RegistryUnavailable


def test_a_directory_is_read_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.readable_registry("models", "fraud", "18") as registry:
        assert registry == str(tmp_path / "models")


def test_another_registry_is_fetched_from_and_the_files_are_removed_afterwards(monkeypatch):
    monkeypatch.setattr(files, "version_folder", lambda *given: (given[-1] / "model.yaml").write_text("a manifest"))
    with files.readable_registry("s3://models", "fraud", "18") as registry:
        assert (Path(registry) / "fraud" / "18" / "model.yaml").read_text() == "a manifest"
    assert not Path(registry).exists()


def test_a_registry_that_cannot_be_read_leaves_no_files(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RegistryUnavailable("gone")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(files, "version_folder", fail)
    with pytest.raises(RegistryUnavailable), files.readable_registry("s3://models", "fraud", "18"):
        pass
    assert list(tmp_path.iterdir()) == []
