"""Measurements of the gateway alone: steps, batches, shadows, guardrails."""
