"""Keeps the state from other users of the machine: it holds keys' digests, secrets, and the features of requests."""

import os
from pathlib import Path

_UMASK = 0o077


def keep_files_private() -> None:
    """Let this process and its children make files with mode 600 and folders with mode 700."""
    os.umask(_UMASK)


def make_home(home: Path) -> None:
    """Make the folder for all state with mode 700. A folder that exists keeps its mode: it may serve others, too."""
    keep_files_private()
    home.mkdir(parents=True, exist_ok=True)
