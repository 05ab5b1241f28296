"""Makes the client of redis-py that an address needs, and turns its errors into sentences. Acts."""

from typing import Any, Protocol, cast

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  # the library's, which is not the built-in one
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,  # noqa: A004  # likewise
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from store.redis.address import RedisAddress, Topology

TIMEOUT_S = 1.0
"""How long a server may take for a connection, and for an answer."""
ERRORS = (RedisError, RedisClusterException, OSError)
"""Everything that a client raises when a store does not answer as it should."""
PASSING = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
    RedisClusterException,
)
"""Those that may be over at the next try."""
_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)

Word = str | int | float


class Pipeline(Protocol):
    """Commands that are sent together."""

    def execute_command(self, *words: Word) -> Any:
        """Adds a command."""

    def execute(self) -> list[Any]:
        """The answers to all of them."""


class Subscription(Protocol):
    """A connection that listens."""

    def subscribe(self, channel: str) -> Any:
        """Listens to a channel."""

    def get_message(self, ignore_subscribe_messages: bool = False, timeout: float = 0.0) -> Any:
        """The next message, or None."""

    def close(self) -> None:
        """Ends the connection."""


class RedisClient(Protocol):
    """What is used of redis-py's clients, which share no type of their own."""

    def execute_command(self, *words: Word) -> Any:
        """The answer to a command."""

    def pipeline(self, transaction: bool) -> Pipeline:
        """A new pipeline."""

    def pubsub(self) -> Subscription:
        """A new connection that listens."""

    def close(self) -> None:
        """Ends all connections."""


def make_client(address: RedisAddress) -> RedisClient:
    """A client that tries everything once. Only that of a cluster connects at once.

    Raises:
        RedisClusterException: no node of the cluster answers.
    """
    options: dict[str, Any] = {
        "username": address.user,
        "password": address.password,
        "decode_responses": True,
        "encoding_errors": "backslashreplace",  # damaged text is to be refused as what it is, not as an encoding
        **_transport(address),
    }
    if address.topology is Topology.CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in address.nodes]  # type: ignore[no-untyped-call]  # theirs
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
        sentinel = Sentinel(address.nodes, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]  # theirs
        return cast("RedisClient", sentinel.master_for(address.service))  # type: ignore[no-untyped-call]  # theirs
    [(host, port)] = address.nodes
    return cast("RedisClient", Redis(host=host, port=port, **options))


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _transport(address: RedisAddress) -> dict[str, Any]:
    """Version 2 of the protocol: nothing is used of what 3 adds, and a user needs fewer rights."""
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


def may_pass(error: Exception) -> bool:
    """Whether it is worth trying again."""
    return isinstance(error, PASSING) and not isinstance(error, _REFUSED)


def sentence(error: Exception, address: RedisAddress) -> str:
    """What is wrong, without secrets."""
    text = address.without_secrets(str(error)).rstrip(".")
    if isinstance(error, MasterNotFoundError):
        text = f"no Sentinel that can be reached knows a master of service {address.service}"
    elif isinstance(error, _REFUSED):
        text = f"it does not let us in ({text}); check user, password and rights in POINTSMAN_STORE"
    return f"The Redis store at {address} does not answer: {text}."
