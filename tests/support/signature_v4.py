"""Checks AWS Signature Version 4, as a service does. Written from AWS's description, without any of its code.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes, urlsplit

_PATTERN = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_MOST_SKEW = timedelta(minutes=5)


class BadSignature(Exception):
    """The request is refused; the message says why."""


def check_signature(
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Mapping[str, str],
    region: str,
    service: str,
    now: datetime,
) -> str:
    """Return the access key of a request. `path` has the query, as it came; names of headers are in small letters.

    Raises:
        BadSignature: the request is not signed by a known key, for this service, now, as it is.
    """
    found = _PATTERN.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise BadSignature("no Authorization header of this kind")
    stamp = headers.get("x-amz-date", "")
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != found["day"]:
        raise BadSignature("no date")
    if abs(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - now) > _MOST_SKEW:
        raise BadSignature("the clocks differ")
    if (found["region"], found["service"]) != (region, service):
        raise BadSignature("signed for another service or region")
    if found["key"] not in secrets:
        raise BadSignature("unknown key")
    names = found["headers"].split(";")
    needed = {"host", *(name for name in headers if name.startswith("x-amz-")), *({"content-type"} & headers.keys())}
    if names != sorted(names) or not needed <= set(names):
        raise BadSignature("a header that must be signed is not")
    digest = hashlib.sha256(body).hexdigest()
    if headers.get("x-amz-content-sha256", digest) != digest:
        raise BadSignature("another body")
    parts = urlsplit(path)
    canonical = "\n".join(
        [
            method,
            quote(parts.path, safe="/-_.~"),  # every service but S3 encodes what is encoded once more
            "&".join(sorted(_pair(each) for each in parts.query.split("&"))) if parts.query else "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            found["headers"],
            digest,
        ]
    )
    scope = f"{found['day']}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secrets[found['key']]}".encode()
    for each in (found["day"], region, service, "aws4_request"):
        key = hmac.digest(key, each.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), found["signature"]):
        raise BadSignature("another signature")
    return found["key"]


def _pair(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{_encoded(name)}={_encoded(value)}"


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")
