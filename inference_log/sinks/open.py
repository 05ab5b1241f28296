"""Opens the sink that a setting names."""

from pathlib import Path

from inference_log.s3.place import is_in_s3, parse_place
from inference_log.sinks import Sink
from inference_log.sinks.directory import DirectorySink


def open_sink(log: str, staging: Path, kms_key: str = "") -> Sink:
    """Return the sink of a directory or of `s3://BUCKET/PREFIX`, whose files wait in `staging`.

    Raises:
        LogError: the place is not written correctly.
    """
    if not is_in_s3(log):
        return DirectorySink(Path(log))
    from inference_log.s3.client import connect  # boto3 is slow to import
    from inference_log.sinks.s3 import S3Sink

    return S3Sink(connect().client, parse_place(log), staging, kms_key)
