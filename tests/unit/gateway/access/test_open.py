"""When a gateway needs credentials, and the guard that it builds."""

import pytest
from structlog.testing import capture_logs

from gateway.access.open import open_access
from gateway.access.requirement import is_loopback, require_access
from gateway.errors import Unauthenticated
from gateway.settings import Settings

LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"]
REACHABLE = ["0.0.0.0", "::", "10.0.0.1", "192.168.1.5", "example.org", "", "127.0.0.1.evil.org", "localhost.evil"]  # noqa: S104  # to be refused


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_open_unless_set(host):
    assert is_loopback(host)
    assert require_access(Settings(host=host)) is False
    assert require_access(Settings(host=host, access="required")) is True


@pytest.mark.parametrize("host", REACHABLE)
def test_another_address_is_never_open_by_accident(host):
    assert not is_loopback(host)
    with pytest.raises(ValueError, match=r"POINTSMAN_ACCESS=required .*pointsman keys create.*POINTSMAN_ACCESS=open"):
        require_access(Settings(host=host))
    assert require_access(Settings(host=host, access="required")) is True
    assert require_access(Settings(host=host, access="open")) is False


def test_an_open_gateway_has_no_guard():
    assert open_access(Settings()) is None
    assert open_access(Settings(access="open", jwks="keys.json")) is None


def test_without_a_jwks_there_are_only_keys():
    guard, jwks = open_access(Settings(access="required"))
    assert jwks is None
    with pytest.raises(Unauthenticated, match="This needs a key"):
        guard.admit({}, "predict", "fraud")


def test_with_a_jwks_there_are_tokens(tmp_path, issuer):
    path = tmp_path / "jwks.json"
    path.write_bytes(issuer.jwks())
    guard, jwks = open_access(Settings(access="required", jwks=str(path), jwt_issuer="idp", jwt_audience="pointsman"))
    jwks.tick(0.0)
    good = issuer.token(iss="idp", aud="pointsman")
    guard.admit({b"authorization": b"Bearer " + good}, "predict", "fraud")
    for wrong in (issuer.token(iss="idp"), issuer.token(aud="pointsman")):
        with pytest.raises(Unauthenticated):
            guard.admit({b"authorization": b"Bearer " + wrong}, "predict", "fraud")


@pytest.mark.parametrize("setting", ["jwt_issuer", "jwt_audience"])
def test_a_setting_that_would_check_nothing_is_refused(setting):
    with pytest.raises(ValueError, match="have no effect without POINTSMAN_JWKS"):
        open_access(Settings(access="required", **{setting: "x"}))


def test_a_jwks_without_an_audience_logs_a_warning():
    with capture_logs() as logs:
        open_access(Settings(access="required", jwks="keys.json"))
    assert [entry["event"] for entry in logs] == ["gateway.access.any_audience"]
