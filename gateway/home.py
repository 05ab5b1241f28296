"""The folder of the gateway's state. The command line reads it without the other settings, which are slow to import."""

from collections.abc import Mapping
from pathlib import Path

DEFAULT_HOME = Path("var")
_VARIABLE = "POINTSMAN_HOME"


def read_home(environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the home that the environment names, or else of the default.

    As for every setting, the case of the variable's name does not matter.
    """
    named = next((value for name, value in environ.items() if name.upper() == _VARIABLE), None)
    return absolute_home(DEFAULT_HOME if named is None else Path(named))


def absolute_home(home: Path) -> Path:
    """Return the absolute path of a home that may begin with `~`."""
    return home.expanduser().absolute()
