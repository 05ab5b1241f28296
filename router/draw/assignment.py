"""Hashing a seed and a key to a bucket in [0, 10000), or to a place in a layer in [0, 1000).

Both hashes are GrowthBook's, so that a front end with their SDK draws the same arm.

- Weights and holdouts use version 2, `fnv32a(str(fnv32a(seed + unit))) mod 10000`, over UTF-16 code units. The seed's
  part of the inner hash is the same for every call of a route. `seed_state` computes it once, and `bucket` continues
  from it.
- Layers use version 1, `fnv32a(unit + seed) mod 1000`, as GrowthBook's namespaces do. There the seed comes after the
  unit, so nothing can be computed in advance.
"""

BUCKETS = 10_000
PLACES = 1_000

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def fnv32a(text: str, state: int = _OFFSET_BASIS) -> int:
    """Compute FNV-1a of 32 bits over the UTF-16 code units of `text`, continuing from `state`.

    Source: Fowler, Noll, Vo (draft-eastlake-fnv), with 16-bit units as JavaScript SDKs see a string.
    """
    units = text.encode("latin-1") if text.isascii() else _utf16_code_units(text)
    for unit in units:
        state = ((state ^ unit) * _PRIME) & _MASK
    return state


def _utf16_code_units(text: str) -> memoryview:
    return memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")


def seed_state(seed: str) -> int:
    """Return the state of the inner hash after the seed. Pass it to `bucket` with each key."""
    return fnv32a(seed)


def bucket(state: int, key: str) -> int:
    """Return the bucket in [0, 10000) of `key` under the seed whose `seed_state` is `state`."""
    return fnv32a(str(fnv32a(key, state))) % BUCKETS


def place(seed: str, key: str) -> int:
    """Return the place in [0, 1000) of `key` under `seed`, by version 1 of GrowthBook's hash."""
    return fnv32a(key + seed) % PLACES
