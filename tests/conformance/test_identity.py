"""Tensors that a client sends to a model that changes nothing come back bit for bit."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.conformance.foreign import KINDS, V2, Foreign, Kind, Request
from tests.conformance.models import SHAPED, rows_of
from tests.conformance.samples import bits, extremes, rows, tensor

NOT_IN_JSON = ("FP16", "BF16")
# Enough for a response that is worth compressing.
MANY, FEW = 700, 4


def cases() -> Iterator[object]:
    for name in V2:
        kind = KINDS[name]
        for datatype in kind.datatypes:
            for encoding in kind.encodings:
                if can_carry(kind, datatype, encoding):
                    for compression in kind.compressions:
                        words = (name, datatype, *map(_encoding, encoding), *(each or "plain" for each in compression))
                        yield pytest.param(name, datatype, encoding, compression, id="-".join(words))


def can_carry(kind: Kind, datatype: str, encoding: tuple[bool, bool]) -> bool:
    """Return True if the encoding has the datatype: FP16 and BF16 have no JSON and no typed contents."""
    return datatype not in NOT_IN_JSON or encoding == (True, True)


def _encoding(is_binary: bool) -> str:
    return "binary" if is_binary else "json"


@pytest.mark.parametrize(("client", "datatype", "encoding", "compression"), list(cases()), indirect=["client"])
@pytest.mark.parametrize("names", [None, ("Y",)], ids=["all", "requested"])
def test_rows_come_back_as_they_were(client: Foreign, datatype, encoding, compression, names):
    binary_in, binary_out = encoding
    sent = rows(datatype, MANY if any(compression) else FEW, as_json=not (binary_in and binary_out))
    response = client.infer(
        Request(
            rows_of(datatype),
            (tensor("X", sent),),
            names,
            binary_in=binary_in,
            binary_out=binary_out,
            compression_in=compression[0],
            compression_out=compression[1],
        )
    )
    assert response.names == ["Y"]
    assert bits(response.array("Y")) == bits(sent)
    assert (response.route, response.parameters["arm"]) == (rows_of(datatype), "only")


def shaped() -> Iterator[object]:
    for name in V2:
        for encoding in KINDS[name].encodings:
            yield pytest.param(name, encoding, id=f"{name}-{'-'.join(map(_encoding, encoding))}")


@pytest.mark.parametrize(("client", "encoding"), list(shaped()), indirect=["client"])
@pytest.mark.parametrize("datatype", SHAPED)
@pytest.mark.parametrize(
    ("model", "shape"),
    [("list", (5,)), ("list", (1,)), ("scalar", ()), ("grid", (2, 4)), ("grid", (3, 1)), ("fixed", (2, 3))],
)
def test_every_shape_comes_back(client: Foreign, encoding, datatype, model, shape):
    sent = np.resize(extremes(datatype, as_json=True), shape)
    request = Request(
        f"{model}-{datatype.lower()}", (tensor("X", sent, datatype),), binary_in=encoding[0], binary_out=encoding[1]
    )
    assert bits(client.infer(request).array("Y")) == bits(sent)


@pytest.mark.parametrize(("client", "encoding"), list(shaped()), indirect=["client"])
@pytest.mark.parametrize("datatype", SHAPED)
@pytest.mark.parametrize(("model", "shape"), [("rows", (0, 3)), ("list", (0,)), ("grid", (2, 0)), ("grid", (0, 0))])
def test_nothing_comes_back_as_nothing(client: Foreign, encoding, datatype, model, shape):
    sent = np.empty(shape, extremes(datatype).dtype)
    request = Request(
        f"{model}-{datatype.lower()}", (tensor("X", sent, datatype),), binary_in=encoding[0], binary_out=encoding[1]
    )
    assert client.infer(request).array("Y").shape == shape
