"""The servers that the benchmark compares with the gateway."""
