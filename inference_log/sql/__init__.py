"""The SQL of Athena, in files: `views` and `queries`. It is Trino's dialect."""

from importlib.resources import files
from string import Template


def read_sql(kind: str, name: str, **given: str) -> str:
    """Return the SQL of a file of `views` or `queries`, with the values of its `${names}`.

    Raises:
        KeyError: a name has no value.
    """
    return Template(text_of(kind, name)).substitute(given).strip()


def text_of(kind: str, name: str) -> str:
    """Return a file of `views` or `queries` as it is."""
    return files(__package__).joinpath(kind, f"{name}.sql").read_text("utf-8")


def names_of(kind: str) -> list[str]:
    """Return the names of all files of `views` or `queries`."""
    return sorted(each.name.removesuffix(".sql") for each in files(__package__).joinpath(kind).iterdir())
