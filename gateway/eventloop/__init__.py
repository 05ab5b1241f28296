"""Coroutines that are stepped without tasks, and work at the end of a turn of the event loop."""
