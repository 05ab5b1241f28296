"""Tables as lines of text: padded by what a terminal shows, and folded where they are too wide."""

import pytest
from rich.cells import cell_len

from gateway.cli.plain_table import lay_out

COLUMNS = ["NAME", "WHY", "SERVES", "STATE"]
FOLDABLE = {"WHY", "SERVES"}
WORDS = " ".join(f"word-{number}" for number in range(12))


def test_wide_and_combining_characters_take_as_much_room_as_a_terminal_gives_them():
    head, lines = lay_out(COLUMNS, [["路由", "a", "b", "x"], ["e\u0301", "aa", "bb", "y"]], FOLDABLE, 200)
    assert {cell_len(line) for line in (head, *lines)} == {len(head), len(head) - len("STATE") + 1}
    assert [line[-1] for line in lines] == ["x", "y"]


@pytest.mark.parametrize("width", [70, 80, 100, 140, 200])
def test_the_widest_columns_are_folded_until_a_line_fits(width):
    rows = [["a", WORDS, "stable=1", "LIVE"], ["b", "short", WORDS, "GONE"]]
    head, lines = lay_out(COLUMNS, rows, FOLDABLE, width)
    assert max(map(cell_len, (head, *lines))) <= width
    assert sorted(" ".join(lines).split()) == sorted(" ".join(cell for row in rows for cell in row).split())


def test_a_word_that_is_wider_than_its_column_is_broken_and_nothing_is_lost():
    _, lines = lay_out(["WHY", "STATE"], [["x" * 100, "LIVE"]], FOLDABLE, 40)
    assert max(map(len, lines)) <= 40
    assert "".join(lines).replace(" ", "") == "x" * 33 + "LIVE" + "x" * 67
