"""Which requests a web page may cause: the rules as tables."""

import itertools

import pytest

from gateway.access.browser import BrowserPolicy, HostNames, browser_policy, host_of, is_change
from gateway.errors import CrossOrigin
from gateway.settings import Settings

_OURS = "127.0.0.1:8000"
_LISTED = b"https://app.example.com"


def policy(**settings: str) -> BrowserPolicy:
    return browser_policy(Settings(**{"cors_origins": _LISTED.decode(), **settings}), "vm17")


def is_answered(rules: BrowserPolicy, method: str, path: str, **headers: str) -> bool:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    try:
        rules.require(method, path, sent)
    except CrossOrigin:
        return False
    return True


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/v2/models/r/infer", "/v1/models/r:predict", "/api/status", "/metrics", "/docs", "/"]
)
def test_a_foreign_origin_is_refused_for_every_method_and_path(method, path):
    rules, wanted = policy(), {"host": _OURS, "content_type": "application/json"}
    assert is_answered(rules, method, path, **wanted)
    for origin in (
        "http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:3000", "127.0.0.1:8000",
        "http://127.0.0.1:8000.evil.example", "file://127.0.0.1:8000", "https://app.example.com.evil",
    ):  # fmt: skip
        assert not is_answered(rules, method, path, **wanted, origin=origin), origin
        assert not is_answered(rules, method, path, **wanted, origin=origin, sec_fetch_site="same-origin"), origin
    for site in ("cross-site", "same-site", "", "unknown"):
        assert not is_answered(rules, method, path, **wanted, sec_fetch_site=site), site
        assert not is_answered(rules, method, path, **wanted, sec_fetch_site=site, origin=f"http://{_OURS}"), site
    for origin, site in itertools.product((f"http://{_OURS}", f"https://{_OURS}"), ("same-origin", "none")):
        assert is_answered(rules, method, path, **wanted, origin=origin, sec_fetch_site=site)
    assert is_answered(rules, method, path, **wanted, origin=_LISTED.decode(), sec_fetch_site="cross-site")


@pytest.mark.parametrize(
    ("setting", "ours", "foreign"),
    [
        (
            "127.0.0.1",
            ["127.0.0.1", "127.0.0.1:8000", "localhost:9000", "LocalHost", "localhost.", "[::1]:8000", "[0:0::1]"],
            ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "", "vm17",
             "10.0.0.5:8000", "[::1", "[::1]x", "127.0.0.1:x", "::1", "evil.example:80:80", "[fe80::1]"],
        ),
        ("10.0.0.5", ["10.0.0.5:8000", "localhost", "vm17"], ["10.0.0.6", "evil.example"]),
        ("gateway.lan", ["gateway.lan:1", "GATEWAY.lan", "127.0.0.1"], ["lan", "x.gateway.lan", "10.0.0.6"]),
        ("0.0.0.0", ["10.0.0.5:8000", "[fe80::1]:8000", "vm17:8000", "localhost"], ["evil.example", "vm17.x"]),  # noqa: S104
        ("::", ["10.0.0.5", "[2001:db8::1]:8000", "vm17"], ["evil.example"]),
    ],
)  # fmt: skip
def test_with_open_access_only_our_hosts_are_served(setting, ours, foreign):
    rules = policy(host=setting, access="open")
    for host in ours:
        assert is_answered(rules, "GET", "/api/status", host=host), host
    for host in foreign:
        assert not is_answered(rules, "GET", "/api/status", host=host), host
        # The host decides even if the browser takes page and gateway for the same origin: DNS rebinding.
        site = {"origin": f"http://{host}", "sec_fetch_site": "same-origin"}
        assert not is_answered(rules, "POST", "/v2/models/r/infer", host=host, **site), host


def test_further_hosts_are_a_setting():
    rules = policy(allowed_hosts="pointsman.lan, *.example.com")
    for host, expected in (("pointsman.lan:8000", True), ("a.example.com", True), ("a.b.example.com", True),
                           ("example.com", False), ("xexample.com", False), ("lan", False)):  # fmt: skip
        assert is_answered(rules, "GET", "/v2", host=host) is expected, host
    assert is_answered(policy(allowed_hosts="*"), "GET", "/v2", host="any.thing")


@pytest.mark.parametrize(
    ("setting", "host"),
    [("pointsman.lan:8000", "pointsman.lan:8000"), ("Pointsman.LAN.", "pointsman.lan"),
     ("[2001:db8::1]:80", "[2001:db8::1]"), ("2001:db8::1", "[2001:DB8:0::1]:8000"),
     ("10.0.0.5", "10.0.0.5:8000"), ("*.Example.com:8000", "a.example.com")],
)  # fmt: skip
def test_a_further_host_may_be_written_in_any_form(setting, host):
    assert is_answered(policy(allowed_hosts=setting), "GET", "/v2", host=host)
    assert not is_answered(policy(), "GET", "/v2", host=host)


@pytest.mark.parametrize(
    "host", ["http://pointsman.lan", "pointsman.lan/", "a:b", "[::1", "me@pointsman.lan", "caf\u00e9.lan"]
)
def test_a_further_host_that_no_browser_could_send_is_refused_at_the_start(host):
    with pytest.raises(ValueError, match="POINTSMAN_ALLOWED_HOSTS"):
        policy(allowed_hosts=f"good.lan {host}")


@pytest.mark.parametrize(
    ("setting", "origin"),
    [("https://A.example.com:443", "https://a.example.com"), ("http://a.example.com:80", "http://a.example.com"),
     ("https://a.example.com:80", "https://a.example.com:80"), ("http://[::1]:3000", "http://[::1]:3000")],
)  # fmt: skip
def test_an_origin_of_the_settings_is_compared_as_browsers_write_it(setting, origin):
    site = {"host": _OURS, "origin": origin, "sec_fetch_site": "cross-site"}
    assert is_answered(policy(cors_origins=setting), "GET", "/v2", **site)
    assert not is_answered(policy(cors_origins=setting), "GET", "/v2", **{**site, "origin": origin + "0"})


def test_what_a_page_sent_is_shown_short_and_without_control_characters():
    for headers in (
        {b"host": b"\x1b[2J" + b"a" * 5000},
        {b"host": _OURS.encode(), b"origin": b"\x1b[2J" + b"a" * 5000},
    ):
        with pytest.raises(CrossOrigin) as refused:
            policy().require("GET", "/v2", headers)
        assert str(refused.value).isprintable()
        assert "\\x1b[2Jaaa" in str(refused.value)
        assert len(str(refused.value)) < 300


def test_a_host_that_is_not_there_is_no_browsers():
    assert is_answered(policy(), "GET", "/v2")
    assert not is_answered(policy(), "GET", "/v2", origin=f"http://{_OURS}")
    assert not is_answered(policy(), "GET", "/v2", origin="http://")


def test_the_case_of_host_and_origin_does_not_matter():
    assert is_answered(policy(), "GET", "/v2", host="LocalHost:8000", origin="http://localhost:8000")
    assert is_answered(policy(), "GET", "/v2", host="localhost:8000", origin="HTTP://LOCALHOST:8000")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_with_open_access_a_change_needs_a_header_that_other_pages_cannot_send(method):
    rules, path = policy(), "/api/routes/r/start"
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                 "text/plain;application/json", "application/octet-stream"):  # fmt: skip
        assert not is_answered(rules, method, path, host=_OURS, content_type=kind), kind
        assert is_answered(rules, method, path, host=_OURS, content_type=kind, x_pointsman="1"), kind
    assert not is_answered(rules, method, path, host=_OURS)
    assert not is_answered(rules, method, path, host=_OURS, origin=_LISTED.decode())
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/json ;q=1"):
        assert is_answered(rules, method, path, host=_OURS, content_type=kind), kind
    assert is_answered(rules, method, "/v2/repository/index", host=_OURS)
    assert is_answered(rules, method, "/v2/models/r/infer", host=_OURS)


def test_where_access_is_required_only_the_origin_counts():
    rules = policy(access="required")
    assert is_answered(rules, "POST", "/api/routes/r/start", host="any.thing")
    assert is_answered(rules, "POST", "/api/routes/r/start", host="any.thing", origin="https://any.thing")
    assert not is_answered(rules, "POST", "/api/routes/r/start", host="any.thing", origin="https://evil.example")


@pytest.mark.parametrize(
    "origin",
    ["*", "app.example.com", "https://", "https://a/b", "ftp://a", "https://a:b", "https://me@a", "https://a?b"],
)
def test_an_origin_of_another_form_is_refused_at_the_start(origin):
    with pytest.raises(ValueError, match="POINTSMAN_CORS_ORIGINS"):
        policy(cors_origins=f"https://good.example {origin}")


def test_what_a_change_is():
    assert is_change("DELETE", "/api/routes/r")
    assert is_change("POST", "/api/not-known-yet")
    assert not is_change("GET", "/api/routes/r")
    assert not is_change("POST", "/api/status")
    assert not is_change("POST", "/v2/models/r/infer")


def test_the_forms_of_a_host():
    assert host_of(b"[::1]:8000") == "::1"
    assert host_of(b"Name.:80") == "name"
    assert b"other" not in HostNames(["name"])
