"""The state of one route, and every command that changes it."""
