"""An identity that sigstore has certified, as `model_signing sign sigstore` signs.

The bundle holds the certificate, which lives for minutes, and the proof that the signature was in a public log then.
The package `sigstore` verifies all of it against a trust root: a file with the certificates of the authorities and the
keys of the logs. It is imported here only, for it takes a second and 55 MB. Nothing is asked of the network.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from runtimes.errors import ModelRefused
from runtimes.signers.signer import SIGNATURE, STATEMENT_TYPE

if TYPE_CHECKING:
    from sigstore.verify import Verifier

_PUBLIC_INSTANCE = "https://tuf-repo-cdn.sigstore.dev"
_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class CertifiedIdentity:
    """An e-mail address, or the URI of a workflow, for which `issuer` has vouched to sigstore.

    `trust` is the file of the trust root. Without it, the one of the public sigstore that its package holds is used.
    """

    identity: str
    issuer: str
    trust: str = ""

    @property
    def how(self) -> str:
        """By what it was signed, after `signed`."""
        return f"by {self.identity}, for whom {self.issuer} has vouched"

    def statement(self, bundle: bytes) -> bytes:
        """Return the statement in a bundle that the identity has signed.

        Raises:
            ModelRefused: it has not; or sigstore is not installed, or the trust root cannot be read.
        """
        verifier = self._verifier()
        from sigstore.errors import CertValidationError
        from sigstore.models import Bundle
        from sigstore.verify.policy import Identity

        try:
            kind, payload = verifier.verify_dsse(
                Bundle.from_json(bundle), Identity(identity=self.identity, issuer=self.issuer)
            )
        except CertValidationError as error:
            raise ModelRefused(
                f"The certificate in {SIGNATURE} is of no authority of {self._trusted()}, or it was not valid when "
                f"{SIGNATURE} was made: {_reason(error)}."
            ) from error
        except Exception as error:  # whatever foreign bytes cause in it, this is no signature
            raise ModelRefused(f"{SIGNATURE} was not signed {self.how}: {_reason(error)}.") from error
        if kind != STATEMENT_TYPE:
            raise ModelRefused(f"{SIGNATURE} signs something else than a model: {kind!r}.")
        return bytes(payload)

    def _verifier(self) -> "Verifier":
        try:
            from sigstore.models import TrustedRoot
            from sigstore.verify import Verifier
        except ImportError as error:
            raise ModelRefused(
                f"POINTSMAN_MODEL_SIGNATURE names an identity, and sigstore cannot be imported ({error}). "
                "Install it beside the gateway: pip install 'pointsman[sigstore]'."
            ) from error
        try:
            return Verifier(trusted_root=TrustedRoot.from_file(self.trust or _public_root()))
        except Exception as error:  # what the file holds may cause anything in it
            raise ModelRefused(
                f"The trust root of {self._trusted()} (POINTSMAN_MODEL_SIGNATURE) cannot be read: {_reason(error)}."
            ) from error

    def _trusted(self) -> str:
        return self.trust or "the public sigstore"


def _public_root() -> str:
    """Return the file that sigstore's package holds. `TrustedRoot.production` would read one from the user's cache."""
    return str(files("sigstore") / "_store" / quote(_PUBLIC_INSTANCE, safe="") / "trusted_root.json")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or repr(error)
    return text[:_MAX_REASON].rstrip(".")
