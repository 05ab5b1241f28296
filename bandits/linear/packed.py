"""Vectors of contexts as bytes: in the log, and in the tokens of decisions.

Each feature is two bytes, little-endian. The intercept is left out, since it is always the same. The last byte says
which form this is. It is never 0: a record of the log may end with these bytes, and zeros at the end of a segment are
space that was not used.
"""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bandits.errors import BanditError
from bandits.linear.context import MOST_FEATURES, SCALE

_KIND = np.dtype("<u2")
_FORM = b"\x01"


def pack(vector: Sequence[int]) -> bytes:
    """Return the bytes of a vector that `Context.encode` made."""
    return struct.pack(f"<{len(vector) - 1}H", *vector[1:]) + _FORM


def pack_shares(shares: Sequence[float]) -> bytes:
    """Return the bytes of a vector, given its features as shares of 1 without the intercept, as the log has them."""
    return struct.pack(f"<{len(shares)}H", *[round(share * SCALE) for share in shares]) + _FORM


def unpack(content: bytes) -> tuple[int, ...]:
    """Return the vector of these bytes.

    Raises:
        BanditError: they are not the bytes of a vector.
    """
    return tuple(unpack_each([content])[0].tolist())


def unpack_each(contents: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return vectors of the same size. Shape: (vectors, features).

    Raises:
        BanditError: there are none, or they are not the bytes of vectors of one size.
    """
    sizes = {len(content) for content in contents}
    is_form = all(content.endswith(_FORM) for content in contents)
    if len(sizes) != 1 or not is_form or not 1 < (size := sizes.pop()) < 2 * MOST_FEATURES or size % 2 == 0:
        raise BanditError("These are not the bytes of contexts of one size.")
    features = (
        np.frombuffer(b"".join([content[:-1] for content in contents]), _KIND)
        .astype(np.int64)
        .reshape(len(contents), -1)
    )
    if features.max() > SCALE:
        raise BanditError(f"A feature of a context is above {SCALE}.")
    return np.concatenate([np.full((len(contents), 1), SCALE), features], axis=1)
