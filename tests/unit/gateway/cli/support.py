"""Helpers of the tests of the command line."""

from click.testing import Result

ROLLOUT = {
    "arms": {"stable": "linear:1", "canary": "linear:2"},
    "rollout": {"of": "canary", "steps": ["5%", "100%"], "every": "10m"},
}


def refused(result: Result, exit_code: int = 1) -> str:
    """Return the error of a command that must have failed."""
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("pointsman: ")
    assert "Traceback" not in result.output
    return result.stderr
