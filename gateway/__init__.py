"""The gateway's process. Begin reading at `gateway.replica.replica`, which builds, starts and stops all parts.

A prediction takes this way: `http` or `grpc` reads the request, `inference` chooses the arm and records the decision,
`execution` runs the model. `access` checks the caller; `protocols` decodes the request and encodes the response.
A change takes this way: `api` reads the operator's command, `control` writes the document. On each replica, `control`
then builds a new live table, from which `inference` serves.
`cli` is the command line. `telemetry` has metrics, spans and logs. `eventloop` runs a request without an asyncio task.
"""
