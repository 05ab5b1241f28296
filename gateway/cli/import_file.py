"""A file that a command reads: on this machine, or in a bucket of S3, from which it is copied first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import GatewayError

_PIECE_BYTES = 1024 * 1024


class NoFile(GatewayError):
    """There is no such file, or it cannot be read."""


@contextmanager
def local_file(file: str, folder: Path) -> Iterator[Path]:
    """Yield the path of a file. One of S3 is copied into `folder`; credentials are found as boto3 finds them.

    Raises:
        NoFile: it cannot be read.
    """
    if not file.startswith("s3://"):
        if not Path(file).is_file():
            raise NoFile(f"There is no file {file}.")
        yield Path(file)
        return
    bucket, _, key = file.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise NoFile(f"{file} names no object; write s3://BUCKET/KEY.")
    path = folder / Path(key).name
    _copy(bucket, key, path)
    yield path


def _copy(bucket: str, key: str, path: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    from registry_sync.registries.s3 import s3_client

    try:
        body = s3_client().get_object(Bucket=bucket, Key=key)["Body"]
        with path.open("wb") as copy:
            for piece in body.iter_chunks(_PIECE_BYTES):
                copy.write(piece)
    except (BotoCoreError, ClientError) as error:
        raise NoFile(f"s3://{bucket}/{key} cannot be read: {error}") from error
