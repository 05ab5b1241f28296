"""How long the log is kept: rules for S3, and the removal of old days."""
