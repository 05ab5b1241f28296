"""Which gateway a command asks, and which URL is printed."""

import os

import pytest

from gateway.cli import address, own_address
from gateway.cli.client import ApiClient
from gateway.cli.foreground import _welcome
from gateway.home import read_home
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8110"), ("::1", "http://[::1]:8110"), ("[::1]", "http://[::1]:8110"),
        ("0.0.0.0", "http://127.0.0.1:8110"), ("::", "http://[::1]:8110"), ("gateway.lan", "http://gateway.lan:8110"),  # noqa: S104
        ("2001:db8::1", "http://[2001:db8::1]:8110"), ("[::]", "http://[::1]:8110"),
    ],
)  # fmt: skip
def test_the_url_is_one_that_a_client_takes(host, url):
    assert own_address.url_of(Settings(host=host, port=8110)) == url


def test_a_gateway_with_a_certificate_is_asked_over_tls():
    settings = Settings(port=8110, tls_certificate="chain.pem", tls_key="key.pem")
    assert own_address.url_of(settings) == "https://127.0.0.1:8110"


@pytest.mark.parametrize(
    ("content", "url"),
    [(b"http://127.0.0.1:1\n", "http://127.0.0.1:1"), (b"", None), (b" \n", None), (b"\xff\xfe", None)],
)
def test_a_note_that_is_empty_or_damaged_is_none(tmp_path, content, url):
    (tmp_path / "address").write_bytes(content)
    assert address.read_address(tmp_path) == url


@pytest.mark.parametrize("environ", [{}, {"POINTSMAN_HOME": "a"}, {"pointsman_home": "/b"}, {"POINTSMAN_HOME": "~/c"}])
def test_the_home_is_the_one_of_the_settings(monkeypatch, environ):
    monkeypatch.delenv("POINTSMAN_HOME", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert read_home(os.environ) == Settings().resolved().home
    assert read_home(environ).is_absolute()
    assert "~" not in str(read_home(environ))


def test_a_command_asks_the_gateway_of_its_home(tmp_path, monkeypatch):
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    assert address.find_url("") == "http://127.0.0.1:8000"
    settings = Settings(port=8110, host="::1").resolved()
    own_address.write_address(settings)
    assert address.find_url("") == "http://[::1]:8110"
    assert address.find_url("http://other:1") == "http://other:1"
    assert ApiClient("").url == "http://[::1]:8110"
    own_address.remove_address(Settings(port=8111).resolved())  # of another gateway
    assert address.find_url("") == "http://[::1]:8110"
    own_address.remove_address(settings)
    assert address.find_url("") == "http://127.0.0.1:8000"


def test_the_welcome_proposes_a_command_that_finds_this_gateway(tmp_path, monkeypatch):
    monkeypatch.delenv("POINTSMAN_URL", raising=False)
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    settings = Settings(port=8110).resolved()
    own_address.write_address(settings)
    assert "pointsman status  " in _welcome(settings)
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "other"))
    assert "pointsman status --url http://127.0.0.1:8110 " in _welcome(settings)
    assert "pointsman apply -f FILE --url http://127.0.0.1:8110  " in _welcome(settings)
    assert "cancer" not in _welcome(settings)  # only the demo has this route
    shown = _welcome(settings, ("pointsman shift cancer canary=20{option}", "move traffic"))
    assert "pointsman shift cancer canary=20 --url http://127.0.0.1:8110  " in shown
