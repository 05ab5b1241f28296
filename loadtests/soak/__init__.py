"""Long runs against one gateway: bodies of every size and kind, half-open connections, a million requests."""
