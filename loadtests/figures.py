"""Prints the figures of a study."""

import json
from collections.abc import Mapping

import typer
from rich.console import Console
from rich.table import Table


def print_figures(figures: Mapping[str, float], *, as_json: bool) -> None:
    """Print figures by name, as JSON or as a table."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    table = Table("figure", "value", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
