"""Decision tokens: what goes in comes out, and nothing else opens."""

import base64
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.inference.decision_token import MAX_CHARS, Decision, TokenRefused, declared, open_token, seal
from gateway.inference.service import new_decision_id
from gateway.inference.token_keys import TokenKey, TokenKeys

DAY_US = 86_400_000_000
NOON_US = 1_796_040_000_000_000
LONG = "a" * 128
"""The longest name."""


def keys_of(*numbers: int, sealing: int | None = None) -> TokenKeys:
    """Return keys by number. The first seals, unless `sealing` is another."""
    ids = [number.to_bytes(4, "big") for number in numbers]
    made = [TokenKey(key_id, bytes([number]) * 32) for key_id, number in zip(ids, numbers, strict=True)]
    return TokenKeys(made, ids[0] if sealing is None else sealing.to_bytes(4, "big"))


KEYS = keys_of(1)
ROUTES = declared({"fraud": 100, "churn": 200})
DECISION = Decision("b93c5aa7870d203c4698e81d", "fraud", 100, 7, "canary", 0.1, NOON_US, 1500, 12)
TOKEN = seal(DECISION, KEYS)

decisions = st.builds(
    Decision,
    decision_id=st.binary(min_size=12, max_size=12).map(bytes.hex),
    route=st.just("fraud"),
    declared_us=st.just(100),
    policy_version=st.integers(0, 2**63 - 1),
    arm=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True),
    propensity=st.none() | st.integers(0, 10_000).map(lambda slots: slots / 10_000),
    decided_us=st.integers(-(2**40), 2**62),
    latency_us=st.integers(0, 2**40),
    group=st.integers(-1, 63),
    context=st.binary(max_size=80),
    slots=st.just(b"") | st.binary(min_size=1, max_size=90),
)


def refused(text: str, keys: TokenKeys = KEYS, routes=ROUTES) -> str:
    """Return the sentence with which a text is refused."""
    with pytest.raises(TokenRefused) as error:
        open_token(text, keys, routes)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert len(sentence) < 300
    return sentence


def changed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def content_of(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


@settings(max_examples=300)
@given(decisions)
@example(DECISION)
@example(DECISION._replace(propensity=None, group=-1))
@example(DECISION._replace(propensity=1.0, decided_us=0, latency_us=0))
def test_what_is_sealed_is_opened(decision):
    token = seal(decision, KEYS)
    assert re.fullmatch("[A-Za-z0-9_-]{1,512}", token)
    assert open_token(token, KEYS, ROUTES) == decision


def test_nothing_of_a_decision_can_be_read():
    context = b"what the model saw: 0123456789"
    content = content_of(seal(DECISION._replace(context=context, arm="a-canary-arm"), KEYS))
    assert not any(part in content for part in (b"canary", b"fraud", b"0123456789", NOON_US.to_bytes(8, "big")))


def test_a_flipped_bit_anywhere_is_refused():
    content = content_of(TOKEN)
    for at in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        sentence = refused(changed(bytes(flipped)))
        assert sentence.startswith(
            "The token has the form" if at < 8 else "No key here opens" if at < 40 else "The token does not open"
        )


def test_another_character_anywhere_is_refused():
    for at in range(len(TOKEN)):
        other = "A" if TOKEN[at] != "A" else "B"
        refused(TOKEN[:at] + other + TOKEN[at + 1 :])


def test_a_token_has_one_form():
    final = TOKEN[:-1]  # the last character has bits that no byte needs
    assert len(content_of(TOKEN)) % 3 != 0
    assert [each for each in map(chr, range(33, 127)) if opens(final + each)] == [TOKEN[-1]]
    for text in (f"{TOKEN}=", f"{TOKEN}==", f" {TOKEN}", f"{TOKEN}\n", f"{TOKEN[:9]}\n{TOKEN[9:]}", f"{TOKEN}é"):
        assert refused(text) == "The text is no decision token, or only a part of one."
    standard = seal(DECISION._replace(context=b"\xff" * 99), KEYS)
    assert {"-", "_"} & set(standard)
    refused(standard.replace("-", "+").replace("_", "/"))


def opens(text: str) -> bool:
    try:
        open_token(text, KEYS, ROUTES)
    except TokenRefused:
        return False
    return True


def test_a_token_that_is_cut_at_any_length_is_refused():
    for length in range(len(TOKEN)):
        refused(TOKEN[:length])
        refused(TOKEN[len(TOKEN) - length :])
    content = content_of(TOKEN)
    for length in range(len(content)):
        refused(changed(content[:length]))


def test_a_token_with_more_at_its_end_is_refused():
    refused(f"{TOKEN}AAAA")
    refused(TOKEN + TOKEN)
    refused(changed(content_of(TOKEN) + b"\0"))


@pytest.mark.parametrize("version", [0, 3, 255])
def test_a_token_of_another_form_is_refused(version):
    sentence = refused(changed(bytes([version]) + content_of(TOKEN)[1:]))
    assert sentence == f"The token has the form {version}; this gateway reads the forms 1 and 2."


def test_a_token_of_another_gateway_is_refused():
    assert refused(seal(DECISION, keys_of(2))) == (
        "No key here opens the token: it needs the key 00000002. Another gateway has sealed it, or the key was "
        "dropped. Machines that serve the same routes need the same token keys."
    )


def test_a_key_of_the_same_id_with_other_bytes_does_not_open():
    other = TokenKeys([TokenKey((1).to_bytes(4, "big"), b"z" * 32)], (1).to_bytes(4, "big"))
    assert refused(seal(DECISION, other)).startswith("The token does not open")


def test_all_keys_open_and_one_seals():
    after = keys_of(2, 1)
    assert open_token(TOKEN, after, ROUTES) == DECISION
    assert content_of(seal(DECISION, after))[1:5] == (2).to_bytes(4, "big")
    assert content_of(seal(DECISION, keys_of(2, 1, sealing=1)))[1:5] == (1).to_bytes(4, "big")
    refused(TOKEN, keys_of(2))


def test_no_key_seals_the_tokens_of_two_days():
    first, second = (seal(DECISION._replace(decided_us=NOON_US + day * DAY_US), KEYS) for day in (0, 1))
    one, other = content_of(first), content_of(second)
    assert one[7:19] == other[7:19]  # the same nonce; only the day, and with it the key, differs
    assert int.from_bytes(one[5:7], "big") + 1 == int.from_bytes(other[5:7], "big")
    # With one key, the plaintexts' exclusive or would show: the route and the arm would be equal.
    assert one[19:27] != other[19:27]
    refused(changed(one[:5] + other[5:7] + one[7:]))


@pytest.mark.parametrize("decided_us", [-1, -DAY_US, 0, 65_536 * DAY_US, 2**62])
def test_a_wrong_clock_keeps_no_prediction_from_its_answer(decided_us):
    decision = DECISION._replace(decided_us=decided_us)
    assert open_token(seal(decision, KEYS), KEYS, ROUTES) == decision


def test_a_token_of_a_route_that_is_not_declared_here_is_refused():
    assert refused(TOKEN, routes=declared({"churn": 100})) == "The token is of a route that is not declared here."
    assert open_token(TOKEN, KEYS, ROUTES).route == "fraud"  # so a caller who may only reward churn is refused


def test_a_token_of_a_route_that_was_declared_anew_is_refused():
    assert refused(TOKEN, routes=declared({"fraud": 101})) == (
        "Route fraud was declared anew after this decision, which belongs to its earlier life."
    )


def test_an_opened_token_says_when_it_was_decided_however_old_it_is():
    old = DECISION._replace(decided_us=NOON_US - 400 * DAY_US)
    assert open_token(seal(old, KEYS), KEYS, ROUTES).decided_us == NOON_US - 400 * DAY_US


@pytest.mark.parametrize(
    "text",
    ["", "a", "=", "\0" * 20, "token", "é" * 50, "🦀" * 50, "\ud800" * 50, "-" * 512, "_" * 511, "A" * 100, " " * 100],
)
def test_texts_that_are_no_tokens_are_refused(text):
    refused(text)


@settings(max_examples=300)
@given(st.text(max_size=600) | st.from_regex(r"[A-Za-z0-9_-]{0,600}", fullmatch=True))
def test_any_text_is_refused(text):
    refused(text)


def test_a_forged_token_with_the_right_head_is_refused():
    head = content_of(TOKEN)[:19]
    for length in (0, 15, 16, 60, 200):
        refused(changed(head + bytes(length)))
    refused(changed(head + content_of(seal(DECISION._replace(decision_id="00" * 12), KEYS))[19:]))


def test_ten_megabytes_of_text_are_refused_at_once():
    text = "A" * 10_000_000
    began_s = time.process_time()
    for _ in range(100):
        assert refused(text) == "No decision token has more than 512 characters; this text has 10000000."
    assert time.process_time() - began_s < 1  # to decode it once takes 15 ms


def test_the_longest_names_leave_room_for_a_context():
    longest = DECISION._replace(route=LONG, arm=LONG, policy_version=2**63 - 1, declared_us=2**63 - 1, group=63)
    room = 177
    token = seal(longest._replace(context=bytes(room)), KEYS)
    assert len(token) == MAX_CHARS
    assert open_token(token, KEYS, declared({LONG: 2**63 - 1})).context == bytes(room)
    assert len(seal(longest, KEYS)) < 300
    with pytest.raises(ValueError, match="A context of 178 bytes is too long"):
        seal(longest._replace(context=bytes(room + 1)), KEYS)


def test_two_decisions_never_share_a_nonce():
    nonces = {content_of(seal(DECISION._replace(decision_id=new_decision_id()), KEYS))[7:19] for _ in range(10_000)}
    assert len(nonces) == 10_000
    assert content_of(TOKEN)[7:19].hex() == DECISION.decision_id
