"""Access: API keys, signed tokens, scopes and rates. Both servers ask `guard` before each request."""
