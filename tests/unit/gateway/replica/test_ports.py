"""Replicas share a port with each other, and with no other process."""

import contextlib
import socket

import pytest

from gateway.replica.ports import bind_port


def test_replicas_share_a_port_and_other_processes_do_not():
    with contextlib.closing(bind_port("127.0.0.1", 0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with contextlib.closing(bind_port("127.0.0.1", port)) as second:
            assert second.getsockname()[1] == port
        with pytest.raises(OSError, match="in use"):
            bind_port("127.0.0.1", port, shared=False)


def test_a_port_that_another_process_holds_cannot_be_shared():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            bind_port("127.0.0.1", other.getsockname()[1])


def test_ipv6_addresses_are_accepted():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with contextlib.closing(bind_port("::1", 0)) as bound:
        assert bound.family == socket.AF_INET6
