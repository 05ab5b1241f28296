"""Golden requests: the answers that a version must give."""

import json

import numpy as np
import pytest

from runtimes.errors import ModelRefused
from runtimes.golden import MOST_BYTES, golden_requests, golden_tensor, replay
from runtimes.manifest import Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1,)), TensorSpec("s", "BYTES", (-1,))),
    (TensorSpec("double", "FP32", (-1,)), TensorSpec("upper", "BYTES", (-1,))),
)


class Doubling:
    """Doubles numbers, and makes letters large."""

    signature = SIGNATURE
    unbatched_because = ""

    def run(self, inputs, outputs):
        upper = np.array([each.upper() for each in inputs["s"]], object)
        answers = {"double": inputs["x"] * 2, "upper": upper}
        return [answers[name] for name in outputs]


def request(double: list[float], upper: list[str], **more: float) -> bytes:
    tensors = {
        "inputs": [golden_tensor("x", np.float32([1.5, np.nan])), golden_tensor("s", np.array([b"a", b"b"], object))],
        "outputs": [
            {"name": "double", "datatype": "FP32", "shape": [2], "data": double},
            {"name": "upper", "datatype": "BYTES", "shape": [2], "data": upper},
        ],
    }
    return json.dumps([{**tensors, **more}]).replace("NaN", "null").encode()


def test_the_right_answers_pass():
    assert replay(Doubling(), request([3.0, None], ["A", "B"])) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (request([3.1, None], ["A", "B"]), r"output double is 3\.0 at \[0\], and must be 3\.1"),
        (request([3.0, 1.0], ["A", "B"]), r"output double is nan at \[1\]"),
        (request([3.0, None], ["A", "b"]), r'output upper is "B" at \[1\], and must be "b"'),
        (b"[{]", "cannot be read"),
        (b'[{"inputs": []}]', "does not have the inputs"),
        (
            b'[{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]}]',
            "x that cannot be read",
        ),
    ],
)
def test_another_answer_is_refused_with_the_value(content, words):
    with pytest.raises(ModelRefused, match=words):
        replay(Doubling(), content)


def test_a_request_may_have_a_tolerance_of_its_own():
    assert replay(Doubling(), request([3.1, None], ["A", "B"], relative=0.1)) == 1
    assert golden_requests(request([1, 2], ["A", "B"], absolute=1.0))[0].absolute == 1.0


@pytest.mark.parametrize("values", [[np.nan, np.inf, -np.inf, 0.1], [1e38, -0.0, 1, 2]])
def test_every_number_is_written_so_that_it_is_read_back(values):
    tensor = np.array(values, np.float32)
    given = golden_tensor("x", tensor), golden_tensor("s", np.array([b"a"] * 4, object))
    answers = golden_tensor("double", tensor * 2)
    assert (
        replay(
            Doubling(),
            json.dumps(
                [{"inputs": given, "outputs": [answers]}],
            ).encode(),
        )
        == 1
    )


def test_a_file_that_would_stop_other_threads_for_long_is_refused():
    content = request([3.0, float("nan")], ["A", "B"])
    assert len(golden_requests(content.ljust(MOST_BYTES))) == 1
    with pytest.raises(ModelRefused, match=r"The golden requests take 4\.0 MiB, and may take 4 MiB: give fewer"):
        golden_requests(content.ljust(MOST_BYTES + 1))
