"""A converter that removes the parts of a segment once the segment is stored."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from inference_log.converter import Converted, Converter, Outcome
from inference_log.errors import LogError
from inference_log.files import LogFiles
from inference_log.segment import SUFFIX
from inference_log.strict.acknowledge import marker_of
from inference_log.strict.parts import parts_by_segment, remove_parts


class CleaningConverter:
    """See `inference_log.converter.Converter`. The files of the log are opened when there is a part to remove.

    Parts that cannot be removed stay until `pointsman log recover` finds that their rows are stored. Those of a damaged
    segment stay, too: they have what the damage has cut.
    """

    def __init__(self, converter: Converter, open_log: Callable[[], LogFiles]) -> None:
        self._converter = converter
        self._open_log = cache(open_log)

    def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
        """See `Converter.convert`."""
        converted = self._converter.convert(path, expired)
        marker = marker_of(path)
        if converted.outcome is Outcome.STORED and marker.exists():
            if not converted.torn_bytes:
                self._remove(path.name.removesuffix(SUFFIX))
            with suppress(OSError):
                marker.unlink()
        return converted

    def _remove(self, segment: str) -> None:
        try:
            files = self._open_log()
            remove_parts(files, parts_by_segment(files, segment).get(segment, ()))
        except LogError as error:
            import structlog  # as slow to import as all else in the process that converts

            structlog.get_logger().warning("inference_log.parts.kept", segment=segment, error=str(error))
