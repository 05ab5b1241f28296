"""One file per protocol: bytes in and out, nothing else."""
