"""Signed tokens: which are valid, whose they are, and for how long they are remembered."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.access import tokens as tokens_module
from gateway.access.signing_keys import read_signing_keys
from gateway.access.tokens import LEEWAY_S, TokenVerifier
from gateway.errors import NotReady, Unauthenticated


@pytest.fixture
def verifier(source, wall) -> TokenVerifier:
    return TokenVerifier(source, "", "", wall_s=wall)


def segment(value: object) -> bytes:
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=")


def unsigned(header: object, claims: object, signature: bytes = b"") -> bytes:
    return b".".join((segment(header), segment(claims), segment(signature)))


CLAIMS = {"exp": time.time() + 3600, "sub": "eve", "scope": "predict read reward operate"}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_each_algorithm_is_verified(verifier, issuer, algorithm):
    caller = verifier.caller(issuer.token(algorithm, scope="predict read:fraud openid"))
    assert caller.name == "token of ada"
    assert dict(caller.grants) == {"predict": None, "read": frozenset({"fraud"})}


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "predict:fraud"},
        {"scope": None, "scp": "predict:fraud"},
        {"scope": None, "scp": ["predict:fraud"]},
        {"scope": None, "scopes": ["predict:fraud"]},
        {"scope": "predict", "routes": ["fraud"]},
        {"scope": "predict:fraud predict:ranker", "routes": ["fraud", "other"]},
    ],
)
def test_scopes_and_routes_are_read_from_the_usual_claims(verifier, issuer, claims):
    assert dict(verifier.caller(issuer.token(**claims)).grants) == {"predict": frozenset({"fraud"})}


def test_an_empty_list_of_routes_and_a_missing_scope_grant_nothing(verifier, issuer):
    assert dict(verifier.caller(issuer.token(routes=[])).grants) == {}
    assert dict(verifier.caller(issuer.token(scope=None)).grants) == {}


@pytest.mark.parametrize(
    "claims",
    [{"routes": "fraud"}, {"routes": [1]}, {"routes": {"fraud": 1}}, {"scope": 5}, {"scope": {"predict": 1}}],
)
def test_a_limit_that_cannot_be_read_is_refused(verifier, issuer, claims):
    with pytest.raises(Unauthenticated, match="claims are not as they should be"):
        verifier.caller(issuer.token(**claims))


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "ada@example.org"}, "token of ada@example.org"),
        ({"sub": None, "client_id": "batch"}, "token of batch"),
        ({"sub": None, "azp": "batch"}, "token of batch"),
        ({"sub": None}, "token of without a subject"),
        ({"sub": "åsa\r\nx-evil: 1"}, "token of \\xe5sa??x-evil: 1"),
    ],
)
def test_a_caller_is_named_in_plain_ascii_on_one_line(verifier, issuer, claims, name):
    assert verifier.caller(issuer.token(**claims)).name == name


def test_a_very_long_name_is_cut(verifier, issuer):
    assert len(verifier.caller(issuer.token(sub="x" * 3000)).name) < 150


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"exp": time.time() - LEEWAY_S - 5}, "has expired"),
        ({"exp": None}, "lacks a claim"),
        ({"nbf": time.time() + LEEWAY_S + 3600}, "not valid yet; compare the clocks"),
        ({"iat": time.time() + LEEWAY_S + 3600}, "not valid yet"),
        ({"exp": "soon"}, "neither an API key"),
        ({"exp": 1e400}, "neither an API key"),
        ({"exp": [1]}, "neither an API key"),
        ({"nbf": {}}, "neither an API key"),
        ({"sub": 5}, "neither an API key"),
    ],
)
def test_times_and_claims_are_checked(verifier, issuer, claims, sentence):
    with pytest.raises(Unauthenticated, match=sentence):
        verifier.caller(issuer.token(**claims))


@pytest.mark.parametrize(("claim", "off_s"), [("exp", -LEEWAY_S / 2), ("nbf", LEEWAY_S / 2)])
def test_clocks_may_differ_a_little(source, issuer, claim, off_s):
    token = issuer.token(**{claim: time.time() + off_s})  # made now: the tests were collected a while ago
    assert TokenVerifier(source, "", "").caller(token).name == "token of ada"


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"iss": "https://evil", "aud": "pointsman"}, "another issuer"),
        ({"aud": "pointsman"}, "lacks a claim"),
        ({"iss": "https://idp"}, "lacks a claim"),
        ({"iss": "https://idp", "aud": "billing"}, "another audience"),
        ({"iss": "https://idp", "aud": []}, "lacks a claim"),
        ({"iss": ["https://idp"], "aud": "pointsman"}, "another issuer"),
    ],
)
def test_issuer_and_audience_are_checked_where_they_are_set(source, issuer, claims, sentence):
    verifier = TokenVerifier(source, "https://idp", "pointsman")
    verifier.caller(issuer.token(iss="https://idp", aud=["billing", "pointsman"]))
    with pytest.raises(Unauthenticated, match=sentence):
        verifier.caller(issuer.token(**claims))


def test_the_audience_is_not_checked_where_none_is_set(verifier, issuer):
    assert verifier.caller(issuer.token(aud="billing")).name == "token of ada"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 5])
def test_an_unsigned_token_is_refused(verifier, algorithm):
    for key_id in ("RS256", "ES256", "EdDSA"):
        with pytest.raises(Unauthenticated):
            verifier.caller(unsigned({"alg": algorithm, "typ": "JWT", "kid": key_id}, CLAIMS))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("digest", [("HS256", hashlib.sha256), ("HS512", hashlib.sha512)])
def test_a_public_key_does_not_serve_as_a_shared_secret(verifier, issuer, algorithm, digest):
    public = issuer.private[algorithm].public_key()
    encodings = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(issuer.jwk(algorithm)).encode(),
    ]
    for secret in encodings:
        signed = b".".join((segment({"alg": digest[0], "typ": "JWT", "kid": algorithm}), segment(CLAIMS)))
        token = signed + b"." + segment(hmac.digest(secret, signed, digest[1]))
        with pytest.raises(Unauthenticated, match="not signed in the way that its key is for"):
            verifier.caller(token)


@pytest.mark.parametrize("named", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("signed", ["RS256", "ES256", "EdDSA"])
def test_a_token_must_be_signed_by_the_key_that_it_names(verifier, issuer, named, signed):
    token = issuer.token(signed, headers={"kid": named})
    if named == signed:
        verifier.caller(token)
    else:
        with pytest.raises(Unauthenticated, match="not signed in the way that its key is for"):
            verifier.caller(token)


def test_a_token_that_another_key_signed_is_refused(verifier):
    token = jwt.encode(CLAIMS, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "ES256"})
    with pytest.raises(Unauthenticated, match="signature is not valid"):
        verifier.caller(token.encode())


def test_a_key_that_the_token_brings_itself_is_not_used(verifier, issuer):
    other = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(other.public_key(), as_dict=True)
    headers = {"kid": "ES256", "jwk": jwk, "jku": "http://127.0.0.1:9/keys"}
    with pytest.raises(Unauthenticated, match="signature is not valid"):
        verifier.caller(jwt.encode(CLAIMS, other, algorithm="ES256", headers=headers).encode())


def test_changed_claims_are_refused(verifier, issuer):
    head, _, signature = issuer.token().split(b".")
    with pytest.raises(Unauthenticated, match="signature is not valid"):
        verifier.caller(b".".join((head, segment(CLAIMS), signature)))


def test_an_unknown_key_id_requests_the_keys_again(verifier, source, issuer):
    for _ in range(3):
        with pytest.raises(Unauthenticated, match="does not publish"):
            verifier.caller(issuer.token(headers={"kid": "rotated"}))
    assert source.refreshes == 3
    source.current = read_signing_keys(json.dumps({"keys": [issuer.jwk("ES256", kid="rotated")]}).encode())
    assert verifier.caller(issuer.token(headers={"kid": "rotated"})).name == "token of ada"


def test_a_token_without_a_key_id_uses_the_only_key(source, issuer, verifier):
    token = jwt.encode({"exp": time.time() + 60}, issuer.private["ES256"], algorithm="ES256").encode()
    with pytest.raises(Unauthenticated, match="does not publish"):
        verifier.caller(token)
    source.current = read_signing_keys(issuer.jwks("ES256"))
    assert verifier.caller(token).name == "token of without a subject"


@pytest.mark.parametrize("key_id", [[], {}, 5, None, True])
def test_a_key_id_that_is_no_text_is_refused(verifier, key_id):
    with pytest.raises(Unauthenticated):
        verifier.caller(unsigned({"alg": "ES256", "kid": key_id}, CLAIMS, b"x" * 64))


@pytest.mark.parametrize(
    "token",
    [
        unsigned({"alg": "ES256", "kid": "ES256", "crit": ["b64"], "b64": False}, CLAIMS, b"x" * 64),
        unsigned({"alg": "ES256", "kid": "ES256", "crit": ["exp"]}, CLAIMS, b"x" * 64),
        unsigned(b"[" * 5000, CLAIMS),
        unsigned(b'{"alg": ' + b"[" * 3000, CLAIMS),
        unsigned(["ES256"], CLAIMS),
        unsigned(b"\xff\xfe", CLAIMS),
        unsigned({"alg": "ES256", "kid": "ES256"}, b"[" * 5000, b"x" * 64),
        b"",
        b".",
        b"..",
        b"....",
        b"\x00.\x00.\x00",
        b"a" * 8193,
    ],
    ids=range(13),
)
def test_a_token_that_cannot_be_read_is_refused(verifier, token):
    with pytest.raises(Unauthenticated):
        verifier.caller(token)


def test_signed_claims_that_cannot_be_read_are_refused(verifier, issuer):
    for payload in (b"[" * 5000, b"[]", b"null", b"\xff", b'{"exp": 1e999}', b'{"exp": ' + b"9" * 5000 + b"}"):
        token = jwt.PyJWS().encode(payload, issuer.private["ES256"], algorithm="ES256", headers={"kid": "ES256"})
        with pytest.raises(Unauthenticated):
            verifier.caller(token.encode())


def test_before_any_signing_key_was_read_it_is_not_ready(source, issuer, verifier):
    source.current = None
    with pytest.raises(NotReady, match="Try again soon"):
        verifier.caller(issuer.token())


@pytest.fixture
def checks(verifier, monkeypatch):
    """Return the list of tokens whose signatures are checked from now on."""
    checked: list[bytes] = []
    check = verifier._check

    def count(token):
        checked.append(token)
        return check(token)

    monkeypatch.setattr(verifier, "_check", count)
    return checked


def test_a_token_is_checked_once(verifier, issuer, checks):
    token = issuer.token()
    callers = {id(verifier.caller(token)) for _ in range(3)}
    assert (checks, len(callers)) == ([token], 1)


def test_a_remembered_token_expires(verifier, issuer, wall):
    token = issuer.token(exp=wall.now_s + 60)
    verifier.caller(token)
    wall.now_s += 60 + LEEWAY_S - 2
    verifier.caller(token)
    wall.now_s += 2
    with pytest.raises(Unauthenticated, match="has expired"):
        verifier.caller(token)


def test_tokens_of_a_withdrawn_key_are_refused(verifier, source, issuer):
    token = issuer.token("ES256")
    verifier.caller(token)
    source.current = read_signing_keys(issuer.jwks("RS256", "EdDSA"))
    with pytest.raises(Unauthenticated, match="does not publish"):
        verifier.caller(token)


def test_the_tokens_used_last_are_remembered(verifier, issuer, checks, monkeypatch):
    monkeypatch.setattr(tokens_module, "_REMEMBERED", 2)
    used, *others = [issuer.token(sub=name) for name in "abcd"]
    verifier.caller(used)
    for other in others:
        verifier.caller(other)
        verifier.caller(used)
    assert checks == [used, *others]
    assert len(verifier._known) == 2


def test_a_refused_token_is_not_remembered(verifier, issuer):
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            verifier.caller(issuer.token(exp=1))
    assert not verifier._known
