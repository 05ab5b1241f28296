"""The conversion of segments in this process: which error is whose fault."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from inference_log.conversion import Conversion
from inference_log.converter import Converted, Outcome
from inference_log.errors import Interrupted, SinkConflict, SinkRefused, SinkUnavailable
from inference_log.pieces import written_end
from inference_log.sinks import Sink

_PAGE_BYTES = 4096


class LocalConverter:
    """See `inference_log.converter.Converter`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
        """See `Converter.convert`."""
        rows: list[int] = []
        conversion = Conversion(path, self._sink)
        try:
            conversion.run(expired, rows.append)
            if not conversion.has_header and written_end(path) > _PAGE_BYTES:
                return Converted(Outcome.REFUSED, sentence="its first page was lost, others were not", code="torn")
        except Interrupted as error:
            return Converted(Outcome.INTERRUPTED, sum(rows), str(error))
        except SinkUnavailable as error:
            return Converted(Outcome.UNAVAILABLE, sum(rows), str(error), code=error.code)
        except OSError as error:
            return Converted(Outcome.UNAVAILABLE, sum(rows), str(error), code="disk")
        except (SinkConflict, SinkRefused, pa.ArrowException, MemoryError) as error:
            return Converted(Outcome.FAILED, sum(rows), repr(error), code=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # the bytes may cause any error; the other segments must go on
            return Converted(Outcome.REFUSED, sum(rows), repr(error), code=type(error).__name__)
        return Converted(Outcome.STORED, sum(rows), torn_bytes=conversion.torn_bytes)
