"""Merging old time buckets, so that a verdict has few of them to look at. Time is an argument.

A guardrail needs recent counts by the bucket, and old counts only roughly. So the older a bucket is, the longer is the
block into which it is merged. Blocks double in length, are aligned to multiples of their length, and end at least
`FINENESS` times their length ago. That leaves about `FINENESS * log2(n)` of n buckets: some 25 of half an hour, and 50
of a day.
"""

from router.evidence.sums import BUCKET_S

FINENESS = 4


def block_start_s(bucket_s: int, newest_s: int, length_s: int = BUCKET_S) -> int:
    """Return the start of the block to which a bucket belongs, as of the newest bucket. Buckets are `length_s` long.

    Merging twice gives the same as merging once at the later time, so earlier merges do not matter.
    """
    bucket, newest = bucket_s // length_s, newest_s // length_s
    length = 1
    while (bucket // (2 * length) + 1) * 2 * length - 1 + FINENESS * 2 * length <= newest:
        length *= 2
    return bucket // length * length * length_s
