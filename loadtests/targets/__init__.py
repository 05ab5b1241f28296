"""The compared servers: how each is prepared and started."""
