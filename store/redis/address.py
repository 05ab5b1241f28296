"""The address of a Redis store, read from its URL.

    redis://[user:password@]host[:port][/db]
    redis+sentinel://[user:password@]host[:port],host[:port]/service[/db]
    redis+cluster://[user:password@]host[:port],host[:port]

With `rediss` instead of `redis` all connections are encrypted. These options may follow after a question mark:
`prefix` of all keys; with `rediss` the files `ca`, `certificate` and `key`; with Sentinel `sentinel_user` and
`sentinel_password`. A URL may hold passwords, so no error sentence repeats any part of it.

redis-py's `parse_url` is not used. It knows neither Sentinels nor clusters. It takes a missing host for localhost and a
database that is not a number for 0, drops everything after a `#`, and passes unknown options on to the client.
"""

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

FORMS = (
    "redis://user:password@host:6379/0, rediss://... (encrypted; ?ca=FILE), "
    "redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379,host:6379"
)
_PREFIX = "pointsman"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Topology(StrEnum):
    """The arrangement of the servers of a store."""

    SINGLE = "redis"
    SENTINEL = "redis+sentinel"  # the nodes are Sentinels; they know the master
    CLUSTER = "redis+cluster"


_PORTS = {Topology.SINGLE: 6379, Topology.SENTINEL: 26379, Topology.CLUSTER: 6379}
_TLS_KEYS = ("ca", "certificate", "key")
_SENTINEL_KEYS = ("sentinel_user", "sentinel_password")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A URL, parsed. Passwords stay out of its `repr`."""

    topology: Topology
    nodes: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    prefix: str = _PREFIX

    def __str__(self) -> str:
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)

    def without_secrets(self, text: str) -> str:
        """Return a text of the server or of redis-py with the passwords removed."""
        for secret in (self.password, self.sentinel_password):
            if secret:
                text = text.replace(secret, "…")
        return text


def plain_remote_nodes(url: str) -> list[str]:
    """Return the hosts of a store to which passwords and documents would go over a network without encryption."""
    if not is_redis_url(url):
        return []
    address = parse_redis_url(url)
    return [] if address.tls else [host for host, _ in address.nodes if not _is_loopback(host)]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_redis_url(url: str) -> bool:
    """Return True if the scheme is one of the six for Redis."""
    scheme = url.partition("://")[0].lower()
    return scheme.removesuffix("+sentinel").removesuffix("+cluster") in ("redis", "rediss")


def parse_redis_url(url: str) -> RedisAddress:
    """Parse a URL for which `is_redis_url` is True.

    Raises:
        ValueError: the URL is malformed. The sentence says what is wrong and repeats nothing that may be secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong("its brackets must hold an IPv6 address") from None
    if parts.fragment:
        raise _wrong("it has a #, which in a user or password is written %23")
    encrypted = parts.scheme.startswith("rediss")
    topology = Topology(parts.scheme.replace("rediss", "redis", 1))
    nodes = tuple(_node(node, _PORTS[topology]) for node in _nodes(parts, topology))
    user, password = _credentials(parts)
    options = _options(parts, topology, encrypted)
    service, db = _path(parts, topology)
    return RedisAddress(
        topology=topology,
        nodes=nodes,
        tls=encrypted,
        service=service,
        db=db,
        user=user,
        password=password,
        **options,
    )


def _wrong(what: str) -> ValueError:
    return ValueError(f"POINTSMAN_STORE names a Redis store, but {what}. It must look like {FORMS}.")


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    given = parts.netloc.rpartition("@")[0]
    user, _, password = given.partition(":")
    if user and not password:
        raise _wrong("it has a user without a password; a password alone is written :password@")
    return unquote(user) or None, unquote(password) or None


def _nodes(parts: SplitResult, topology: Topology) -> list[str]:
    nodes = parts.netloc.rpartition("@")[2].split(",")
    if topology is Topology.SINGLE and len(nodes) > 1:
        raise _wrong("several hosts need redis+sentinel:// or redis+cluster://")
    return nodes


def _node(node: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{node}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _wrong("a port is not a number up to 65535 (a / or @ in a password is written %2F or %40)") from None
    if not host:
        raise _wrong("a host is missing")
    return host, default_port if port is None else port


def _path(parts: SplitResult, topology: Topology) -> tuple[str, int]:
    """Return the service and the number of the database."""
    steps = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if topology is Topology.CLUSTER:
        if steps not in ([], ["0"]):
            raise _wrong("a cluster has no database but 0")
        return "", 0
    service = ""
    if topology is Topology.SENTINEL:
        if not steps:
            raise _wrong("the name of the service is missing, which the Sentinels know the master by")
        service = unquote(steps.pop(0))
    if len(steps) > 1 or not all(step.isascii() and step.isdigit() for step in steps):
        raise _wrong("the database must be a number, such as /0")
    return service, int(steps[0]) if steps else 0


def _options(parts: SplitResult, topology: Topology, encrypted: bool) -> dict[str, str]:
    known = {
        "prefix",
        *(_TLS_KEYS if encrypted else ()),
        *(_SENTINEL_KEYS if topology is Topology.SENTINEL else ()),
    }
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not known >= options.keys():
        allowed = ", ".join(sorted(known))
        raise _wrong(f"there is something else behind its question mark than {allowed} (in a password, ? is %3F)")
    if empty := [name for name, value in options.items() if not value]:
        raise _wrong(f"{' and '.join(sorted(empty))} is empty")
    if not set(options.get("prefix", _PREFIX)) <= _NAME:
        raise _wrong("its prefix may have letters, digits, dots, dashes and underscores only")
    if ("certificate" in options) != ("key" in options):
        raise _wrong("certificate and key belong together")
    return options
