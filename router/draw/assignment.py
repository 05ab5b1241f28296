"""Turns a seed and a key into a bucket in [0, 10000), or into a place in a layer. Decides.

Both hashes are GrowthBook's, so that a front end with their SDK decides alike. Weights and holdouts use version 2,
`fnv32a(str(fnv32a(seed + unit))) mod 10000`, over UTF-16 code units. The seed's part of the inner hash is the
same for every call of a route, so it is computed once (`seed_state`) and continued (`bucket`). Layers use version 1,
`fnv32a(unit + seed) mod 1000`, as their namespaces do; with its seed behind the unit there is nothing to keep.
"""

BUCKETS = 10_000
PLACES = 1_000

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def fnv32a(text: str, state: int = _OFFSET_BASIS) -> int:
    """FNV-1a, 32 bits, over the UTF-16 code units of `text`, continuing from `state`.

    Source: Fowler, Noll, Vo (draft-eastlake-fnv), with 16-bit units as JavaScript SDKs see a string.
    """
    units = text.encode("latin-1") if text.isascii() else _utf16_code_units(text)
    for unit in units:
        state = ((state ^ unit) * _PRIME) & _MASK
    return state


def _utf16_code_units(text: str) -> memoryview:
    return memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")


def seed_state(seed: str) -> int:
    """The inner hash after the seed: pass it to `bucket` with each key."""
    return fnv32a(seed)


def bucket(state: int, key: str) -> int:
    """The bucket in [0, 10000) of `key` under the seed whose `seed_state` is `state`."""
    return fnv32a(str(fnv32a(key, state))) % BUCKETS


def place(seed: str, key: str) -> int:
    """The place in [0, 1000) of `key` under `seed`: GrowthBook's hash, version 1."""
    return fnv32a(key + seed) % PLACES
