"""Finds out if msgspec still has to look at a class once a module is imported: two threads must not do so at once."""

import subprocess
import sys

_SCRIPT = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
import msgspec, msgspec._utils

def looks(obj):
    raise SystemExit(f"the types of {obj.__name__} are noted late")

msgspec._utils.get_class_annotations.__code__ = looks.__code__
for name in sys.argv[2:]:
    msgspec.json.Decoder(getattr(module, name))
"""


def noted_late(*kinds: type) -> str:
    """Return which of some classes of one module is not noted when the module is imported, or an empty text."""
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, kinds[0].__module__, *(kind.__name__ for kind in kinds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stderr
