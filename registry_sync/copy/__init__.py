"""A machine's copy of what it needs from a remote registry: written by the companion, read by everything else.

`<home>/registry` has a folder for each URL of a registry, so that nothing is taken for what another one holds. It has
`blobs` (files by their sha256), `names` (what the registry said last, a file a model), `wanted` (what a process of this
machine waits for) and `state.json` (how the last look went). Beside it is, for a moment, `hurry`, which asks for a look
at once.
"""

import hashlib
import shutil
import time
from contextlib import suppress
from pathlib import Path

_FOLDER = "registry"
_HURRY = "hurry"
STATE = "state.json"
_UNUSED_FOR_S = 86_400.0


def copy_folder(home: Path, url: str) -> Path:
    """Return the folder of the copy of a registry in a home."""
    return home / _FOLDER / hashlib.sha256(url.encode()).hexdigest()[:16]


def hurry_file(root: Path) -> Path:
    """Return the file that asks the companion to look at the registry now, for the folder of a copy."""
    return root.parent / _HURRY


def remove_other_copies(root: Path) -> None:
    """Remove the copies of other registries that no companion has kept for a day.

    One without a state counts as kept when its folder was changed last: its companion was ended before the first look.
    """
    before_s = time.time() - _UNUSED_FOR_S
    for folder in root.parent.glob("*/"):
        with suppress(OSError):
            state = folder / STATE
            kept = state if state.exists() else folder
            if folder != root and kept.stat().st_mtime < before_s:
                shutil.rmtree(folder)
