"""What commands print: tables for people, JSON for programs, one sentence for an error."""

import io
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console

from analysis.errors import AnalysisRefused
from gateway.cli.api_error import ApiError, last_answered
from gateway.cli.plain_table import lay_out
from gateway.cli.printable import printable, printable_json, printable_lines
from gateway.errors import GatewayError
from inference_log.errors import LogError
from registry_sync.errors import RegistryError
from router.errors import RouterError
from runtimes.errors import RuntimesError
from store.errors import StoreError

_FULL_WIDTH = 10_000
_PROSE = frozenset({"WHY", "REASON", "PROBLEMS", "APPLIED", "WEIGHTS", "SERVES", "SHADOWS"})
"""The columns that are folded where a line is too long for the terminal."""


_ERRORS = (
    AnalysisRefused, ApiError, GatewayError, LogError, RegistryError, RouterError, RuntimesError, StoreError, OSError,
    ValueError,
)  # fmt: skip
"""What commands raise, with a sentence for the operator."""


# Text that operators wrote, such as a reason, is printed unchanged: rich must not interpret square brackets in it.
class _PlainConsole(Console):
    """A console that prints the control characters in a text as escapes."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; see `Console.print`."""
        super().print(*[printable_lines(each) if isinstance(each, str) else each for each in objects], **options)


_is_terminal = sys.stdout is not None and sys.stdout.isatty()  # it is None if the shell has closed it
console = _PlainConsole(highlight=False, markup=False, emoji=False, width=None if _is_terminal else _FULL_WIDTH)


def print_json(value: Any) -> None:
    """Print one JSON value. NaN and infinities become null, because JSON cannot represent them."""
    content = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    typer.echo(printable_json(content.decode(), getattr(sys.stdout, "encoding", None) or "ascii"))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a plain table.

    On a terminal the columns of `_PROSE` are folded. Nothing is left out: where folding is not enough, the terminal
    breaks the lines.
    """
    texts = [["" if value is None else printable(str(value)) for value in row] for row in rows]
    head, lines = lay_out([printable(column) for column in columns], texts, _PROSE, console.width)
    console.out(head, style="bold", highlight=False)
    if lines:
        console.out("\n".join(lines), highlight=False)


def say(text: str, *, err: bool = False) -> None:
    """Print a text, with the control characters in it as escapes."""
    typer.echo(printable_lines(text), err=err)


def format_by_arm(values: Mapping[str, str]) -> str:
    """Write a value of each arm, as in `stable=95% canary=5%`."""
    return " ".join(f"{arm}={value}" for arm, value in values.items())


def escape_what_cannot_be_printed() -> None:
    """Let text that the terminal's encoding lacks be printed as escapes. Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def errors_printed(exit_code: int = 1) -> Generator[None, None, None]:
    """Print an error that a package raises as one line on standard error, and exit. It is a decorator, too.

    An error may have an exit code of its own.
    """
    try:
        yield
    except BrokenPipeError:  # what reads the output, such as `head`, has enough; Typer ends the process quietly
        raise
    except (LookupError, TypeError, AttributeError) as error:
        stranger = last_answered()
        if stranger is None:
            raise
        say(
            f"pointsman: What answers at {printable(stranger)} is no gateway, or one of another version: its answer "
            f"cannot be read ({printable(repr(error))}).",
            err=True,
        )
        raise typer.Exit(exit_code) from error
    except _ERRORS as error:
        say(f"pointsman: {_sentence(error)}", err=True)
        raise typer.Exit(getattr(error, "exit_code", exit_code)) from error


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}."
    return printable(str(error)) if isinstance(error, ApiError) else str(error)


class Progress:
    """Prints each step when it begins, and how long it took when it ends."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._step = ""

    def step(self, text: str) -> None:
        """Begin a step, unless it is the current one already."""
        if text == self._step:
            return
        self.done()
        self._step, self._began_s = text, time.monotonic()
        say(f"· {text} …", err=True)

    def done(self) -> None:
        """End the current step, if there is one."""
        if self._step:
            say(f"✓ {self._step} ({time.monotonic() - self._began_s:.1f} s)", err=True)
        self._step = ""
