"""MLflow's and SageMaker's bodies become the tensors of any signature, and answers are written as their servers do."""

import gc
import json
import tracemalloc
from io import BytesIO

import numpy as np
import orjson
import pytest

from gateway.errors import BadRequest, UnsupportedContent
from gateway.protocols.frame_layout import layouts
from gateway.protocols.request import InferenceRequest
from gateway.protocols.scoring_answers import accepted_type, encode
from gateway.protocols.scoring_http import content_type_of, decode
from runtimes.datatypes import tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec
from tests.unit.gateway.protocols.support import RESPONSE, signature

NAMED = signature(TensorSpec("X", "FP32", (-1, 2), ("age", "size")))
PLAIN = signature(TensorSpec("X", "FP64", (-1, 2)))
FRAME = signature(TensorSpec("age", "FP64", (-1,)), TensorSpec("sex", "BYTES", (-1,)), TensorSpec("n", "INT64", (-1,)))
SINGLES = signature(TensorSpec("age", "FP32", (-1, 1)), TensorSpec("sex", "BYTES", (-1, 1)))
IMAGES = signature(TensorSpec("X", "FP32", (-1, 2, 2)))
WAVE = Signature((TensorSpec("wave", "FP32", (-1,)), TensorSpec("rate", "INT64", ())), (), "none")
ROW = Signature((TensorSpec("X", "FP32", (2,), ("age", "size")),), (), "none")
FLAGS = signature(TensorSpec("ok", "BOOL", (-1,)), TensorSpec("n", "INT32", (-1,)))


def read(given, body, kind=None, *, takes_lists=False):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(content, kind, given, takes_lists=takes_lists)


def values(given, body, kind=None):
    return {name: tensor.tolist() for name, tensor in read(given, body, kind).inputs.items()}


def refusal(given, body, kind=None):
    with pytest.raises(BadRequest) as refused:
        read(given, body, kind)
    assert str(refused.value).endswith(".")
    return str(refused.value)


MATRIX = [[1.0, 2.5], [3.0, 4.0]]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["age", "size"], "data": [[1, 2.5], [3, 4]]}},
        {"dataframe_split": {"columns": ["size", "age"], "index": [0, 1], "data": [[2.5, 1], [4, 3]]}},
        {"dataframe_split": {"columns": ["size", "x", "age"], "data": [[2.5, "z", 1], [4, [{}], 3]]}},
        {"dataframe_split": {"columns": ["X"], "data": [[[1, 2.5]], [[3, 4]]]}},
        {"dataframe_records": [{"age": 1, "size": 2.5}, {"size": 4, "age": 3, "x": None}]},
        {"instances": [{"age": 1, "size": 2.5}, {"size": 4, "age": 3}]},
        {"instances": [{"X": [1, 2.5]}, {"X": [3, 4]}]},
        {"instances": [[1, 2.5], [3, 4]]},
        {"inputs": [[1, 2.5], [3, 4]]},
        {"inputs": {"X": [[1, 2.5], [3, 4]]}},
        {"inputs": {"size": [2.5, 4], "age": [1, 3], "x": [0, 0]}, "more": 1},
    ],
)
def test_a_matrix_may_come_as_table_or_tensor(body):
    assert values(NAMED, body) == {"X": MATRIX}
    assert read(NAMED, body).batch_size == 2


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"data": MATRIX}},
        {"dataframe_split": {"columns": ["b", "a"], "data": MATRIX}},
        {"dataframe_split": {"columns": [0, 1], "data": MATRIX}},
        {"dataframe_records": [{"b": 1, "a": 2.5}, {"a": 4, "b": 3}]},
    ],
)
def test_without_names_of_its_own_a_model_takes_columns_by_position(body):
    assert values(PLAIN, body) == {"X": MATRIX}


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (FRAME, {"dataframe_split": {"columns": ["n", "sex", "age"], "data": [[1, "f", 2], [2, None, None]]}}),
        (FRAME, {"dataframe_records": [{"n": 1, "sex": "f", "age": 2}, {"n": 2}]}),
        (FRAME, {"instances": [{"n": 1, "sex": "f", "age": 2}, {"n": 2, "sex": None, "age": "NaN"}]}),
        (FRAME, {"inputs": {"n": [1, 2], "sex": ["f", ""], "age": [2, None]}}),
    ],
)
def test_a_frame_has_a_column_for_each_input_and_may_lack_values(given, body):
    tensors = read(given, body).inputs
    assert tensors["n"].tolist() == [1, 2]
    assert tensors["sex"].tolist() == [b"f", b""]
    np.testing.assert_array_equal(tensors["age"], [2, np.nan])


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["sex", "age"], "data": [["f", 1], ["m", 2]]}},
        {"dataframe_records": [{"sex": "f", "age": 1}, {"sex": "m", "age": 2}]},
        {"inputs": {"sex": ["f", "m"], "age": [1, 2]}},
        {"inputs": {"sex": [["f"], ["m"]], "age": [[1], [2]]}},
        {"instances": [{"sex": ["f"], "age": [1]}, {"sex": ["m"], "age": [2]}]},
    ],
)
def test_columns_of_one_value_may_be_written_plainly(body):
    assert values(SINGLES, body) == {"age": [[1.0], [2.0]], "sex": [[b"f"], [b"m"]]}


def test_an_object_of_single_values_is_one_row():
    assert values(FRAME, {"inputs": {"n": 1, "sex": "f", "age": 2}}) == {"age": [2.0], "sex": [b"f"], "n": [1]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[[1, 2], [3, 4]]]},
        {"dataframe_split": {"columns": ["X"], "data": [[[[1, 2], [3, 4]]]]}},
        {"inputs": {"X": [[[1, 2], [3, 4]]]}},
    ],
)
def test_cells_may_be_nested(body):
    assert values(IMAGES, body) == {"X": [[[1.0, 2.0], [3.0, 4.0]]]}


@pytest.mark.parametrize(
    ("given", "body", "tensors"),
    [
        (WAVE, {"dataframe_split": {"columns": ["rate", "wave"], "data": [[8000, [1, 2, 3]]]}}, None),
        (WAVE, {"instances": [{"rate": 8000, "wave": [1, 2, 3]}]}, None),
        (WAVE, {"inputs": {"rate": 8000, "wave": [1, 2, 3]}}, None),
        (ROW, {"dataframe_records": [{"age": 1, "size": 2}]}, {"X": [1.0, 2.0]}),
        (ROW, {"dataframe_split": {"columns": ["size", "age"], "data": [[2, 1]]}}, {"X": [1.0, 2.0]}),
        (ROW, {"inputs": {"age": 1, "size": 2}}, {"X": [1.0, 2.0]}),
        (ROW, {"inputs": [1, 2]}, {"X": [1.0, 2.0]}),
    ],
)
def test_a_request_that_is_one_instance_is_one_row(given, body, tensors):
    assert values(given, body) == (tensors or {"wave": [1.0, 2.0, 3.0], "rate": 8000})
    assert read(given, body).batch_size == 1


@pytest.mark.parametrize(
    ("given", "content", "tensors"),
    [
        (NAMED, b"age,size\n1,2.5\n3,4\n", {"X": MATRIX}),
        (NAMED, b"\xef\xbb\xbfsize,x,age\r\n2.5,z,1\r\n4,,3", {"X": MATRIX}),
        (NAMED, b"1,2.5\n3,4\n", {"X": MATRIX}),
        (PLAIN, b"1,2.5\n3,4\n", {"X": MATRIX}),
        (PLAIN, b"b,a\n1,2.5\n3,4\n", {"X": MATRIX}),
        (FRAME, b'sex,n,age\n"f, ""x""\n",1,2\n', {"age": [2.0], "sex": [b'f, "x"\n'], "n": [1]}),
        (FRAME, "2,\u2028ü,1\n".encode(), {"age": [2.0], "sex": ["\u2028ü".encode()], "n": [1]}),
        (SINGLES, b"age,sex\n1,f\n", {"age": [[1.0]], "sex": [[b"f"]]}),
        (FLAGS, b"n,ok\n1,True\n-2,false\n", {"ok": [True, False], "n": [1, -2]}),
    ],
)
def test_csv_has_a_header_or_none(given, content, tensors):
    assert values(given, content, b"text/csv; charset=UTF-8") == tensors


NUMBERED = signature(TensorSpec("X", "FP32", (-1, 2), ("0", "1")))
COLORS = signature(TensorSpec("color", "BYTES", (-1,)), TensorSpec("amount", "FP32", (-1,)))
TEXTS = signature(TensorSpec("text", "BYTES", (-1,)))
PLAIN_TEXTS = signature(TensorSpec("X", "BYTES", (-1, 2)))


@pytest.mark.parametrize(
    ("given", "content", "tensors"),
    [
        (NUMBERED, b"0,3\n5,7\n", {"X": [[0.0, 3.0], [5.0, 7.0]]}),
        (NUMBERED, b"0,0\n", {"X": [[0.0, 0.0]]}),
        (NUMBERED, b"0.2,1\n", {"X": [[np.float32(0.2), 1.0]]}),
        (NUMBERED, b"0,1,more\n5,7,8\n", {"X": [[5.0, 7.0]]}),
        (COLORS, b"red,\n", {"color": [b"red"], "amount": [np.nan]}),
        (COLORS, b"5,3\n", {"color": [b"5"], "amount": [3.0]}),
        (TEXTS, b"text\ngood film\n", {"text": [b"good film"]}),
    ],
)
def test_a_line_that_can_be_a_row_alone_is_a_row(given, content, tensors):
    for name, tensor in read(given, content, b"text/csv").inputs.items():
        np.testing.assert_array_equal(tensor, np.array(tensors[name], tensor.dtype))


@pytest.mark.parametrize(
    ("given", "content", "rows"),
    [
        (NUMBERED, b"0,1\n5,7\n", [[0, 1], [5, 7]]),
        (NUMBERED, b"1,0\n7,5\n", [[1, 0], [7, 5]]),
        (TEXTS, b"review\ngood film\n", None),
        (TEXTS, b"5\ngood film\n", None),
        (PLAIN_TEXTS, b"a,b\nx,y\n", [[b"a", b"b"], [b"x", b"y"]]),
        (COLORS, b"color,3\nred,4\n", None),
    ],
)
def test_a_line_that_may_be_a_header_or_a_row_is_refused_unless_the_content_type_says_which(given, content, rows):
    assert "may be a header or a row" in refusal(given, content, b"text/csv")
    (row, *_) = read(given, content, b"text/csv; header=absent").inputs.values()
    assert len(row) == 2
    if rows:
        assert row.tolist() == rows
        (row,) = read(given, content, b'text/csv; charset=utf-8; header="Present"').inputs.values()
        assert row.tolist() == ([[5, 7]] if given is NUMBERED else rows[1:])
    else:
        assert "lacks the columns" in refusal(given, content, b"text/csv; header=present")


@pytest.mark.parametrize("content", [b"1,?\n5,7\n", b"n.a.,2\n5,7\n", b"0x10,2\n", b"?,?\n5,7\n", b"1_0,2\n5,7\n"])
def test_a_row_with_a_fault_is_no_header(content):
    assert "the model takes FP64" in refusal(PLAIN, content, b"text/csv")


def test_without_names_a_header_names_no_column_twice():
    assert "names a column twice" in refusal(PLAIN, b"n.a.,n.a.\n5,7\n", b"text/csv")


def test_csv_has_missing_values():
    request = read(FRAME, b"age,sex,n\n,,1\nNA,NA,2\n", b"text/csv")
    assert np.isnan(request.inputs["age"]).all()
    assert request.inputs["sex"].tolist() == [b"", b"NA"]


def test_numpys_format_is_read_and_written():
    for array in (np.array(MATRIX), np.asfortranarray(MATRIX, np.float32), np.array([[1, 2], [3, 4]])):
        file = BytesIO()
        np.save(file, array)
        (tensor,) = read(NAMED, file.getvalue(), b"application/x-npy").inputs.values()
        np.testing.assert_array_equal(tensor, array.astype(np.float32), strict=True)


def test_lines_and_lists_are_instances():
    lines = b"[1, 2.5]\n\n[3, 4]\r\n"
    assert values(NAMED, lines, b"application/jsonlines") == {"X": MATRIX}
    assert values(NAMED, b'{"age": 1, "size": 2.5}\n{"size": 4, "age": 3}', b"application/jsonlines") == {"X": MATRIX}
    assert read(NAMED, MATRIX, takes_lists=True).inputs["X"].tolist() == MATRIX
    assert "Expected `object`" in refusal(NAMED, MATRIX)


def test_columns_that_callers_choose_take_little_memory():
    names = [f"c{index}" for index in range(500)]
    wide = signature(TensorSpec("X", "FP32", (-1, 500), tuple(names)))
    read(wide, split([*names, "first"], [0.5] * 501))
    tracemalloc.start()
    try:
        for index in range(100):
            read(wide, split([*names, f"other{index}"], [0.5] * 501))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 6 << 20
    finally:
        tracemalloc.stop()


def test_what_does_not_change_between_requests_is_found_once():
    again = signature(TensorSpec("X", "FP32", (-1, 2), ("age", "size")))
    assert layouts(NAMED) is layouts(again)
    assert content_type_of(b"text/csv; header=present") is content_type_of(b"text/csv; header=present")


def test_params_are_parameters():
    assert read(NAMED, {"instances": MATRIX, "params": {"user": "u"}}).parameters == {"user": "u"}
    assert "params" in refusal(NAMED, {"instances": MATRIX, "params": {"user": [1]}})


def split(columns: list[str], *rows: object) -> dict[str, object]:
    return {"dataframe_split": {"columns": columns, "data": list(rows)}}


BOTH = ["age", "size"]


@pytest.mark.parametrize(
    ("given", "body", "sentence"),
    [
        (NAMED, {}, "it has none"),
        (NAMED, {"instances": MATRIX, "inputs": MATRIX}, "it has instances and inputs"),
        (NAMED, split(["age", "x"], [1, 2]), "lacks the columns 'size'. It has also 'x', which"),
        (NAMED, {"dataframe_split": {"data": MATRIX, "columns": [0, 1]}}, "lacks the columns 'age', 'size'"),
        (NAMED, split(["age", "age", "size"], [1, 2, 3]), "names a column twice"),
        (NAMED, split([*BOTH, *map(str, range(1025))], [1] * 1027), "has 1025 columns that the model does not take"),
        (NAMED, split(BOTH, [1]), "takes 2"),
        (NAMED, split(BOTH, [1, 2], [3]), "ragged"),
        (NAMED, split(BOTH, [1, "q"]), "holds 'q'"),
        (NAMED, split(BOTH, [1, "2"]), "holds '2'"),
        (NAMED, split(BOTH, [1, True]), "got `bool`"),
        (NAMED, split(BOTH, [1, 1e39]), "does not fit FP32"),
        (NAMED, split(BOTH), "has no rows"),
        (NAMED, {"dataframe_split": [[1, 2]]}, "Expected `object`, got `array`"),
        (NAMED, {"dataframe_records": {"age": 1}}, "Expected `array`, got `object`"),
        (NAMED, {"dataframe_records": [{"age": 1}]}, "lacks the columns 'size'"),
        (NAMED, {"dataframe_records": []}, "has no rows"),
        (NAMED, {"instances": []}, "has no rows"),
        (NAMED, {"inputs": {"age": [1, 2], "size": [1]}}, "differ in length"),
        (NAMED, {"inputs": {"age": [1, 2]}}, "lacks the columns 'size'"),
        (PLAIN, split(["a"], [1]), "has 1 columns; the model takes 2"),
        (FRAME, split(["n", "sex", "age"], [1.5, "f", 2]), "got `float`"),
        (FRAME, split(["n", "sex", "age"], [None, "f", 2]), "got `null`"),
        (FRAME, split(["n", "sex", "age"], [1, 5, 2]), "got `int`"),
        (FRAME, split(["n", "sex", "age"], [2**63, "f", 2]), "does not fit INT64"),
        (FRAME, {"dataframe_records": [{"n": 1, "sex": "f", "age": 2}, {"sex": "f", "age": 2}]}, "Column n is missing"),
        (WAVE, {"instances": [{"rate": 1, "wave": [1]}] * 2}, "takes one instance in each request, not 2"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_a_sentence(given, body, sentence):
    assert sentence in refusal(given, body)


@pytest.mark.parametrize(
    ("given", "content", "sentence"),
    [
        (NAMED, b"", "is empty"),
        (NAMED, b"age,size\n", "has no rows"),
        (NAMED, b"age\n1\n", "lacks the columns 'size'"),
        (NAMED, b"age,size\n1\n", "Row 1 of the table has 1 cells and not 2"),
        (NAMED, b"age,size\n1,2,3\n", "Row 1 of the table has 3 cells and not 2"),
        (NAMED, b"age,size\n1,q\n", "holds 'q'; the model takes FP32"),
        (NAMED, b"age,size\n1,1_0\n", "holds '1_0'"),
        (NAMED, b"age,size\n1,\xff\n", "not UTF-8"),
        (NAMED, b"age,size\n1,\0\n", "NUL"),
        (NAMED, b'age,size\n1,"2\n', "no CSV"),
        (NAMED, b"age,size\n1," + b"2" * 200_000, "no CSV"),
        (NAMED, b"age,age,size\n1,2,3\n", "names a column twice"),
        (FRAME, b"age,sex,n\n1,f,1.5\n", "Column n holds '1.5'"),
        (FRAME, b"age,sex,n\n1,f,\n", "Column n holds ''"),
        (FRAME, b"age,sex,n\n1,f," + b"9" * 5000, "the model takes INT64"),
        (FRAME, b"age,sex,n\n1,f,+-1", "Column n holds '+-1'"),
        (FLAGS, b"ok,n\nyes,1\n", "Column ok holds 'yes'"),
        (NAMED, b"\n" * 1_000_001, "more than 1000000 lines"),
        (NAMED, b"\r" * 1_000_001, "more than 1000000 lines"),
        (NAMED, b"," * 1_000_000, "has more than 1026 cells"),
        (IMAGES, b"1,2\n", "CSV needs; send JSON"),
    ],
)
def test_csv_that_does_not_fit_is_refused_with_a_sentence(given, content, sentence):
    assert sentence in refusal(given, content, b"text/csv")


def npy(array, **changed):
    file = BytesIO()
    np.save(file, array)
    content = file.getvalue()
    for old, new in changed.items():
        content = content.replace(old.encode(), new)
    return content


@pytest.mark.parametrize(
    ("given", "content", "sentence"),
    [
        (NAMED, b"PK\x03\x04", "not in NumPy's format"),
        (NAMED, npy(np.zeros((1, 2)))[:-1], "15 bytes follow"),
        (NAMED, npy(np.zeros((1, 2))).replace(b"(1, 2)", b"(9**9,)"), "NumPy's format"),
        (NAMED, npy(np.zeros((1, 2))).replace(b"(1, 2),", b"(999999,"), "NumPy's format"),
        (NAMED, npy(np.array([["a", 2]], object)), "is of type object"),
        (NAMED, npy(np.zeros((2, 3))), "has shape [2, 3]"),
        (FRAME, npy(np.zeros((2, 3))), "has 3 inputs; send JSON"),
        (FLAGS, npy(np.zeros(2)), "has 2 inputs"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_nothing_is_unpickled(given, content, sentence):
    assert sentence in refusal(given, content, b"application/x-npy")


@pytest.mark.parametrize(
    "kind",
    [
        b"application/xml",
        b"text/csv; charset=latin-1",
        b"text/csv; header=yes",
        b"text/csv; header=present; header=absent",
        b"application/json; header=present",
        b"application/json; format=x",
        b";",
    ],
)
def test_other_content_types_are_refused(kind):
    with pytest.raises(UnsupportedContent):
        read(NAMED, {"instances": MATRIX}, kind)


@pytest.mark.parametrize(
    "content",
    [
        b'{"instances": ' + b"[" * 100_000,
        b'{"dataframe_split": {"columns": ["age", "size", "x"], "data": [[1, 2, ' + b"[" * 5000 + b"]" * 5000 + b"]]}}",
        b"[" * 100_000,
        b'{"instances": [[1, 2]], "params": ' + b'{"a":' * 50_000,
        b'{"dataframe_records": [{"age": "\\ud800", "size": 1}]}',
        b"\xff\xfe",
        b'{"instances": [[1, "\xff"]]}',
    ],
)
def test_hostile_bodies_are_refused(content):
    assert refusal(NAMED, content)


def test_of_a_key_that_is_there_twice_the_last_counts():
    assert values(NAMED, b'{"instances": [[9, 9]], "instances": [[1, 2]]}') == {"X": [[1.0, 2.0]]}


def test_bare_words_are_numbers():
    (tensor,) = read(
        NAMED, b'{"dataframe_split": {"columns": ["size", "age"], "data": [[NaN, -Infinity]]}}'
    ).inputs.values()
    np.testing.assert_array_equal(tensor, np.array([[-np.inf, np.nan]], np.float32))


def written(outputs, tensors, kind="application/json", *, by_name=False, is_frame=False, batch=0):
    given = Signature((TensorSpec("X", "FP32", (-1, 2)),), outputs, batch)
    request = InferenceRequest("", {}, {}, None, 2, is_frame)
    content = encode(kind, RESPONSE, request, given, tensors, by_name=by_name)
    return orjson.loads(content)["predictions"] if kind == "application/json" else content


LABEL = TensorSpec("label", "INT64", (-1,))
TEXT = TensorSpec("label", "BYTES", (-1,))
SCORES = TensorSpec("scores", "FP32", (-1, 2))
Y = TensorSpec("y", "FP32", (-1, 1))
LABELS, NUMBERS = np.array([1, 0]), np.array([[0.5, 1], [2, np.nan]], np.float32)
WORDS = tensor_of_bytes([b"a", b"b,"], (2,))
ROWS = [[0.5, 1.0], [2.0, None]]


@pytest.mark.parametrize(
    ("outputs", "tensors", "options", "predictions"),
    [
        ((LABEL, SCORES), [LABELS, NUMBERS], {}, [1, 0]),
        ((TEXT, SCORES), [WORDS, NUMBERS], {}, ["a", "b,"]),
        ((SCORES,), [NUMBERS], {}, ROWS),
        ((SCORES, LABEL), [NUMBERS, LABELS], {}, [{"scores": ROWS[0], "label": 1}, {"scores": ROWS[1], "label": 0}]),
        ((SCORES, LABEL), [NUMBERS, LABELS], {"by_name": True}, {"scores": ROWS, "label": [1, 0]}),
        ((Y,), [NUMBERS[:, :1]], {"by_name": True}, {"y": [[0.5], [2.0]]}),
        ((Y,), [NUMBERS[:, :1]], {"by_name": True, "is_frame": True}, [{"y": 0.5}, {"y": 2.0}]),
    ],
)
def test_answers_are_those_of_predict(outputs, tensors, options, predictions):
    assert written(outputs, tensors, **options) == predictions


def test_answers_may_be_csv_or_an_array():
    assert written((TEXT, SCORES), [WORDS, NUMBERS], "text/csv") == b'a\n"b,"\n'
    assert written((SCORES, LABEL), [NUMBERS, LABELS], "text/csv") == b"0.5,1.0,1\n2.0,nan,0\n"
    content = written((SCORES,), [NUMBERS], "application/x-npy")
    np.testing.assert_array_equal(np.load(BytesIO(content), allow_pickle=False), NUMBERS, strict=True)
    with pytest.raises(BadRequest):
        written((SCORES, LABEL), [NUMBERS, LABELS], "application/x-npy")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, "application/json"),
        (b"*/*", "application/json"),
        (b"text/html, text/csv;q=0.5", "text/csv"),
        (b"application/json, text/csv", "application/json"),
        (b"application/X-NPY", "application/x-npy"),
    ],
)
def test_the_type_of_the_answer_is_the_first_that_is_known(header, kind):
    assert accepted_type(header) == kind
