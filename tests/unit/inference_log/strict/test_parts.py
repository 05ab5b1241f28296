"""Parts make the beginning of their segment again, whatever was put twice or is missing."""

import pytest

from inference_log.errors import LogUnavailable
from inference_log.file_names import STRICT_FOLDER, part_key, part_of
from inference_log.files.directory import DirectoryFiles
from inference_log.strict.parts import parts_by_segment, read_parts, remove_parts


@pytest.fixture
def files(tmp_path) -> DirectoryFiles:
    return DirectoryFiles(tmp_path)


def put(files: DirectoryFiles, segment: str, *parts: tuple[int, bytes]) -> None:
    for begin, content in parts:
        files.write(part_key(segment, begin, begin + len(content)), content)


def read(files: DirectoryFiles, segment: str = "w-00000000") -> bytes:
    return read_parts(files, parts_by_segment(files, segment).get(segment, []))


def test_a_key_tells_the_part_and_nothing_else_is_one():
    assert part_of(part_key("h.local-0-1-00000012", 0, 138)) == ("h.local-0-1-00000012", 0, 138)
    assert part_of(f"{STRICT_FOLDER}w/readme") is None
    assert part_of("inferences/route=r/dt=2026-01-01/w-00000000-00000000.parquet") is None


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([(0, b"abc"), (3, b"def")], b"abcdef"),
        ([(0, b"abc"), (0, b"abcde"), (5, b"f")], b"abcdef"),
        ([(0, b"abcd"), (2, b"cdef"), (1, b"bc")], b"abcdef"),
        ([(0, b"abc"), (4, b"ef")], b"abc"),
        ([(3, b"def")], b""),
        ([], b""),
    ],
    ids=["in order", "put again with more", "overlapping", "a gap", "no beginning", "none"],
)
def test_the_beginning_is_made_again_up_to_what_no_part_has(files, parts, content):
    put(files, "w-00000000", *parts)
    assert read(files) == content


def test_parts_are_listed_by_segment_and_removed_from_the_end(files, tmp_path):
    put(files, "w-00000000", (0, b"a"), (1, b"b"))
    put(files, "w-00000001", (0, b"c"))
    (tmp_path / STRICT_FOLDER / "readme").write_text("no part")
    found = parts_by_segment(files)
    assert {name: len(parts) for name, parts in found.items()} == {"w-00000000": 2, "w-00000001": 1}
    removed: list[str] = []
    files.remove = removed.append  # type: ignore[method-assign]
    remove_parts(files, found["w-00000000"])
    assert [part_of(key)[1] for key in removed] == [1, 0]


def test_a_part_that_is_shorter_than_its_name_says_is_not_used(files):
    files.write(part_key("w-00000000", 0, 5), b"abc")
    with pytest.raises(LogUnavailable, match="3 bytes"):
        read(files)


def test_a_part_that_goes_while_it_is_read_ends_the_beginning(files):
    put(files, "w-00000000", (0, b"a"), (1, b"b"))
    listed = parts_by_segment(files)["w-00000000"]
    files.remove(listed[1].key)
    assert read_parts(files, listed) == b"a"
