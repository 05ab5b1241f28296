"""The publisher's signature: each file must be the one that the owner of the key has signed."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runtimes import signed as signed_module
from runtimes.errors import ModelRefused
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from runtimes.signed import SIGNATURE, check_signature, check_unread
from runtimes.signers import key as key_module
from tests.support.noted_types import noted_late

CURVES = {
    ec.SECP256R1: hashes.SHA256(),
    ec.SECP384R1: hashes.SHA384(),
    ec.SECP521R1: hashes.SHA512(),
}
FILES = {"model.onnx": b"a model", "data/weights.bin": b"its weights"}
OF_MODEL_SIGNING = Path(__file__).with_name("model_signing_1.1.1.sig")
"""What `model_signing sign key` wrote for `FILES`, with the key of `PUBLIC`."""
PUBLIC = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECud6QbIMWsACSz9eGAibDMFbCLTx
t2RlbqHf49VMWQ7vJm6kYfHQPi4SlZtQOO2eJ7Z+B9kYM+5bHGkvExT6WA==
-----END PUBLIC KEY-----
"""
X = (TensorSpec("x", "FP32", (-1,)),)


def public_file(path: Path, key: Any) -> str:
    """Write the public key. Return the setting that names it."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(encoding, form))
    return f"key:{path}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def statement(files: Mapping[str, bytes], **predicate: Any) -> dict[str, Any]:
    resources = [{"name": name, "algorithm": "sha256", "digest": digest(content)} for name, content in files.items()]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": resources, **predicate},
    }


def signed(key: ec.EllipticCurvePrivateKey, content: Mapping[str, Any]) -> bytes:
    """Return a bundle as model-signing writes it."""
    payload, kind = json.dumps(content).encode(), "application/vnd.in-toto+json"
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = key.sign(encoded, ec.ECDSA(CURVES[type(key.curve)]))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    return json.dumps({"mediaType": "x", "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()


def manifest_of(files: Mapping[str, bytes], **more: Any) -> Manifest:
    pinned = tuple(PinnedFile(name, digest(content)) for name, content in files.items() if name != "model.onnx")
    own = digest(files["model.onnx"])
    return Manifest(runtime="onnx", file="model.onnx", sha256=own, files=pinned, inputs=X, outputs=X, **more)


def refused(files: Mapping[str, bytes], wanted: str, **more: Any) -> str:
    with pytest.raises(ModelRefused) as error:
        check_signature(files, manifest_of(files, **more), wanted)
    return str(error.value)


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def wanted(key, tmp_path) -> str:
    return public_file(tmp_path / "publisher.pem", key)


@pytest.mark.parametrize("curve", CURVES)
def test_a_version_that_was_signed_is_accepted(tmp_path, curve):
    key = ec.generate_private_key(curve())
    files = {**FILES, SIGNATURE: signed(key, statement(FILES))}
    _, found = check_signature(files, manifest_of(files), public_file(tmp_path / "key.pem", key))
    assert found == f"2 files, signed with the key of {tmp_path / 'key.pem'}"


def test_a_signature_that_model_signing_made_is_accepted(tmp_path):
    (tmp_path / "key.pem").write_text(PUBLIC)
    files = {**FILES, SIGNATURE: OF_MODEL_SIGNING.read_bytes()}
    check_signature(files, manifest_of(files), f"key:{tmp_path / 'key.pem'}")
    changed = {**files, "model.onnx": b"another model"}
    assert "model.onnx is not the file that was signed" in refused(changed, f"key:{tmp_path / 'key.pem'}")


def test_golden_requests_that_were_made_later_need_no_signature(key, wanted):
    files = {**FILES, "golden.json": b"[]", SIGNATURE: signed(key, statement(FILES))}
    check_signature(files, manifest_of(files, golden="golden.json"), wanted)
    assert "golden.json is not signed" in refused(files, wanted)


def test_what_is_called_golden_requests_must_hold_some_for_it_may_be_code(key, wanted):
    files = {**FILES, "code/helper.py": b"import os", SIGNATURE: signed(key, statement(FILES))}
    assert "golden requests cannot be read" in refused(files, wanted, golden="code/helper.py")


def test_files_without_a_manifest_must_be_signed_unless_they_hold_golden_requests(key, wanted):
    files = {**FILES, "model.yaml": b"", "golden.json": b"[]", SIGNATURE: signed(key, statement(FILES))}
    check_unread(files, wanted)
    for file in ("code/helper.py", "golden.json"):
        with pytest.raises(ModelRefused, match=f"{file} is not signed"):
            check_unread({**files, file: b"import os"}, wanted)


def test_a_version_that_was_not_tried_is_checked_when_it_is_loaded(key, wanted):
    """A version with `placement: process` or `dedicated` is loaded in a process that no trial comes before."""
    manifest, options = manifest_of(FILES, placement="process"), LoadOptions(signature=wanted)
    with pytest.raises(ModelRefused, match=r"has no file model\.sig, and must be signed"):
        load(FILES, manifest, options)
    files = {**FILES, SIGNATURE: signed(key, statement(FILES))}
    with pytest.raises(ModelRefused, match="ONNX"):  # it is signed, and no model
        load(files, manifest_of(files), options)


def test_a_signed_file_must_be_as_it_was_whatever_it_is_called_in_the_manifest(key, wanted):
    files = {**FILES, "data/weights.bin": b"[]", SIGNATURE: signed(key, statement(FILES))}
    for golden in ("", "data/weights.bin"):
        assert "data/weights.bin is not the file that was signed" in refused(files, wanted, golden=golden)
    files = {"model.onnx": b"other", SIGNATURE: signed(key, statement({"other": b""}))}
    assert "model.onnx is not signed" in refused(files, wanted, golden="model.onnx")


def test_a_version_without_a_signature_or_with_that_of_another_is_refused(tmp_path, wanted):
    assert "has no file model.sig" in refused(FILES, wanted)
    other = signed(ec.generate_private_key(ec.SECP256R1()), statement(FILES))
    assert "was not made with the key" in refused({**FILES, SIGNATURE: other}, wanted)


def test_a_file_that_is_missing_or_new_is_refused(key, wanted):
    bundle = signed(key, statement({**FILES, "requirements.txt": b"numpy"}))
    assert "requirements.txt, which is signed" in refused({**FILES, SIGNATURE: bundle}, wanted)
    bundle = signed(key, statement({"model.onnx": FILES["model.onnx"]}))
    assert "data/weights.bin is not signed" in refused({**FILES, SIGNATURE: bundle}, wanted)


def test_a_payload_that_was_changed_is_refused(key, wanted):
    bundle = json.loads(signed(key, statement(FILES)))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement({})).encode()).decode()
    assert "was not made with the key" in refused({**FILES, SIGNATURE: json.dumps(bundle).encode()}, wanted)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"dsseEnvelope": {"payload": "%", "payloadType": "", "signatures": []}}',
    ],
    ids=len,
)
def test_what_is_no_bundle_is_refused(wanted, content):
    assert "is no signature" in refused({**FILES, SIGNATURE: content}, wanted)


@pytest.mark.parametrize(
    "changed",
    [
        statement(FILES, serialization={"method": "shards"}),
        statement(FILES, resources=[{"name": "model.onnx", "algorithm": "blake3", "digest": "00"}]),
        {**statement(FILES), "predicateType": "other"},
    ],
)
def test_what_lists_no_whole_files_is_refused(key, wanted, changed):
    assert "does not list whole files" in refused({**FILES, SIGNATURE: signed(key, changed)}, wanted)
    assert "something else than a model" in refused({**FILES, SIGNATURE: signed(key, {"predicate": 3})}, wanted)


def test_a_setting_that_is_wrong_is_told(tmp_path):
    (tmp_path / "text.pem").write_text("no key")
    assert "must be key:" in refused(FILES, "identity:me@example.com")
    for path in ("text.pem", "absent.pem"):
        assert "cannot be read" in refused(FILES, f"key:{tmp_path / path}")
    setting = public_file(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.generate())
    assert "is of no curve of secp256r1" in refused(FILES, setting)


@pytest.mark.parametrize("kind", [signed_module._Statement, key_module._Bundle])
def test_the_types_of_signatures_are_noted_before_threads_read_signatures(kind):
    assert noted_late(kind) == ""
