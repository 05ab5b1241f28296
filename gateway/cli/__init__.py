"""The command line, `pointsman`: one file for each group of commands. Most of them call the operators' HTTP API."""
