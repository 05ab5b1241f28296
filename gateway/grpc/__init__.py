"""Predictions over gRPC."""
