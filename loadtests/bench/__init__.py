"""The benchmark: the gateway compared with other ways of serving the same model."""
