"""Predictions of routes whose durability is strict: an answer is sent once its rows are in a second place."""
