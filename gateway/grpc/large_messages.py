"""Messages that are too long for the event loop, or compressed: they are worked on in threads."""

from functools import partial

from gateway.eventloop.body_budget import Holding
from gateway.eventloop.offload import LARGE_BYTES, Offload, caller_of
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.messages import Message
from gateway.grpc.method import HeldMessage, Method
from gateway.protocols.compression import decompress


def is_large(message: Message) -> bool:
    """Return True if a message is for a thread. How long a compressed one becomes is not known before."""
    return len(message.content) > LARGE_BYTES or message.encoding != b""


async def respond_to_large(
    method: Method, held: list[Message], headers: HeaderMap, offload: Offload, max_bytes: int, holding: Holding
) -> bytes:
    """Return a method's response to a large message, which is taken out of its list. Raises what the method raises.

    Raises:
        BadRequest: the compressed bytes are damaged.
        TooLarge: they are longer than `max_bytes` when decompressed.
        Overloaded: the process holds too many bytes.
    """
    message: HeldMessage = []
    try:
        if held[0].encoding:
            work = partial(_decompressed, held, max_bytes, holding)
            message.append(await offload.run(work, caller_of(headers), holding.connection))
        else:
            message.append(held.pop().content)
        if method.respond_large is not None:
            return await method.respond_large(message, headers, holding)
        return await method.respond(bytes(message.pop()), headers)
    finally:
        held.clear()  # if the client left, the work may wait for a thread, and nothing would free the message
        message.clear()


def _decompressed(held: list[Message], max_bytes: int, holding: Holding) -> bytes:
    content, encoding, _ = held.pop()
    decompressed = decompress(bytes(content), encoding, max_bytes)
    holding.add(len(decompressed))
    return decompressed
