"""The inference protocols: bytes to tensors and tensors to bytes, without I/O."""
