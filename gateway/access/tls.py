"""TLS for the HTTP port and the gRPC port, from the files that the settings name.

The files are read once, at start. A renewed certificate is used from the next start on. Replacing the replicas one by
one does that without an interruption.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """Files that could be read and fit each other. With `client_ca`, clients need a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def for_uvicorn(self) -> dict[str, Any]:
        """Return arguments of `uvicorn.Config`."""
        arguments: dict[str, Any] = {"ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        if self.client_ca is not None:
            arguments |= {"ssl_ca_certs": self.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return arguments

    def for_grpc(self) -> ssl.SSLContext:
        """Return the context for connections to the gRPC port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["h2"])
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def load_tls(settings: Settings) -> Tls | None:
    """Check the files. Return None if no certificate is set.

    Raises:
        ValueError: a setting is missing, or a file cannot be read or does not fit the others; the sentence names it.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise ValueError("TLS needs both POINTSMAN_TLS_CERTIFICATE and POINTSMAN_TLS_KEY.")
    _require_pem(certificate, "POINTSMAN_TLS_CERTIFICATE", b"CERTIFICATE")
    _require_pem(key, "POINTSMAN_TLS_KEY", b"PRIVATE KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(_misfit(certificate, key, error)) from error
    if client_ca is not None:
        _require_pem(client_ca, "POINTSMAN_TLS_CLIENT_CA", b"CERTIFICATE")
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise ValueError(f"POINTSMAN_TLS_CLIENT_CA: {client_ca} holds no certificate that can be read.") from error
    return Tls(certificate, key, client_ca)


def _require_pem(path: Path, setting: str, what: bytes) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{setting}: {path} cannot be read ({error.strerror}).") from error
    if what + b"-----" not in content:
        raise ValueError(f"{setting}: {path} holds no {what.decode().lower()} in PEM form.")
    if b"ENCRYPTED" in content:
        raise ValueError(f"{setting}: {path} is encrypted, and the gateway has no password for it; decrypt it.")


def _no_password() -> str:
    """Return no password. Without this callback, OpenSSL would ask for one at the terminal."""
    return ""


def _misfit(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"The key {key} is not the one that the certificate {certificate} was made for."
    return f"The certificate {certificate} or its key {key} is damaged ({error.reason or 'no PEM'})."
