"""Who may do what: API keys and signed tokens, scopes, rates. `guard` is what the doors ask."""
