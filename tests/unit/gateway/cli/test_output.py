"""Tables never leave anything out, whatever the width of the terminal."""

import io

import pytest
from rich.console import Console

from gateway.cli import output

COLUMNS = ["ARM", "STATE", "REASON"]
REASON = "0 of 5 (0%) requests of canary failed, against 0 of 304 (0%) of the other arms; allowed is 1% more."


@pytest.fixture
def printed(monkeypatch):
    def prints(width: int, *rows: tuple[str, ...]) -> list[str]:
        written = io.StringIO()
        monkeypatch.setattr(output, "console", Console(file=written, width=width, highlight=False))
        output.print_table(COLUMNS, rows)
        return written.getvalue().splitlines()

    return prints


def test_where_there_is_room_a_row_is_a_line(printed):
    _, line = printed(200, ("canary", "UNDECIDED", REASON))
    assert line == f"canary  UNDECIDED  {REASON}"


@pytest.mark.parametrize("width", [20, 60, 80])
def test_prose_is_folded_and_everything_else_kept_whole(printed, width):
    head, *lines = printed(width, ("canary", "UNDECIDED", REASON))
    assert head.split() == COLUMNS
    assert lines[0].startswith("canary  UNDECIDED  0 of 5")
    assert " ".join(line[19:].rstrip() for line in lines) == REASON
    assert max(map(len, lines)) <= max(width, 19 + 24)


def test_short_prose_takes_no_more_than_it_needs(printed):
    _, line = printed(20, ("canary", "UNDECIDED", "yes"))
    assert line.rstrip() == "canary  UNDECIDED  yes"


def test_a_table_without_rows_is_its_head(printed):
    (head,) = printed(80)
    assert head.split() == COLUMNS


def test_values_of_arms_are_in_one_line():
    assert output.format_by_arm({"a": "99.99%", "b": "0.01%"}) == "a=99.99% b=0.01%"
