"""Machines that ship into one log."""

import pytest

from tests.unit.inference_log.completeness.support import Machine


@pytest.fixture
def machine(tmp_path, make_record, make_context):
    """Return a function that makes a machine. All of them share a log."""
    return lambda name="here": Machine(tmp_path / "log", tmp_path / name, make_record, make_context())
