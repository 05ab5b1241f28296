"""The client of redis-py for an address, and plain sentences for its errors."""

from typing import Any, Protocol, cast

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  # not the built-in one
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,  # noqa: A004  # not the built-in one
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from store.redis.address import RedisAddress, Topology

TIMEOUT_S = 1.0
"""How long a server may take to accept a connection, and to reply."""
ERRORS = (RedisError, RedisClusterException, OSError)
"""Everything that a client raises when a store does not reply as it should."""
TRANSIENT = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
    RedisClusterException,
)
"""The errors that may be over at the next try."""
_ACCESS_DENIED = (AuthenticationError, AuthorizationError, NoPermissionError)

Argument = str | bytes | int | float


class Pipeline(Protocol):
    """A group of commands that are sent together."""

    def execute_command(self, *arguments: Argument) -> Any:
        """Add a command."""

    def execute(self) -> list[Any]:
        """Send the commands and return the replies to all of them."""


class Subscription(Protocol):
    """A connection that receives published messages."""

    def subscribe(self, channel: str) -> Any:
        """Subscribe to a channel."""

    def get_message(self, ignore_subscribe_messages: bool = False, timeout: float = 0.0) -> Any:
        """Return the next message, or None."""

    def close(self) -> None:
        """Close the connection."""


class RedisClient(Protocol):
    """The part of redis-py's clients that is used here. They share no type of their own."""

    def execute_command(self, *arguments: Argument, **options: Any) -> Any:
        """Send a command and return its reply."""

    def pipeline(self, transaction: bool) -> Pipeline:
        """Return a new pipeline."""

    def pubsub(self) -> Subscription:
        """Return a new connection that receives published messages."""

    def close(self) -> None:
        """Close all connections."""


def make_client(address: RedisAddress) -> RedisClient:
    """Return a client that tries every command once. Only the client of a cluster connects right away.

    Raises:
        RedisClusterException: no node of the cluster replies.
    """
    options: dict[str, Any] = {
        "username": address.user,
        "password": address.password,
        "decode_responses": True,
        "encoding_errors": "backslashreplace",  # let `store.codec` reject damaged text, not the client
        **_transport(address),
    }
    if address.topology is Topology.CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in address.nodes]  # type: ignore[no-untyped-call]  # untyped
        return cast(
            "RedisClient", RedisCluster(startup_nodes=nodes, dynamic_startup_nodes=False, retry=_once(), **options)
        )
    options |= {"db": address.db, "retry": _once()}
    if address.topology is Topology.SENTINEL:
        own = {
            "username": address.sentinel_user,
            "password": address.sentinel_password,
            "retry": _once(),
            **_transport(address),
        }
        sentinel = Sentinel(address.nodes, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]  # untyped
        return cast("RedisClient", sentinel.master_for(address.service))  # type: ignore[no-untyped-call]  # untyped
    [(host, port)] = address.nodes
    return cast("RedisClient", Redis(host=host, port=port, **options))


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _transport(address: RedisAddress) -> dict[str, Any]:
    """Return the socket and TLS options. Protocol version 2 suffices, and its users need fewer rights than with 3."""
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "protocol": 2,
        "driver_info": None,
    }
    if address.tls:
        options |= {
            "ssl": True,
            "ssl_ca_certs": address.ca,
            "ssl_certfile": address.certificate,
            "ssl_keyfile": address.key,
        }
    return options


def is_transient(error: Exception) -> bool:
    """Return True if it is worth trying again."""
    return isinstance(error, TRANSIENT) and not isinstance(error, _ACCESS_DENIED)


def describe(error: Exception, address: RedisAddress) -> str:
    """Say what is wrong in one sentence, without secrets."""
    text = address.without_secrets(str(error)).rstrip(".")
    if isinstance(error, MasterNotFoundError):
        text = f"no Sentinel that can be reached knows a master of service {address.service}"
    elif isinstance(error, _ACCESS_DENIED):
        text = f"it denies access ({text}); check user, password and rights in POINTSMAN_STORE"
    return f"The Redis store at {address} does not answer: {text}."
