"""The gateway's process. Begin reading at `gateway.replica.replica`, which builds, starts and stops all parts.

A prediction takes this way: `http` or `grpc` read the request, `inference` chooses the arm and records the decision,
`execution` runs the model. `protocols` decodes and encodes; `access` checks the caller.
A change takes this way: `api` reads the operator's request, `control` writes the document and, on each replica, builds
the new live table, `inference` serves from it.
`cli` is the command line, `telemetry` the metrics and logs, `eventloop` what requests share of the event loop.
"""
