"""What an operator declares of a route: nouns, parser, unparser."""
