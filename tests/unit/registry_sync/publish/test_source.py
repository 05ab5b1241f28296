"""The files that are published: regular ones, below the folder, without links."""

import os

import pytest

from registry_sync.publish import source
from registry_sync.publish.source import list_files, read_file, read_files
from runtimes.errors import ModelRefused


def test_a_folder_is_read_with_its_subfolders_but_without_what_is_hidden(tmp_path):
    for name in ("model.onnx", "data/weights.bin", ".git/config", "__pycache__/model.pyc", "a/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert read_files(tmp_path) == {"model.onnx": b"model.onnx", "data/weights.bin": b"data/weights.bin"}
    assert read_files(tmp_path / "model.onnx") == {"model.onnx": b"model.onnx"}


@pytest.mark.parametrize("target", ["/etc/passwd", ".", "nowhere"])
def test_links_are_refused_wherever_they_lead(tmp_path, target):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.onnx").symlink_to(target)
    with pytest.raises(ModelRefused, match="is a link"):
        list_files(tmp_path / "m")
    (tmp_path / "l").symlink_to(tmp_path / "m")
    with pytest.raises(ModelRefused, match="is a link"):
        list_files(tmp_path / "l")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelRefused, match="is no regular file"):
        read_files(tmp_path)


def test_what_is_missing_or_empty_is_said(tmp_path):
    with pytest.raises(ModelRefused, match="no file or folder"):
        list_files(tmp_path / "none")
    (tmp_path / "model.yaml").write_text("batch: 0")
    with pytest.raises(ModelRefused, match="no file of a model"):
        list_files(tmp_path)


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_MOST_FILES", 2)
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 3)
    for name in "abc":
        (tmp_path / name).write_bytes(b"1234")
    with pytest.raises(ModelRefused, match="more than 2 files"):
        list_files(tmp_path)
    with pytest.raises(ModelRefused, match="larger than 3 bytes"):
        read_file(tmp_path / "a")
