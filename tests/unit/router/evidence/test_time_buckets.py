"""Merging buckets, for any bucket at any time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.evidence.sums import BUCKET_S
from router.evidence.time_buckets import FINENESS, block_start_s

bucket = st.integers(0, 100_000)


@given(bucket, bucket, bucket)
def test_folding_again_later_is_folding_once(start, age, later):
    start_s, newest_s = start * BUCKET_S, (start + age) * BUCKET_S
    later_s = newest_s + later * BUCKET_S
    assert block_start_s(block_start_s(start_s, newest_s), later_s) == block_start_s(start_s, later_s)


@given(bucket, bucket)
def test_a_block_begins_no_later_than_its_buckets_and_is_short_beside_its_age(start, age):
    start_s, newest_s = start * BUCKET_S, (start + age) * BUCKET_S
    block_s = block_start_s(start_s, newest_s)
    assert block_s % BUCKET_S == 0
    assert 0 <= start_s - block_s <= age * BUCKET_S / FINENESS


@pytest.mark.parametrize("buckets", [180, 8640, 259_200], ids=["half an hour", "a day", "a month"])
def test_few_blocks_are_left(buckets):
    first = 176_000_123
    newest_s = (first + buckets) * BUCKET_S
    blocks = {block_start_s((first + i) * BUCKET_S, newest_s) for i in range(buckets + 1)}
    assert len(blocks) <= FINENESS * (math.log2(buckets) + 1)


def test_the_newest_buckets_are_not_merged():
    newest_s = 1_000 * BUCKET_S
    assert [block_start_s(newest_s - i * BUCKET_S, newest_s) for i in range(FINENESS)] == [
        newest_s - i * BUCKET_S for i in range(FINENESS)
    ]
