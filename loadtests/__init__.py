"""Load tests: the gateway measured beside other ways of serving the same model."""
