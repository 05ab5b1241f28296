"""Model versions from a registry: references resolved, artifacts verified and loaded. It never moves traffic."""
