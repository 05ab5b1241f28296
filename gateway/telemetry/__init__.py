"""Metrics, spans, statistics and logs, which the other rooms write to. It imports none of them."""
