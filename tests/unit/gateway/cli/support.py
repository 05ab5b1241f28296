"""Helpers of the tests of the command line."""

from click.testing import Result

ROLLOUT = {
    "arms": {"stable": "linear:1", "canary": "linear:2"},
    "rollout": {"of": "canary", "steps": ["5%", "100%"], "every": "10m"},
}


def refused(result: Result, exit_code: int = 1) -> str:
    """Return the error of a command that must have failed, without the progress that a slow machine sees before it."""
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    said = without_progress(result.stderr)
    assert said.startswith("pointsman: ")
    return said


def without_progress(stderr: str) -> str:
    """Return what a command said beside its progress."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith(("· ", "✓ ")))
