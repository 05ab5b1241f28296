"""How old buckets of time are merged, so that a verdict looks at few of them. Decides; time is an argument.

A guardrail wants to know what happened lately by the bucket, and what happened long ago only roughly. So the older
a bucket, the longer the block that it is merged into: blocks double in length, are aligned to multiples of their
length, and end at least `FINENESS` times their length ago. That leaves about `FINENESS * log2(n)` of n buckets: some
25 of half an hour, 50 of a day.
"""

from router.evidence.sums import BUCKET_S

FINENESS = 4


def folded(bucket_s: int, newest_s: int) -> int:
    """When the block begins that a bucket belongs to, as of the newest bucket.

    Folding again later gives what folding once at the later time gives, so it does not matter who has folded when.
    """
    bucket, newest = bucket_s // BUCKET_S, newest_s // BUCKET_S
    length = 1
    while (bucket // (2 * length) + 1) * 2 * length - 1 + FINENESS * 2 * length <= newest:
        length *= 2
    return bucket // length * length * BUCKET_S
