"""The gateway's process.

Read the rooms in the order of a request: http | grpc, access, protocols,
inference, execution; then control, api, replica, cli.
"""
