"""Vectors as bytes, and the sums of many vectors at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.errors import BanditError
from bandits.linear.context import MOST_FEATURES, SCALE
from bandits.linear.packed import pack, unpack, unpack_each
from bandits.linear.sums import (
    MILLION,
    changed,
    combine,
    difference,
    exposure,
    exposures,
    from_integers,
    integers_of,
    rewarded_exposures,
)  # fmt: skip

rows_of_a_size = st.integers(1, 5).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, SCALE), min_size=size, max_size=size), min_size=1, max_size=6)
)
features = st.lists(st.integers(0, SCALE), min_size=1, max_size=MOST_FEATURES - 1)


@given(features)
def test_a_vector_is_read_back_as_it_was(values):
    vector = (SCALE, *values)
    assert unpack(pack(vector)) == vector
    assert len(pack(vector)) == 2 * len(values) + 1
    assert pack(vector)[-1]  # zeros at the end of a segment are no record


@given(rows_of_a_size, st.integers(0, MILLION))
def test_many_decisions_add_what_each_of_them_adds(rows, reward):
    vectors = [(SCALE, *row) for row in rows]
    together = exposures(unpack_each([pack(each) for each in vectors]), reward)
    assert together == combine([exposure(each, reward) for each in vectors], len(vectors[0]))
    assert all(type(each) is int for each in integers_of(together))


@pytest.mark.parametrize(
    "contents",
    [
        [],
        [b""],
        [b"\x01"],
        [b"\x01\x01"],
        [bytes(3)],
        [b"\0\0\x01", b"\0\0\0\0\x01"],
        [b"\xff\xff\x01"],
        [bytes(126) + b"\0\0\x01"],
    ],
)
def test_bytes_that_are_no_vectors_are_refused(contents):
    with pytest.raises(BanditError):
        unpack_each(contents)


def test_the_integers_of_a_sum_add_up_one_by_one():
    one, other = exposure((SCALE, 3), 250_000), difference((SCALE, 3), 250_000, MILLION)
    added = tuple(np.add(integers_of(one), integers_of(other)).tolist())
    assert from_integers(added, 2) == combine([one, other], 2)
    assert other == changed((SCALE, 3), other.total, other.squares)
    with pytest.raises(BanditError, match="not that of 3 features"):
        from_integers(added, 3)


@given(rows_of_a_size, st.integers(0, 2**32))
def test_rewards_that_are_known_add_up_as_if_decision_by_decision(rows, seed):
    vectors = np.array([[SCALE, *row] for row in rows], np.int64)
    rewards = np.random.default_rng(seed).integers(0, MILLION + 1, len(rows))
    each = [exposure(vector, reward) for vector, reward in zip(vectors.tolist(), rewards.tolist(), strict=True)]
    assert rewarded_exposures(vectors, rewards) == combine(each, vectors.shape[1])
