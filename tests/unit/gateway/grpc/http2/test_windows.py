"""Flow control in both directions, against the client of h2, which raises if a window is overrun."""

import pytest
from h2.events import ConnectionTerminated, DataReceived
from h2.settings import SettingCodes

from gateway.grpc.http2.frames import DEFAULT_WINDOW, FrameType, SettingId, frame, setting, word
from gateway.grpc.http2.limits import STREAM_WINDOW
from tests.unit.gateway.grpc.http2.support import Peer, Response, conversation, message, response_in

CONTENT = bytes(range(256)) * 100
CONNECTION_WINDOW = 16 * 1024 * 1024


def acknowledge(peer: Peer, events: list) -> None:
    for event in events:
        if isinstance(event, DataReceived) and event.flow_controlled_length:
            peer.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


@pytest.mark.parametrize("window", [1, 7, 1000, 25_604, 25_605, 25_606, 1_000_000])
@pytest.mark.parametrize("path", ["/echo", "/echoes"])
def test_a_response_is_sent_as_the_streams_window_allows(window, path):
    async def talk(peer: Peer) -> None:
        content = CONTENT if window > 100 else CONTENT[:50]
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: window})
        stream = peer.call(message(content), path)
        events = await peer.exchange()
        all_events = list(events)
        while not response_in(all_events, stream).is_ended:
            got = response_in(events, stream)
            assert 0 < len(got.content) <= window
            peer.client.increment_flow_control_window(window, stream)
            all_events += (events := await peer.exchange())
        assert response_in(all_events, stream) == Response(message(content), "0", "", is_ended=True, reset=None)

    conversation(talk)


def test_a_window_of_0_holds_back_messages_but_not_trailers():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        held, failed = peer.call(message(b"x")), peer.call(message(b"fail"))
        events = await peer.exchange()
        assert response_in(events, held) == Response(b"", None, "", is_ended=False, reset=None)
        assert response_in(events, failed).status == "3"
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
        assert response_in(await peer.exchange(), held).content == message(b"x")

    conversation(talk)


def test_a_window_that_shrinks_during_a_response_may_become_negative():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        stream = peer.call(message(bytes(3000)))
        assert len(response_in(await peer.exchange(), stream).content) == 1000
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})  # now it is -990
        assert response_in(await peer.exchange(), stream).content == b""
        peer.client.increment_flow_control_window(990, stream)
        assert response_in(await peer.exchange(), stream).content == b""
        peer.client.increment_flow_control_window(1, stream)
        assert len(response_in(await peer.exchange(), stream).content) == 1
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5000})
        last = response_in(await peer.exchange(), stream)
        assert (len(last.content), last.is_ended) == (3005 - 1001, True)

    conversation(talk)


def test_of_a_setting_that_comes_twice_the_last_counts():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(bytes(70_000)))
        await peer.exchange()
        values = [setting.pack(SettingId.INITIAL_WINDOW_SIZE, value) for value in (100_000, 1)]
        received = await peer.send(frame(FrameType.SETTINGS, 0, 0, b"".join(values)))
        assert received == frame(FrameType.SETTINGS, 1, 0)
        assert peer.http2.streams[stream].window == 1 - DEFAULT_WINDOW

    conversation(talk)


def test_streams_share_the_connections_window():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
        streams = [peer.call(message(bytes(30_000))) for _ in range(5)]
        events = await peer.exchange()
        assert sum(len(response_in(events, each).content) for each in streams) == DEFAULT_WINDOW
        all_events = list(events)
        while not all(response_in(all_events, each).is_ended for each in streams):
            acknowledge(peer, events)
            all_events += (events := await peer.exchange())
            assert events
        assert [len(response_in(all_events, each).content) for each in streams] == [30_005] * 5

    conversation(talk)


def test_frames_are_as_long_as_the_client_accepts():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 10**6, SettingCodes.MAX_FRAME_SIZE: 20_000})
        stream = peer.call(message(bytes(45_000)))
        sizes = [len(event.data) for event in await peer.exchange() if isinstance(event, DataReceived)]
        assert (stream, sizes) == (1, [20_000, 20_000, 5005])

    conversation(talk)


def test_our_window_is_renewed_for_many_large_requests():
    large = message(bytes(1_000_000))

    async def talk(peer: Peer) -> None:
        await peer.open()
        for _ in range(2 * CONNECTION_WINDOW // len(large) + 2):
            stream = peer.call(large, "/size")  # h2 raises if the windows do not let it through
            events = await peer.exchange()
            assert response_in(events, stream).content == message(b"1000000")
            assert not any(isinstance(event, ConnectionTerminated) for event in events)

    conversation(talk, 1_000_000)


def test_our_window_is_renewed_for_many_messages_on_one_stream_padding_included():
    large = message(bytes(50_000))

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.start_call("/echoes")
        echoed_bytes = 0
        for _ in range(400):  # 20 MB, and 1 MB of padding
            for at in range(0, len(large), 5000):
                peer.client.send_data(stream, large[at : at + 5000], pad_length=250)
            events = await peer.exchange()
            while events:
                acknowledge(peer, events)
                echoed_bytes += len(response_in(events, stream).content)
                events = await peer.receive()
        peer.client.end_stream(stream)
        assert response_in(await peer.exchange(), stream).status == "0"
        assert echoed_bytes == 400 * len(large)

    conversation(talk)


def test_data_for_streams_that_are_gone_renews_the_connections_window():
    async def talk(peer: Peer) -> None:
        await peer.open()
        allowed = 0
        for _ in range(500):
            stream = peer.start_call("/nope")
            await peer.exchange()
            received = await peer.send(frame(FrameType.DATA, 0, stream, bytes(STREAM_WINDOW)))
            allowed += word.unpack(received[9:13])[0] if received else 0
        assert allowed > 500 * STREAM_WINDOW - CONNECTION_WINDOW

    conversation(talk)
