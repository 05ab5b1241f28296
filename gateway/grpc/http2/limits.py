"""What a client may make one connection hold.

Each of these bounds a buffer or a list that a client can fill, or the work for one frame. Others are beside what they
bound: how often a client may send what is useless (`flood_guard`), the time that a connection takes in a turn of the
event loop (`turns`), how long nothing may move (`time_limits`), and the reserve of `receive_windows`. While a client
does not read, the connection stops reading from it, so requests, pings and settings arrive only as fast as the client
takes the responses to them.
"""

FRAME_BYTES = 256 * 1024
"""The longest frame that is accepted (SETTINGS_MAX_FRAME_SIZE)."""
MAX_STREAMS = 128
"""Streams that may be open at a time (SETTINGS_MAX_CONCURRENT_STREAMS)."""
REMEMBERED_STREAMS = 1024
"""Streams that have ended, of which late frames are recognised."""
STREAM_WINDOW = 64 * 1024
"""The bytes that a client may send of each body before this side has learnt how long it is."""
RETURN_BYTES = 1024 * 1024
"""The bytes for which a WINDOW_UPDATE of the connection is sent."""
SEND_BYTES = 64 * 1024
"""The bytes that a stream may send before it is the next stream's turn, if several wait."""
FIRST_BYTES = 256 * 1024
"""The bytes of a response that are sent at once. The rest follows as fast as the transport takes it."""
MAX_HEADER_BYTES = 16 * 1024
"""The longest list of fields of a request (SETTINGS_MAX_HEADER_LIST_SIZE), counted as in RFC 9113, section 6.5.2."""
MAX_DECODED_BYTES = 64 * 1024
"""The longest list of fields that is decoded, to refuse its request alone."""
MAX_BLOCK_BYTES = 64 * 1024
"""The longest header block, compressed, with all its CONTINUATION frames."""
MAX_CONTINUATIONS = 8
"""CONTINUATION frames of one header block (CVE-2024-28182)."""
MAX_SETTINGS = 32
"""Settings in one frame (CVE-2020-11080)."""
SMALL_BYTES = 1024
"""DATA frames below this size count as control frames if they are for streams that have ended."""
