"""How the log talks to S3: the place, the client, and what its errors mean. Only this room imports boto3."""
