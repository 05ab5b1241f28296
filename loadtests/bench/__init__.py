"""The gateway beside other ways of serving the same model."""
