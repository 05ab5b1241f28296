"""A model that never ends its warm-up is broken off and refused."""

import hashlib

import pytest

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS, endless_onnx
from tests.support.models import load_one


def test_an_endless_loop_is_broken_off_at_the_limit():
    content = endless_onnx()
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=LINEAR_INPUTS,
        outputs=LINEAR_OUTPUTS,
    )
    with pytest.raises(ModelRefused, match=r"had not answered after 0\.3 s"):
        load_one(content, manifest, LoadOptions(within_s=0.3))
