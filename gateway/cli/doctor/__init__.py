"""`pointsman doctor`: looks at what a gateway of this machine needs, one file for each part, and says what to do."""
