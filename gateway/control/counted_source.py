"""What the counter of the log knows of one segment."""

import os
import threading
from pathlib import Path

from inference_log.pieces import written_end
from inference_log.record import Context, RewardContext
from inference_log.segment import SegmentRange, read_range
from inference_log.writer import CHUNK_BYTES


class CountedSource:
    """The state of one segment: where counting goes on, and the contexts of the bytes before `read_bytes`.

    `certain` is True if `end` is what the store last replied. `is_counted` is True if the last look found nothing after
    `end`. One thread at a time counts it, and holds `lock`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.end = 0
        self.certain = False
        self.is_counted = False
        self.read_bytes = 0
        self.contexts: dict[int, Context] = {}
        self.reward_contexts: dict[int, RewardContext] = {}
        self.unreadable = False

    def behind_bytes(self, path: Path) -> int:
        """Return how many bytes wait to be counted."""
        if self.is_counted or self.unreadable:
            return 0
        try:
            written = size = path.stat().st_size
            if size % CHUNK_BYTES == 0:
                written = written_end(path, max(self.end, size - CHUNK_BYTES))
        except OSError:  # it is gone, or the next tick says why it cannot be read
            return 0
        return max(0, written - self.end)

    def learn(self, piece: SegmentRange) -> None:
        """Keep the contexts of a piece for the pieces that follow."""
        self.contexts.update(piece.contexts)
        self.reward_contexts.update(piece.reward_contexts)
        self.read_bytes = max(self.read_bytes, piece.end)

    def read(self, limit_bytes: int) -> SegmentRange:
        """Read about `limit_bytes` after `end`. If another process has counted up to there, first read its contexts.

        Raises:
            OSError: the file cannot be read.
            msgspec.MsgspecError: a whole frame is not an entry.
        """
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while self.read_bytes < self.end:
                before = read_range(fd, self.read_bytes, limit_bytes)
                if before.end == self.read_bytes:
                    break  # bytes that were counted were lost in a power failure
                self.learn(before)
            piece = read_range(fd, self.end, limit_bytes)
            self.learn(piece)
            return piece
        finally:
            os.close(fd)
