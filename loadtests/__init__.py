"""Load tests: the gateway compared with other ways of serving the same model, and studies of its parts."""
