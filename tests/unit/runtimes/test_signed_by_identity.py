"""An identity that sigstore has certified: only what it has signed, and what is in the log, is taken."""

import datetime
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from runtimes.errors import ModelRefused
from runtimes.signed import SIGNATURE, check_signature
from runtimes.signers.setting import changeable, read_signer
from tests.support.components import need_package
from tests.support.sigstore_instance import E_MAIL, ISSUER, SigstoreInstance
from tests.unit.runtimes.test_signed import FILES, manifest_of, refused, signed, statement

WORKFLOW = "https://github.com/org/repo/.github/workflows/train.yml@refs/heads/main"


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    need_package("sigstore")
    return SigstoreInstance()


@pytest.fixture
def trust(instance, tmp_path) -> Path:
    return instance.trust_root(tmp_path / "trusted_root.json")


@pytest.fixture
def wanted(trust) -> str:
    return f"identity:{E_MAIL},issuer:{ISSUER},trust:{trust}"


@pytest.fixture
def bundle(instance) -> dict[str, Any]:
    return instance.sign(statement(FILES))


def version(bundle: Any) -> dict[str, bytes]:
    return {**FILES, SIGNATURE: json.dumps(bundle).encode()}


def entry(bundle: Any) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


@pytest.mark.parametrize("identity", [E_MAIL, WORKFLOW])
def test_a_version_that_the_identity_has_signed_is_accepted_without_a_network(instance, trust, identity, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    named = {**statement(FILES), "subject": [{"name": "flowers", "digest": {"sha256": "00"}}]}
    files = version(instance.sign(named, identity))
    _, found = check_signature(files, manifest_of(files), f"identity:{identity},issuer:{ISSUER},trust:{trust}")
    assert found == f"2 files of 'flowers', signed by {identity}, for whom {ISSUER} has vouched"


def test_an_entry_of_rekor_2_counts_with_a_timestamp_of_an_authority_of_the_trust_root(tmp_path):
    need_package("sigstore")
    instance, other = (SigstoreInstance(datetime.datetime.now(datetime.UTC)) for _ in range(2))
    trust = instance.trust_root(tmp_path / "trusted_root.json")
    wanted = f"identity:{E_MAIL},issuer:{ISSUER},trust:{trust}"
    bundle = instance.sign(statement(FILES), rekor=2)
    files = version(bundle)
    check_signature(files, manifest_of(files), wanted)
    assert "was not signed by" in refused(
        version(instance.sign(statement(FILES), "other@example.com", rekor=2)), wanted
    )
    material = bundle["verificationMaterial"]
    stamps = material.pop("timestampVerificationData")
    assert "must contain an inclusion promise or signed timestamp" in refused(version(bundle), wanted)
    for foreign in (other, instance):  # one of another authority, and one of another signature
        foreign_bundle = foreign.sign(statement(FILES), rekor=2)
        material["timestampVerificationData"] = foreign_bundle["verificationMaterial"]["timestampVerificationData"]
        assert "not enough sources of verified time" in refused(version(bundle), wanted)
    material["timestampVerificationData"] = stamps
    material["tlogEntries"] = [entry(instance.sign(statement(FILES), rekor=2))]
    assert "inconsistent with other materials" in refused(version(bundle), wanted)


@pytest.mark.parametrize("identity", ["other@example.com", f"{E_MAIL}.org", E_MAIL.upper(), WORKFLOW])
def test_the_signature_of_another_identity_is_refused(instance, wanted, identity):
    sentence = refused(version(instance.sign(statement(FILES), identity)), wanted)
    assert f"was not signed by {E_MAIL}" in sentence
    assert identity in sentence


@pytest.mark.parametrize("issuer", ["https://other.example.com", f"{ISSUER}/", ""])
def test_an_identity_for_which_another_issuer_has_vouched_is_refused(instance, wanted, issuer):
    sentence = refused(version(instance.sign(statement(FILES), issuer=issuer)), wanted)
    assert f"was not signed by {E_MAIL}, for whom {ISSUER} has vouched" in sentence


def test_a_certificate_of_another_authority_is_refused(bundle, wanted, trust):
    assert f"is of no authority of {trust}" in refused(version(SigstoreInstance().sign(statement(FILES))), wanted)
    public = f"identity:{E_MAIL},issuer:{ISSUER}"
    assert "is of no authority of the public sigstore" in refused(version(bundle), public)


@pytest.mark.parametrize(("log", "why"), [("ctlogs", "SCT"), ("tlogs", "invalid log entry")])
def test_a_log_that_the_trust_root_does_not_name_counts_for_nothing(bundle, wanted, trust, tmp_path, log, why):
    other = json.loads(SigstoreInstance().trust_root(tmp_path / "other.json").read_text())
    trust.write_text(json.dumps({**json.loads(trust.read_text()), log: other[log]}))
    assert why in refused(version(bundle), wanted)


@pytest.mark.parametrize("late", [datetime.timedelta(minutes=11), datetime.timedelta(seconds=-1)], ids=str)
def test_a_signature_that_was_made_before_or_after_the_certificate_was_valid_is_refused(instance, wanted, late):
    assert "was not valid when" in refused(version(instance.sign(statement(FILES), late=late)), wanted)


@pytest.mark.parametrize("missing", ["inclusionPromise", "inclusionProof", "integratedTime", "canonicalizedBody"])
def test_a_bundle_without_the_proof_that_it_was_logged_is_refused(bundle, wanted, missing):
    del entry(bundle)[missing]
    assert f"was not signed by {E_MAIL}" in refused(version(bundle), wanted)


def test_a_bundle_without_an_entry_of_the_log_is_refused(bundle, wanted):
    bundle["verificationMaterial"]["tlogEntries"] = []
    assert "expected exactly one log entry" in refused(version(bundle), wanted)


def test_the_entry_of_another_signature_is_refused(instance, bundle, wanted):
    """Also if it is one of the same identity, over the same files, and is in the log."""
    bundle["verificationMaterial"]["tlogEntries"] = [entry(instance.sign(statement(FILES)))]
    assert "do not match" in refused(version(bundle), wanted)


def test_whatever_is_changed_in_a_bundle_it_is_refused(bundle, wanted):
    untouched = json.dumps(bundle)
    count = 0
    for change in leaves(bundle):
        undo = change()
        assert refused(version(bundle), wanted)
        undo()
        count += 1
    assert json.dumps(bundle) == untouched
    assert count > 15
    check_signature(version(bundle), manifest_of(version(bundle)), wanted)


def leaves(value: Any) -> Iterator[Callable[[], Callable[[], None]]]:
    """Yield functions that change one text of a bundle, and return what undoes it."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if not isinstance(inner, str):
            yield from leaves(inner)
            continue

        def change(key: Any = key, inner: str = inner) -> Callable[[], None]:
            middle = len(inner) // 2
            value[key] = inner[:middle] + ("1" if inner[middle] != "1" else "2") + inner[middle + 1 :]
            return lambda: value.__setitem__(key, inner)

        yield change


def test_a_file_that_is_another_one_or_new_or_missing_is_refused(bundle, instance, wanted):
    changed = {**version(bundle), "model.onnx": b"another model"}
    assert "model.onnx is not the file that was signed" in refused(changed, wanted)
    more = {**version(bundle), "code/helper.py": b"import os"}
    assert "code/helper.py is not signed" in refused(more, wanted)
    lists_more = instance.sign(statement({**FILES, "requirements.txt": b"numpy"}))
    assert "requirements.txt, which is signed" in refused(version(lists_more), wanted)
    of_other_model = instance.sign(statement({"model.onnx": b"another model", "data/weights.bin": b"its weights"}))
    assert "model.onnx is not the file that was signed" in refused(version(of_other_model), wanted)
    assert "has no file model.sig" in refused(FILES, wanted)


def test_what_the_identity_has_signed_must_be_a_statement_on_whole_files(instance, wanted):
    assert "signs something else than a model" in refused(version(instance.sign(statement(FILES), kind="text")), wanted)
    assert "something else than a model" in refused(version(instance.sign({"predicate": 3})), wanted)
    shards = statement(FILES, serialization={"method": "shards"})
    assert "does not list whole files" in refused(version(instance.sign(shards)), wanted)


def test_a_signature_that_was_made_with_a_key_is_refused(wanted):
    key = ec.generate_private_key(ec.SECP256R1())
    assert f"was not signed by {E_MAIL}" in refused({**FILES, SIGNATURE: signed(key, statement(FILES))}, wanted)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"mediaType": 3}'], ids=len)
def test_what_is_no_bundle_is_refused(wanted, content):
    assert f"was not signed by {E_MAIL}" in refused({**FILES, SIGNATURE: content}, wanted)


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_a_trust_root_that_lacks_a_part_vouches_for_nothing(bundle, wanted, trust, part):
    trust.write_text(json.dumps({**json.loads(trust.read_text()), part: []}))
    refused(version(bundle), wanted)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"mediaType": "other"}'])
def test_a_trust_root_that_cannot_be_read_is_told(bundle, wanted, trust, content):
    trust.unlink()
    if content is not None:
        trust.write_text(content)
    assert f"The trust root of {trust} (POINTSMAN_MODEL_SIGNATURE) cannot be read: " in refused(version(bundle), wanted)


def test_where_sigstore_is_not_installed_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    sentence = refused({**FILES, SIGNATURE: b"{}"}, f"identity:{E_MAIL},issuer:{ISSUER}")
    assert "pip install 'pointsman[sigstore]'" in sentence


@pytest.mark.parametrize(
    "setting",
    [
        "identity:",
        f"identity:{E_MAIL}",
        f"identity:{E_MAIL},issuer:",
        f"identity:,issuer:{ISSUER}",
        f"issuer:{ISSUER},identity:{E_MAIL}",
        f"identity:{E_MAIL},issuer:{ISSUER},trust:",
        f"identity:{E_MAIL},issuer:{ISSUER},trust:a,b",
        f"identity:{E_MAIL},issuer:{ISSUER},issuer:https://other.example.com",
        f"identity:{E_MAIL}, issuer:{ISSUER}",
        f"identity:{E_MAIL},issuer:{ISSUER}\n",
        f" identity:{E_MAIL},issuer:{ISSUER}",
        f"Identity:{E_MAIL},issuer:{ISSUER}",
    ],
)
def test_a_setting_that_could_be_meant_otherwise_is_refused(setting):
    with pytest.raises(ModelRefused, match="it must be key:FILE"):
        read_signer(setting)
    assert changeable(setting) == b""


def test_a_version_is_tried_anew_when_the_trust_root_is_another_one(wanted, trust):
    """The results of trials are named after what verification rests on."""
    before = changeable(wanted)
    assert before == changeable(wanted)
    SigstoreInstance().trust_root(trust)
    assert changeable(wanted) != before
