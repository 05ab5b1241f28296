"""Predictions over HTTP/1.1."""
