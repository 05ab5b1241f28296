"""What every store knows of the machines that evaluate routes."""

from collections.abc import Mapping

SILENT_S = 2.0
"""A machine that has not said for so long that it runs counts as gone. Companions say it twice a second."""

Machines = Mapping[str, frozenset[str]]
"""The machines that run, and the routes that each of them declines."""
