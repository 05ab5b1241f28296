"""What a client may make one connection hold.

Each of these bounds a buffer or a list that a client can fill. `control_frames`, `request_frames` and `streams` apply
them. Two bounds are not numbers of this module: the body that a stream may hold unread (`stream_window`, which the
caller of `Http2Connection` gives), and the unsent output. While a client does not read, the connection stops reading
from it, so requests, pings and settings arrive only as fast as the client takes the responses to them.
"""

from gateway.grpc.http2.headers import MAX_HEADER_BYTES

FRAME_BYTES = 256 * 1024
"""The longest frame that is accepted (SETTINGS_MAX_FRAME_SIZE)."""
MAX_STREAMS = 1024
"""Streams that may be open at a time (SETTINGS_MAX_CONCURRENT_STREAMS)."""
CONNECTION_WINDOW = 16 * 1024 * 1024
"""The bytes of bodies that a client may send on all streams together before it must wait for a WINDOW_UPDATE."""
MAX_BLOCK_BYTES = 2 * MAX_HEADER_BYTES
"""The longest header block, compressed, with all its CONTINUATION frames."""
MAX_RESETS = 1000
"""How many more streams may be cancelled than get a response: each costs work for nothing (CVE-2023-44487)."""
