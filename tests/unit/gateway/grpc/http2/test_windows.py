"""Flow control, both ways, against hyper's client, which raises if a window is overrun."""

import pytest
from h2.events import ConnectionTerminated, DataReceived
from h2.settings import SettingCodes

from gateway.grpc.http2.connection import WINDOW
from gateway.grpc.http2.frames import DEFAULT_WINDOW, FrameType, SettingId, frame, setting, word
from tests.unit.gateway.grpc.http2.support import Answer, Peer, answer_in, conversation, message

CONTENT = bytes(range(256)) * 100


def acknowledge(peer: Peer, events: list) -> None:
    for event in events:
        if isinstance(event, DataReceived) and event.flow_controlled_length:
            peer.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


@pytest.mark.parametrize("window", [1, 7, 1000, 25_604, 25_605, 25_606, 1_000_000])
@pytest.mark.parametrize("path", ["/echo", "/echoes"])
def test_an_answer_leaves_as_the_streams_window_allows(window, path):
    async def talk(peer: Peer) -> None:
        content = CONTENT if window > 100 else CONTENT[:50]
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: window})
        stream = peer.ask(message(content), path)
        events = await peer.say()
        answered = list(events)
        while not answer_in(answered, stream).is_ended:
            got = answer_in(events, stream)
            assert 0 < len(got.content) <= window
            peer.client.increment_flow_control_window(window, stream)
            answered += (events := await peer.say())
        assert answer_in(answered, stream) == Answer(message(content), "0", "", is_ended=True, reset=None)

    conversation(talk)


def test_a_window_of_nothing_holds_everything_but_an_end():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        held, failed = peer.ask(message(b"x")), peer.ask(message(b"fail"))
        events = await peer.say()
        assert answer_in(events, held) == Answer(b"", None, "", is_ended=False, reset=None)
        assert answer_in(events, failed).status == "3"
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
        assert answer_in(await peer.say(), held).content == message(b"x")

    conversation(talk)


def test_a_window_that_shrinks_during_an_answer_may_be_owed():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        stream = peer.ask(message(bytes(3000)))
        assert len(answer_in(await peer.say(), stream).content) == 1000
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})  # now it is -990
        assert answer_in(await peer.say(), stream).content == b""
        peer.client.increment_flow_control_window(990, stream)
        assert answer_in(await peer.say(), stream).content == b""
        peer.client.increment_flow_control_window(1, stream)
        assert len(answer_in(await peer.say(), stream).content) == 1
        peer.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5000})
        last = answer_in(await peer.say(), stream)
        assert (len(last.content), last.is_ended) == (3005 - 1001, True)

    conversation(talk)


def test_of_a_setting_that_comes_twice_the_last_counts():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(bytes(70_000)))
        await peer.say()
        values = [setting.pack(SettingId.INITIAL_WINDOW_SIZE, value) for value in (100_000, 1)]
        said = await peer.hear(frame(FrameType.SETTINGS, 0, 0, b"".join(values)))
        assert said == frame(FrameType.SETTINGS, 1, 0)
        assert peer.connection.streams[stream].window == 1 - DEFAULT_WINDOW

    conversation(talk)


def test_streams_share_the_connections_window():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
        streams = [peer.ask(message(bytes(30_000))) for _ in range(5)]
        events = await peer.say()
        assert sum(len(answer_in(events, each).content) for each in streams) == DEFAULT_WINDOW
        answered = list(events)
        while not all(answer_in(answered, each).is_ended for each in streams):
            acknowledge(peer, events)
            answered += (events := await peer.say())
            assert events
        assert [len(answer_in(answered, each).content) for each in streams] == [30_005] * 5

    conversation(talk)


def test_frames_are_as_long_as_the_client_takes_them():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.INITIAL_WINDOW_SIZE: 10**6, SettingCodes.MAX_FRAME_SIZE: 20_000})
        stream = peer.ask(message(bytes(45_000)))
        sizes = [len(event.data) for event in await peer.say() if isinstance(event, DataReceived)]
        assert (stream, sizes) == (1, [20_000, 20_000, 5005])

    conversation(talk)


def test_our_window_is_renewed_for_many_large_requests():
    large = message(bytes(1_000_000))

    async def talk(peer: Peer) -> None:
        await peer.open()
        for _ in range(2 * WINDOW // len(large) + 2):
            stream = peer.ask(large, "/size")  # h2 raises if the windows do not let it through
            events = await peer.say()
            assert answer_in(events, stream).content == message(b"1000000")
            assert not any(isinstance(event, ConnectionTerminated) for event in events)

    conversation(talk, 1_000_000)


def test_our_window_is_renewed_for_many_messages_on_one_stream_padding_included():
    large = message(bytes(50_000))

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.begin("/echoes")
        answered = 0
        for _ in range(400):  # 20 MB, and 1 MB of padding
            for at in range(0, len(large), 5000):
                peer.client.send_data(stream, large[at : at + 5000], pad_length=250)
            events = await peer.say()
            while events:
                acknowledge(peer, events)
                answered += len(answer_in(events, stream).content)
                events = await peer.listen()
        peer.client.end_stream(stream)
        assert answer_in(await peer.say(), stream).status == "0"
        assert answered == 400 * len(large)

    conversation(talk)


def test_data_that_nobody_takes_renews_the_connections_window():
    async def talk(peer: Peer) -> None:
        await peer.open()
        peer.begin("/nope")
        await peer.say()
        came = 0
        for _ in range(40):
            said = await peer.hear(frame(FrameType.DATA, 0, 1, bytes(200_000)) * 4)
            came += word.unpack(said[9:13])[0] if said else 0
        assert came > 40 * 800_000 - WINDOW

    conversation(talk)
