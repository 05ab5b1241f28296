"""Decides which requests a web page in an operator's browser may cause.

A browser sends requests for any page that it shows, also to this machine's loopback address. Three rules keep other
pages out. They need no state, and programs that are no browsers do not notice them:

1. Where access is open, `Host` must be a name of this gateway. Otherwise a page could let its own name point to this
   machine (DNS rebinding), and the browser would take both for the same origin.
2. `Origin` must be the origin that the request is sent to, or one of POINTSMAN_CORS_ORIGINS. `Sec-Fetch-Site` must be
   `same-origin` or `none`. A browser sets both itself (https://www.w3.org/TR/fetch-metadata/).
3. Where access is open, a change needs a header that a page of another origin cannot send without asking first, with
   OPTIONS: `content-type: application/json`, or `x-pointsman: 1`.

Where access is required, no page knows the key, so rules 1 and 3 would add nothing. Rule 2 holds there, too: it is the
same for every gateway, and a browser presents a client certificate without asking the page.

A prediction whose request has neither `Origin` nor `Sec-Fetch-Site` does not come from a page, since a browser sends
`Origin` with every POST (https://fetch.spec.whatwg.org/#origin-header). The endpoint asks nothing then.
"""

import ipaddress
from collections.abc import Collection, Mapping

from gateway.access.change_header import CHANGE_HEADER
from gateway.access.requirement import is_loopback, require_access
from gateway.errors import CrossOrigin
from gateway.settings import Settings

Headers = Mapping[bytes, bytes]

_CHANGES = "/api/"
_READ_ONLY = frozenset({"/api/status", "/api/replicas", "/api/audit", "/api/models"})  # 405 to any change
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OUR_SITES = (None, b"same-origin", b"none")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to
_ANY = "*"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class BrowserPolicy:
    """The rules of one gateway. `hosts` is None if the name of the host does not matter."""

    def __init__(self, hosts: "HostNames | None", origins: Collection[bytes] = ()) -> None:
        self._hosts = hosts
        self._origins = frozenset(origins)

    @property
    def has_origins(self) -> bool:
        """Return True if pages of other origins may send requests."""
        return bool(self._origins)

    def is_listed(self, headers: Headers) -> bool:
        """Return True if the request comes from a page of POINTSMAN_CORS_ORIGINS."""
        return headers.get(b"origin") in self._origins

    def require(self, method: str, path: str, headers: Headers) -> None:
        """Return if the request may be answered.

        Raises:
            CrossOrigin: it may come from a page that is not ours.
        """
        host = headers.get(b"host")
        if self._hosts is not None and host is not None and host not in self._hosts:
            raise CrossOrigin(
                f"{_shown(host)} is no name of this gateway; POINTSMAN_ALLOWED_HOSTS lists more names that it may have."
            )
        if not self.is_listed(headers):
            _require_same_origin(headers, host)
        if self._hosts is not None and is_change(method, path) and not _is_deliberate(headers):
            raise CrossOrigin(
                f"A change needs the header content-type: application/json or {CHANGE_HEADER}: 1, which a web page of "
                "another origin cannot send."
            )


class HostNames:
    """The names that a gateway goes by: the host of a URL, in lower case, without port and brackets.

    `*` stands for every name, and `*.example.com` for every name below that domain. With `addresses`, every IP address
    is a name: no page can let an address point elsewhere.
    """

    def __init__(self, names: Collection[str], *, addresses: bool = False) -> None:
        self._names = frozenset(map(_normal, names))
        self._domains = tuple(name[1:] for name in self._names if name.startswith("*."))
        self._addresses = addresses

    def __contains__(self, header: object) -> bool:
        """Return True if the value of a `Host` header names this gateway."""
        name = host_of(header) if isinstance(header, bytes) else None
        if name is None:
            return False
        if name in self._names or _ANY in self._names or name.endswith(self._domains):
            return True
        return self._addresses and _is_address(name)


def is_change(method: str, path: str) -> bool:
    """Return True if the request may change something of the operators' API. A path that is not known may."""
    return method not in _SAFE_METHODS and path.startswith(_CHANGES) and path not in _READ_ONLY


def host_of(header: bytes) -> str | None:
    """Return the name or address in the value of `Host`, without the port; None if it is malformed."""
    text = header.decode("latin-1")
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        is_well_formed = bool(bracket) and (not port or port.startswith(":"))
        port = port.removeprefix(":")
    else:
        name, _, port = text.partition(":")
        is_well_formed = True
    if not is_well_formed or not name or not (port.isdigit() or not port):
        return None
    return _normal(name)


def browser_policy(settings: Settings, machine: str) -> BrowserPolicy:
    """Return the rules that the settings ask for. `machine` is the name of this machine.

    Raises:
        ValueError: an origin is not of the form `https://name[:port]`, a host is no name, or `require_access` raises.
    """
    origins = [_origin(each) for each in settings.cors_origins.replace(",", " ").split()]
    if require_access(settings):
        return BrowserPolicy(None, origins)
    listed = [_host(each) for each in settings.allowed_hosts.replace(",", " ").split()]
    names = {*_LOOPBACK, settings.host, *listed}
    if is_loopback(settings.host):
        return BrowserPolicy(HostNames(names), origins)
    is_wildcard = _normal(settings.host) in _WILDCARDS
    return BrowserPolicy(HostNames({*names, machine}, addresses=is_wildcard), origins)


def _require_same_origin(headers: Headers, host: bytes | None) -> None:
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
    if origin is not None:
        scheme, _, authority = origin.lower().partition(b"://")
        if scheme not in (b"http", b"https") or host is None or authority != host.lower():
            raise CrossOrigin(
                f"A web page of the origin {_shown(origin)} sent this; only pages of this gateway and of "
                "POINTSMAN_CORS_ORIGINS may."
            )
    if site not in _OUR_SITES:
        raise CrossOrigin(
            f"A web page of another origin sent this (sec-fetch-site: {_shown(site or b'')}); only pages of this "
            "gateway and of POINTSMAN_CORS_ORIGINS may."
        )


def _is_deliberate(headers: Headers) -> bool:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind == b"application/json" or headers.get(CHANGE_HEADER.encode()) == b"1"


def _origin(text: str) -> bytes:
    scheme, _, authority = text.lower().partition("://")
    if scheme not in _DEFAULT_PORTS or not _is_authority(authority):
        raise ValueError(
            f"POINTSMAN_CORS_ORIGINS has {text!r}; an origin has the form https://name or https://name:port."
        )
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS[scheme])}".encode()  # as browsers write it


def _host(text: str) -> str:
    """Return a name of POINTSMAN_ALLOWED_HOSTS without its port, which does not matter."""
    if _is_address(text):  # such as ::1 without brackets
        return text
    name = host_of(text.encode()) if _is_authority(text) else None
    if name is None:
        raise ValueError(f"POINTSMAN_ALLOWED_HOSTS has {text!r}; a name has the form pointsman.lan or *.example.com.")
    return name


def _is_authority(text: str) -> bool:
    """Return True if the text is a host with or without a port, and nothing else."""
    return text.isascii() and not set(text) & set("/@?#") and host_of(text.encode()) is not None


def _normal(name: str) -> str:
    """Return the form in which names are compared. IPv6 addresses can be written in many ways."""
    name = name.lower().removeprefix("[").removesuffix("]").rstrip(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


_MOST_SHOWN = 64


def _shown(value: bytes) -> str:
    return repr(value[:_MOST_SHOWN].decode("latin-1"))
