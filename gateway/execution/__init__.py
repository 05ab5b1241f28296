"""One version's queue and batches, and the places where a batch can run."""
