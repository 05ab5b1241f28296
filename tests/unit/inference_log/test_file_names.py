"""Names of segments and of their files tell the segment and its number, also of what was found behind damage."""

import pytest

from inference_log.file_names import number_of, parquet_name, segment_of


@pytest.mark.parametrize(
    ("segment", "number"),
    [
        ("host-0-1700000000000-00000012", 12),
        ("host-0-1700000000000-00000012~rest", 12),
        ("host-0-1700000000000-00000012~rest~rest", 12),
        ("host-0", None),
        ("w", None),
    ],
)
def test_a_file_tells_its_segment_and_that_its_number(segment, number):
    assert segment_of(f"inferences/route=r/dt=2026-01-01/{parquet_name(segment, 'ab' * 32)}") == segment
    assert number_of(segment) == number


def test_a_compacted_file_has_no_number():
    assert number_of(segment_of("inferences/route=r/dt=2026-01-01/compacted-0123456789012345-0000.parquet")) is None
