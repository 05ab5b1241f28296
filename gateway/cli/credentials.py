"""What the command line sends to prove who it is.

Credentials come from the environment, so that none appears in a list of processes or in a shell's history:
`POINTSMAN_KEY` holds an API key or a token. For TLS there are `POINTSMAN_CA` (PEM of the authority that signed the
gateway's certificate) and `POINTSMAN_CLIENT_CERTIFICATE` (PEM with the client's certificate and its key).
"""

import ssl
from collections.abc import Mapping

from gateway.cli.api_error import ApiError


def credential(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header with the key of the environment, if there is one.

    Raises:
        ApiError: no header can hold it.
    """
    key = environ.get("POINTSMAN_KEY", "").strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ApiError("POINTSMAN_KEY is neither an API key nor a token: it holds blanks or strange characters.")
    return {"authorization": f"Bearer {key}"}


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the TLS context with the authority to trust and the certificate to present.

    Without an authority, the ones that the machine trusts count.

    Raises:
        ApiError: a file cannot be used.
    """
    authority, certificate = environ.get("POINTSMAN_CA"), environ.get("POINTSMAN_CLIENT_CERTIFICATE")
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate)
    except OSError as error:  # the base class of ssl.SSLError
        raise ApiError(f"POINTSMAN_CA or POINTSMAN_CLIENT_CERTIFICATE cannot be used: {error}.") from error
    return context
