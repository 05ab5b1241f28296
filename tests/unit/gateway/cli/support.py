"""Helpers for tests of the command line."""

from click.testing import Result


def refused(result: Result, exit_code: int = 1) -> str:
    """Return the one line that a failed command writes."""
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("pointsman: ")
    assert "Traceback" not in result.output
    return result.stderr
