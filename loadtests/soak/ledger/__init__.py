"""The log on a real S3 server that fails in every way, while processes are killed, and what is in it afterwards."""
