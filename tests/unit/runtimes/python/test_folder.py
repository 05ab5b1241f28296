"""The private folder of a version: its files, and its end."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runtimes.python.folder import private_folder, remove_unused, temporary_folder

MAKE = """
import sys
from runtimes.python.folder import private_folder
print(private_folder({"a/b.txt": b"hello"}), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    tempfile.tempdir = None


FOR_A_WHILE = """
import sys
from runtimes.python.folder import temporary_folder
with temporary_folder() as folder:
    (folder / "file").write_text("hello")
    print(folder, flush=True)
    sys.stdin.read()
"""


def start(make: str = MAKE) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", make],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.communicate()


def test_it_holds_the_files_and_only_its_user_may_read_it():
    process, folder = start()
    assert (folder / "a" / "b.txt").read_bytes() == b"hello"
    assert folder.stat().st_mode & 0o777 == 0o700
    end(process)
    assert not folder.exists()


def test_a_folder_for_a_while_is_removed_after_it(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with temporary_folder() as folder:
        (folder / "file").touch()
        assert folder.stat().st_mode & 0o777 == 0o700
        remove_unused()
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("make", [MAKE, FOR_A_WHILE])
def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(make):
    killed, left = start(make)
    living, used = start(make)
    killed.send_signal(signal.SIGKILL)
    end(killed)
    assert left.exists()
    mine = private_folder({})
    assert (left.exists(), used.exists(), mine.exists()) == (False, True, True)
    end(living)


def test_what_looks_like_a_folder_of_ours_and_is_none_is_left_alone(tmp_path):
    (tmp_path / "pointsman-model-file").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pointsman-model-link").symlink_to(tmp_path / "elsewhere")
    private_folder({})
    assert {"pointsman-model-file", "pointsman-model-link", "elsewhere"} <= {each.name for each in tmp_path.iterdir()}
