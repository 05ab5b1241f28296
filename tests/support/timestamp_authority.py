"""An authority for timestamps (RFC 3161): `openssl ts`."""

import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support.components import need_program
from tests.support.sigstore_keys import PEM, Key

_SETTINGS = """
[tsa]
default_tsa = clock
[clock]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


def timestamp(content: bytes, key: Key, certificate: x509.Certificate) -> bytes:
    """Return the answer of the authority with this key and certificate: the content was there now."""
    need_program("openssl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings").write_text(_SETTINGS)
        (folder / "serial").write_text("01")
        (folder / "content").write_bytes(content)
        (folder / "certificate").write_bytes(certificate.public_bytes(PEM))
        form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "key").write_bytes(key.private_bytes(PEM, form, secret))
        _openssl(folder, "-query", "-data", "content", "-sha256", "-cert", "-out", "query")
        keys = ("-signer", "certificate", "-inkey", "key")
        _openssl(folder, "-reply", "-config", "settings", "-queryfile", "query", *keys, "-out", "reply")
        return (folder / "reply").read_bytes()


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", "ts", *arguments], cwd=folder, check=True, capture_output=True)
