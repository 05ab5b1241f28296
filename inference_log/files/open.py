"""Opens the files of the log that a setting names."""

from pathlib import Path

from inference_log.files import LogFiles
from inference_log.files.directory import DirectoryFiles
from inference_log.s3.place import is_in_s3, parse_place


def open_files(log: str, kms_key: str = "") -> LogFiles:
    """Return the files of the log in a directory, or in `s3://BUCKET/PREFIX`.

    What is written in S3 is encrypted with `kms_key`, if it is given.

    Raises:
        LogError: the place is not written correctly.
    """
    if not is_in_s3(log):
        return DirectoryFiles(Path(log))
    from inference_log.files.s3 import S3Files
    from inference_log.s3.client import connect  # boto3 is slow to import

    return S3Files(connect(), parse_place(log), kms_key)
