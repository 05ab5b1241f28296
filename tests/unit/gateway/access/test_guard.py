"""Which credentials are admitted, and how the others are refused."""

import hmac
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.access import guard as guard_module
from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.tokens import TokenVerifier
from gateway.errors import Forbidden, RateLimited, Unauthenticated


@pytest.fixture
def guard(source, wall, clock) -> AccessGuard:
    return AccessGuard(TokenVerifier(source, "", "", wall_s=wall), wall_s=wall, clock_s=clock)


@pytest.fixture
def make(wall):
    return lambda name="checkout", scopes=("predict",), **more: make_key(
        name, scopes, created_by="ada", now_s=wall.now_s, **more
    )


def bearer(credential: str | bytes) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + (credential.encode() if isinstance(credential, str) else credential)}


def test_a_key_is_taken_from_either_header(guard, make):
    key, shown = make()
    guard.replace_keys([key])
    for headers in (
        bearer(shown),
        {b"authorization": b"bearer " + shown.encode()},
        {b"authorization": b"BEARER   " + shown.encode() + b" "},
        {b"x-api-key": shown.encode()},
        {**bearer(shown), b"x-api-key": b"something else"},
    ):
        assert guard.admit(headers, "predict", "fraud") == key.id
        assert guard.identify(headers).name == "key checkout"


def test_tokens_are_taken_as_well_as_keys(guard, issuer):
    assert guard.admit(bearer(issuer.token(scope="predict:fraud")), "predict", "fraud") == "ada"
    with pytest.raises(Forbidden, match="token of ada has no scope predict on route ranker"):
        guard.admit(bearer(issuer.token(scope="predict:fraud")), "predict", "ranker")


def test_without_a_credential_the_error_says_how_to_send_one(guard):
    with pytest.raises(Unauthenticated, match=r"Authorization: Bearer pk_.*POINTSMAN_KEY"):
        guard.admit({b"host": b"x"}, "predict", "fraud")


def test_a_wrong_scope_and_a_wrong_route_are_forbidden(guard, make):
    key, shown = make(scopes=["predict", "read"], routes=["fraud"])
    guard.replace_keys([key])
    guard.admit(bearer(shown), "predict", "fraud")
    for scope, route in (("operate", "fraud"), ("reward", "fraud"), ("predict", "ranker"), ("predict", None)):
        with pytest.raises(Forbidden, match=f"has no scope {scope} "):
            guard.admit(bearer(shown), scope, route)


def test_a_scope_on_any_route_is_enough_before_the_body_is_read(guard, make):
    key, shown = make(scopes=["predict"], routes=["fraud"], rate_per_s=1)
    guard.replace_keys([key])
    for _ in range(3):  # no use is counted
        guard.check_scope(bearer(shown), "predict")
    with pytest.raises(Forbidden, match="has no scope read on any route; it has predict on fraud"):
        guard.check_scope(bearer(shown), "read")
    with pytest.raises(Unauthenticated):
        guard.check_scope({}, "predict")


def test_a_revoked_key_is_refused_from_the_next_request_on(guard, make):
    key, shown = make()
    guard.replace_keys([key])
    guard.admit(bearer(shown), "predict", "fraud")
    guard.replace_keys([replace(key, revoked_at_s=5.0)])
    with pytest.raises(Unauthenticated, match="was revoked"):
        guard.admit(bearer(shown), "predict", "fraud")


def test_a_key_that_was_removed_is_refused(guard, make):
    key, shown = make()
    guard.replace_keys([key])
    guard.replace_keys([])
    with pytest.raises(Unauthenticated, match="is not valid"):
        guard.admit(bearer(shown), "predict", "fraud")


def test_a_key_expires(guard, make, wall):
    key, shown = make(expires_at_s=wall.now_s + 10)
    guard.replace_keys([key])
    wall.now_s += 9.9
    guard.admit(bearer(shown), "predict", "fraud")
    wall.now_s += 0.1
    with pytest.raises(Unauthenticated, match="has expired"):
        guard.admit(bearer(shown), "predict", "fraud")


def test_only_the_holder_of_a_key_learns_that_it_is_revoked(guard, make):
    key, shown = make()
    guard.replace_keys([replace(key, revoked_at_s=5.0)])
    with pytest.raises(Unauthenticated, match="is not valid"):
        guard.admit(bearer(shown[:-1] + ("0" if shown[-1] != "0" else "1")), "predict", "fraud")


def test_a_secret_of_another_key_does_not_fit(guard, make):
    (one, shown_one), (two, shown_two) = make(), make()
    guard.replace_keys([one, two])
    mixed = "_".join((*shown_one.split("_")[:2], shown_two.split("_")[2]))
    for known in (shown_one, shown_two):
        guard.admit(bearer(known), "predict", "fraud")
    with pytest.raises(Unauthenticated, match="is not valid"):
        guard.admit(bearer(mixed), "predict", "fraud")


def test_secrets_are_compared_in_constant_time(guard, make, monkeypatch):
    compared = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Spying:
        compare_digest = staticmethod(spy)

    key, shown = make()
    guard.replace_keys([key])
    monkeypatch.setattr(guard_module, "hmac", Spying)
    guard.admit(bearer(shown), "predict", "fraud")
    with pytest.raises(Unauthenticated):
        guard.admit(bearer(shown[:-1] + ("0" if shown[-1] != "0" else "1")), "predict", "fraud")
    assert [one == other for one, other in compared] == [True, False]
    assert all(other == key.digest for _, other in compared)


def test_a_huge_credential_with_a_known_id_is_not_even_hashed(guard, make, monkeypatch):
    key, shown = make()
    guard.replace_keys([key])
    monkeypatch.setattr(guard_module, "digest", lambda _: pytest.fail("hashed"))
    for credential in (shown + "0" * 1_000_000, shown[:-1]):
        with pytest.raises(Unauthenticated, match="is not valid"):
            guard.admit(bearer(credential), "predict", "fraud")


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Bearer pk_"},
        {b"authorization": b"Bearer pk__"},
        {b"authorization": b"Bearer pk_0123456789ab_" + b"0" * 64},
        {b"authorization": b"Bearer pk_0123456789ab_" + b"0" * 10_000_000},
        {b"authorization": b"Bearer " + b"x" * 10_000_000},
        {b"authorization": b"Bearer " + b"a.b." * 2000},
        {b"authorization": b"Bearer \xff\xfe.\xf0\x9f\x9a\x82.\x00"},
        {b"authorization": "Bearer pk_smörgåsbord".encode()},
        {b"authorization": b"Bearer a.b.c"},
        {b"authorization": b"Bearer ..."},
        {b"authorization": b"Bearer e30.e30."},
        {b"authorization": b"Basic YWRhOnNlY3JldA=="},
        {b"authorization": b"Digest x"},
        {b"x-api-key": b""},
        {b"x-api-key": b"a.b.c"},
        {b"x-api-key": b"\xff" * 80},
    ],
    ids=lambda headers: repr(next(iter(headers.values())))[:30],
)
def test_a_malformed_header_is_unauthenticated_and_not_repeated(guard, make, headers):
    key, _ = make()
    guard.replace_keys([key])
    with pytest.raises(Unauthenticated) as refused:
        guard.admit(headers, "predict", "fraud")
    assert len(str(refused.value)) < 300
    assert "YWRh" not in str(refused.value)


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"Bearer ", b"Bearer pk_", b"Bearer pk_0123456789ab_", b"Basic "])
)
@settings(suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture])
def test_no_bytes_raise_anything_but_unauthenticated(guard, garbage, before):
    for header in (b"authorization", b"x-api-key"):
        with pytest.raises(Unauthenticated):
            guard.admit({header: before + garbage}, "predict", "fraud")


def test_a_valid_key_in_x_api_key_does_not_excuse_another_scheme(guard, make):
    key, shown = make()
    guard.replace_keys([key])
    with pytest.raises(Unauthenticated, match="must read `Bearer`"):
        guard.admit({b"authorization": b"Basic YTpi", b"x-api-key": shown.encode()}, "predict", "fraud")


def test_a_token_is_refused_where_tokens_are_not_accepted(issuer):
    with pytest.raises(Unauthenticated, match="POINTSMAN_JWKS is unset"):
        AccessGuard().admit(bearer(issuer.token()), "predict", "fraud")


def test_a_key_is_held_to_its_rate(guard, make, clock):
    key, shown = make(rate_per_s=10, burst=2)
    free, free_shown = make()
    guard.replace_keys([key, free])
    for _ in range(2):
        guard.admit(bearer(shown), "predict", "fraud")
    with pytest.raises(RateLimited, match=r"may be used 10 times a second; try again in 0.1 s") as refused:
        guard.admit(bearer(shown), "predict", "fraud")
    assert refused.value.retry_after_s == pytest.approx(0.1)
    guard.admit(bearer(free_shown), "predict", "fraud")
    clock.now_s += 0.11
    guard.admit(bearer(shown), "predict", "fraud")


def test_a_bucket_is_not_refilled_when_keys_change(guard, make):
    key, shown = make(rate_per_s=10, burst=1)
    guard.replace_keys([key])
    guard.admit(bearer(shown), "predict", "fraud")
    guard.replace_keys([key, make()[0]])
    with pytest.raises(RateLimited):
        guard.admit(bearer(shown), "predict", "fraud")


def test_a_key_with_an_invalid_rate_is_left_out(guard, make):
    (damaged, damaged_shown), (good, good_shown) = make(rate_per_s=1), make()
    with capture_logs() as logs:
        guard.replace_keys([replace(damaged, rate_per_s=0.0), good])
    assert [(entry["event"], entry["key"]) for entry in logs] == [("gateway.access.key_left_out", damaged.id)]
    guard.admit(bearer(good_shown), "predict", "fraud")
    with pytest.raises(Unauthenticated):
        guard.admit(bearer(damaged_shown), "predict", "fraud")


def test_a_key_that_is_not_valid_uses_no_rate(guard, make):
    key, shown = make(rate_per_s=10, burst=1)
    guard.replace_keys([key])
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            guard.admit(bearer(shown[:-4] + "zzzz"), "predict", "fraud")
    guard.admit(bearer(shown), "predict", "fraud")


def test_no_error_repeats_the_credential(guard, make, wall, issuer):
    key, shown = make(rate_per_s=1, burst=1)
    revoked, revoked_shown = make()
    expired, expired_shown = make(expires_at_s=wall.now_s + 1)
    guard.replace_keys([key, replace(revoked, revoked_at_s=1.0), expired])
    wall.now_s += 2
    guard.admit(bearer(shown), "predict", "fraud")
    token = issuer.token(scope="read")
    for credential in (shown, revoked_shown, expired_shown, token.decode(), token.decode()[:-8]):
        with pytest.raises((Unauthenticated, RateLimited, Forbidden)) as refused:
            guard.admit(bearer(credential), "predict", "fraud")
        chain: BaseException | None = refused.value
        while chain is not None:
            assert credential not in repr(chain)
            assert credential[-32:] not in repr(chain)
            chain = chain.__cause__ or chain.__context__
