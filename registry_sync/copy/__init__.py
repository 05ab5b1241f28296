"""A machine's copy of what it needs from a remote registry: written by the companion, read by everything else.

`<home>/registry` has `blobs` (files by their sha256), `names` (what the registry said last, a file a model), `wanted`
(what a process of this machine waits for), `state.json` (how the last look went) and, for a moment, `hurry`, which asks
for a look at once.
"""

from pathlib import Path

FOLDER = "registry"
HURRY = "hurry"


def copy_folder(home: Path) -> Path:
    """Return the folder of the copy in a home."""
    return home / FOLDER


def hurry(home: Path) -> None:
    """Ask the companion to look at the registry now.

    Raises:
        OSError: the file cannot be written.
    """
    folder = copy_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HURRY).touch()
