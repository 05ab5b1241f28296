"""The client of S3. Region, endpoint and credentials are those that boto3 finds in the environment.

So keys, profiles, roles of an instance, IRSA and Pod Identity all work, and `AWS_ENDPOINT_URL_S3` names another store.
A call waits for an answer for `_ANSWER_S` at most, and is tried three times, with pauses that vary. The shipper tries
again after that, for as long as it takes.
"""

from typing import Any, NamedTuple

import boto3
from botocore.config import Config

PUTS_AT_ONCE = 8
"""With 1,000 routes, a segment is 1,000 objects of two requests each, and there is one a minute for each replica."""
_CONNECT_S = 5.0
_ANSWER_S = 20.0
_CONFIG = Config(
    connect_timeout=_CONNECT_S,
    read_timeout=_ANSWER_S,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=PUTS_AT_ONCE,
    s3={"addressing_style": "auto"},
)
_QUICKLY = Config(connect_timeout=2.0, read_timeout=5.0, retries={"mode": "standard", "total_max_attempts": 1})
"""For a caller who waits: an error soon is worth more than a success late."""


class Connection(NamedTuple):
    """A client for several threads, and the credentials that it uses; None if none were found."""

    client: Any
    credentials: Any


def connect(*, quickly: bool = False, **given: str) -> Connection:
    """Return a connection. `given`, such as `endpoint_url`, goes before what boto3 finds in the environment.

    With `quickly`, a call is tried once, and waits for an answer for five seconds.
    """
    session = boto3.session.Session()
    config = _CONFIG.merge(_QUICKLY) if quickly else _CONFIG
    return Connection(session.client("s3", config=config, **given), session.get_credentials())


def encryption(kms_key: str) -> dict[str, str]:
    """Return what a put says so that the object is encrypted with this key of KMS (SSE-KMS); nothing without a key."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
