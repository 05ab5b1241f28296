"""The command line: `pointsman`. One file per group of commands; the HTTP API does the work."""
