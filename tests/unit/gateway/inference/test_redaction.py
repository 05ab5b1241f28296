"""What is logged of the values of a route that redacts."""

import math
import time

import msgspec
import numpy as np
import pytest

from gateway.inference.log_bounds import LogBounds, logged_values
from gateway.inference.redacted_text import hides, redacted_text
from gateway.inference.redaction import REPLACED, Redactor, logged_inputs_of, redacted_labels, unknown_names
from gateway.inference.unit_secret import hash_unit
from inference_log.record import Context, Kept
from inference_log.values import elements
from router.spec.log import RedactAction, Redaction
from router.spec.parse_log import parse_log
from runtimes.datatypes import BYTES, tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec

SECRET = b"s" * 32
OUTPUTS = (TensorSpec("label", "BYTES", (-1,)), TensorSpec("scores", "FP32", (-1, 1)))
SIGNATURE = Signature(
    inputs=(
        TensorSpec("email", "BYTES", (-1, 1)),
        TensorSpec("X", "FP32", (-1, 3), columns=("age", "income", "odd name'")),
        TensorSpec("town", "BYTES", (-1,)),
        TensorSpec("n", "INT64", (-1, 1)),
    ),
    outputs=OUTPUTS,
)


def redact(**rules: str) -> dict[str, Redaction]:
    return dict(parse_log({"redact": rules}).redact)


def logged(rules: dict[str, Redaction], signature: Signature = SIGNATURE, bounds: LogBounds | None = None, **inputs):
    """Return what is logged of these inputs and the context that says what it is."""
    found = logged_inputs_of(signature, rules)
    context = Context(
        0, "r", "a", "primary", "split", 1, "h", {}, "m", "1", "d", found.features, found.inputs,
        label=(0, "|O"), prediction=(1, "<f4"), categories=found.categories,
    )  # fmt: skip
    numbers = [spec.name for spec in signature.inputs if spec.datatype != "BYTES"]
    texts = [spec.name for spec in signature.inputs if spec.datatype == "BYTES"]
    size = len(inputs["n"])
    labels = inputs.pop("label", tensor_of_bytes([b"yes"] * size, (size,)))
    outputs = [labels, np.ones((size, 1), "<f4")]
    redactor = Redactor(found.rules, inputs, SECRET) if found.rules else None
    ordered = [inputs[name] for name in (*numbers, *texts)]
    return context, logged_values(bounds or LogBounds(), context, size, ordered, outputs, (0, 1), redactor)


def two(**changes):
    return {
        "email": tensor_of_bytes([b"ada@x.org", b""], (2, 1)),
        "X": np.array([[37, 1000, -3], [42, math.nan, math.inf]], "<f4"),
        "town": tensor_of_bytes([b"Delft", "Köln".encode()], (2,)),
        "n": np.array([[7], [8]], "<i8"),
        **changes,
    }


def test_without_rules_everything_is_logged_as_it_came():
    assert logged_inputs_of(SIGNATURE, {}) == (
        ("age", "income", "odd name'", "n"), ("<f4", "<i8"), ("email", "town"), None
    )  # fmt: skip


def test_what_is_dropped_is_in_no_name_and_no_byte():
    context, kept = logged(redact(age="drop", email="drop", n="drop"), **two())
    assert (context.features, context.inputs, context.categories) == (("income", "odd name'"), ("<f4",), ("town",))
    assert len(kept.inputs) == 2
    np.testing.assert_array_equal(np.frombuffer(kept.inputs[0], "<f4"), np.array([1000, -3, math.nan, math.inf], "<f4"))
    assert elements(kept.inputs[1]) == [b"Delft", "Köln".encode()]


def test_the_name_of_an_input_means_all_its_features_but_for_those_that_are_named():
    context, kept = logged(redact(X="drop", income="bucket 300"), **two())
    assert (context.features, context.inputs) == (("income", "n"), ("<f8", "<i8"))
    np.testing.assert_array_equal(np.frombuffer(kept.inputs[0], "<f8"), [900, math.nan])


def test_a_bucket_is_the_multiple_below_and_keeps_what_is_no_number():
    context, kept = logged({"odd name'": Redaction(RedactAction.BUCKET, 10.0), **redact(n="bucket 5")}, **two())
    assert context.inputs == ("<f8", "<f8")
    np.testing.assert_array_equal(np.frombuffer(kept.inputs[0], "<f8"), [37, 1000, -10, 42, math.nan, math.inf])
    np.testing.assert_array_equal(np.frombuffer(kept.inputs[1], "<f8"), [5, 5])


def test_no_number_makes_a_bucket_fail():
    extremes = np.array([[1e38, -1e38, 0], [np.finfo("f4").tiny, -0.0, -math.inf]], "<f4")
    _, kept = logged(redact(X="bucket 0.000001"), **two(X=extremes))
    assert len(kept.inputs[0]) == 6 * 8


def test_texts_are_hashed_cut_or_masked():
    _, kept = logged(redact(email="hmac", town="truncate 2"), **two())
    hashed, missing = elements(kept.inputs[2])
    assert (len(hashed), missing) == (32, b"")
    assert hashed == redacted_text(b"ada@x.org", Redaction(RedactAction.HMAC), SECRET)
    assert elements(kept.inputs[3]) == [b"De", "Kö".encode()]
    _, kept = logged(redact(email="mask", town="mask"), **two())
    assert elements(kept.inputs[2]) == [b"xxx@x.xxx", b""]
    assert elements(kept.inputs[3]) == [b"xxxxx", b"xxxx"]


def test_a_hash_needs_the_secret_and_is_not_that_of_a_unit():
    hashes = {redacted_text(b"ada", Redaction(RedactAction.HMAC), key) for key in (SECRET, b"t" * 32)}
    assert len(hashes) == 2
    assert hash_unit("ada", SECRET).encode() not in hashes


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (b"NL91 ABNA 0417 1643 00", b"xx99 xxxx 9999 9999 99"),
        ("é-日本?".encode(), b"x-xxx"),
        (b"\xff\x00-", b"x\x00-"),
    ],
)
def test_a_mask_leaves_the_form(text, form):
    assert redacted_text(text, Redaction(RedactAction.MASK), SECRET) == form


@pytest.mark.parametrize("text", [b"\xff\xfe\xfd\xfc\xfb", "𝔸𝔹ℂ𝔻".encode(), "é".encode() * 9])
def test_a_cut_text_has_so_many_characters(text):
    assert len(redacted_text(text, Redaction(RedactAction.TRUNCATE, 3.0), SECRET).decode()) == 3


def test_an_action_that_does_not_fit_its_values_drops_them():
    context, _ = logged(redact(age="hmac", town="bucket 5"), **two())
    assert (context.features, context.categories) == (("income", "odd name'", "n"), ("email",))


def test_a_name_that_is_not_there_hides_all_inputs():
    """A version that an alias brings may call a feature by another name."""
    assert unknown_names(SIGNATURE, redact(years="drop", age="drop")) == ["years"]
    context, kept = logged(redact(years="drop"), **two(label=tensor_of_bytes([b"Delft", b"no"], (2,))))
    assert (context.features, context.inputs, context.categories, kept.inputs) == ((), (), (), ())
    assert elements(kept.outputs[0]) == [REPLACED, b"no"]


def test_a_label_does_not_repeat_what_is_hidden():
    labels = tensor_of_bytes([b"mail to ada@x.org", b""], (2,))
    _, kept = logged(redact(email="hmac"), **two(label=labels))
    assert elements(kept.outputs[0]) == [REPLACED, b""]
    assert kept.kept is None
    _, kept = logged(redact(town="drop"), **two(label=tensor_of_bytes([b"Delft", b"Delft"], (2,))))
    assert elements(kept.outputs[0]) == [REPLACED, b"Delft"]  # the second is of Köln


def test_short_texts_are_hidden_only_if_they_are_the_label():
    assert hides(b"no", b"no")
    assert not hides(b"north", b"no")
    assert hides(b"north", b"nort")
    assert not hides(b"", b"")


def test_texts_of_no_instance_hide_labels_of_all():
    labels = tensor_of_bytes([b"alpha", b"beta", b""], (3,))
    pairs = tensor_of_bytes([b"beta", b"x", b"y", b"z"], (2, 2))
    assert redacted_labels(labels, [pairs]).tolist() == [b"alpha", REPLACED, b""]
    many = np.full(200_000, b"other", BYTES)
    assert redacted_labels(labels, [many]).tolist() == [REPLACED, REPLACED, b""]


def test_a_sample_of_instances_hides_the_labels_of_its_own():
    texts = [b"text-%d" % each for each in range(5000)]
    signature = Signature(inputs=(TensorSpec("t", "BYTES", (-1,)), TensorSpec("n", "INT64", (-1, 1))), outputs=OUTPUTS)
    tensor = tensor_of_bytes(texts, (5000,))
    _, kept = logged(redact(t="drop"), signature, t=tensor, n=np.zeros((5000, 1), "<i8"), label=tensor)
    assert kept.kept == Kept(1000, has_values=True, is_missing=False)
    assert set(elements(kept.outputs[0])) == {REPLACED}


def test_whether_a_label_is_missing_does_not_depend_on_redaction():
    labels = tensor_of_bytes([b"ada@x.org", b""], (2,))
    for bounds in (LogBounds(), LogBounds(max_bytes=0)):
        _, kept = logged(redact(email="hmac"), bounds=bounds, **two(label=labels))
        assert b"" in elements(kept.outputs[0]) if kept.kept is None else kept.kept.is_missing


def test_sixteen_megabytes_of_text_cost_little():
    long = tensor_of_bytes([b"y" * 16_000_000, b"z"], (2, 1))
    for action in ("hmac", "mask", "truncate 5", "drop"):
        began_s = time.perf_counter()
        _, kept = logged(redact(email=action), **two(email=long))
        assert time.perf_counter() - began_s < 1.0  # about 20 ms
        assert kept.kept is None
    many = {"email": np.full((50_000, 1), b"ada@x.org", BYTES), "town": np.full(50_000, b"Delft", BYTES)}
    rest = {"X": np.zeros((50_000, 3), "<f4"), "n": np.zeros((50_000, 1), "<i8")}
    began_s = time.perf_counter()
    _, kept = logged(redact(email="hmac", town="mask"), **many, **rest)
    assert time.perf_counter() - began_s < 1.0
    assert kept.kept == Kept(1000, has_values=True, is_missing=False)


def test_a_tensor_that_is_not_of_the_signature_is_not_logged():
    odd = {**two(), "X": np.zeros((2, 4), "<f4")[:, :2]}
    _, kept = logged(redact(age="drop"), **odd)
    assert kept.inputs[0] == b""


def test_the_record_can_be_written():
    context, kept = logged(redact(age="drop", email="mask"), **two())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(context), type=Context) == context
    assert all(isinstance(each, bytes) for each in kept.inputs)
