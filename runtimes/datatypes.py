"""The Open Inference Protocol's datatypes and NumPy's names for them. Decides."""

from typing import Any

import numpy as np

Tensor = np.ndarray[Any, np.dtype[Any]]

NUMPY_OF: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
NAME_OF = {dtype: name for name, dtype in NUMPY_OF.items()}
"""Datatype by NumPy dtype; the inverse of `NUMPY_OF`."""
