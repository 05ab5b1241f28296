"""Everything below /api."""
