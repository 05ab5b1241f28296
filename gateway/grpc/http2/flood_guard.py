"""What a client may cost a connection without a call to show for it.

A ping, a reset or an empty frame costs this side more time than it costs the client. Each kind is useful now and then,
so there is no limit to their number, but to their rate: token buckets like those of nghttp2. When one is empty, the
connection ends with ENHANCE_YOUR_CALM.

- *Resets* (CVE-2023-44487, CVE-2025-8671): streams that the client has reset, has made this side reset, or opened in
  vain. An answered call does not refill the bucket, because a cheap call would then pay for each reset.
- *Control frames* (CVE-2019-9512 to 9518): pings, settings, priorities, empty frames, frames for closed streams,
  frames of unknown types, and window updates.

Clients send pings and window updates for the data that they receive, and a late frame or two for each stream. So each
DATA frame that is sent and each stream that is opened earns some control frames, as in Envoy
(`max_inbound_window_update_frames_per_data_frame_sent`).
"""

from collections.abc import Callable

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode

BURST = 1000
PER_SECOND = 33.0
PER_DATA_FRAME = 10
"""Control frames that a DATA frame earns, beside one for each KiB."""
PER_STREAM = 2
MOST_EARNED = 10_000


class FloodGuard:
    """The buckets of one connection. `earned` is how many control frames the client may send beside the bucket.

    More than `MOST_EARNED` do not count.
    """

    __slots__ = ("_control", "_resets", "earned")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.earned = 0
        self._control = _Bucket(clock)
        self._resets = _Bucket(clock)

    def count_control(self) -> None:
        """Count a control frame for which there may be a reason, such as data that the client has received.

        Raises:
            ConnectionFault: there are too many.
        """
        if self.earned > 0:
            self.earned = min(self.earned, MOST_EARNED) - 1
        else:
            self._control.take("Too many control frames.")

    def count_useless(self) -> None:
        """Count a frame that no amount of data is a reason for.

        Raises:
            ConnectionFault: there are too many.
        """
        self._control.take("Too many frames without a use.")

    def count_reset(self) -> None:
        """Count a stream that ends without a response, for which the client is to blame.

        Raises:
            ConnectionFault: there are too many.
        """
        self._resets.take("Too many streams were opened and reset.")


class _Bucket:
    """`BURST` tokens, to which `PER_SECOND` are added each second."""

    __slots__ = ("_clock", "_filled_s", "_tokens")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: float = BURST
        self._filled_s = clock()

    def take(self, reason: str) -> None:
        if self._tokens < 1:  # only now is the time asked
            now_s = self._clock()
            self._tokens = min(BURST, self._tokens + (now_s - self._filled_s) * PER_SECOND)
            self._filled_s = now_s
            if self._tokens < 1:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, reason)
        self._tokens -= 1
