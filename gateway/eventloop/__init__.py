"""Stepping coroutines without tasks, and work at the end of a loop iteration."""
