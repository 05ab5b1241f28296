"""Versions that harm what loads them are refused with a reason; what waits says why; memory is given back."""

import hashlib
import importlib
import os
import re
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pytest
from onnx import helper

from runtimes.manifest import PinnedFile, TensorSpec
from tests.integration.support_loading import Watched
from tests.support import linear
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS, publish_bomb
from tests.support.models import onnx_content, pickled, write_version
from tests.support.polling import wait_until

VERSIONS_AT_ONCE = 100
MEBIBYTE = 1 << 20
BUDGET = 300 * MEBIBYTE
WAITS_FOR_MEMORY = " waits for memory: it takes "
QUEUED = re.compile(r"loading |looking up |\S+ waits for memory")
EACH = (TensorSpec("y", "FP32", (-1,)),)


class Harmful:
    """An estimator that harms its process while it is read."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Do it."""
        self.__dict__.update(state)
        if self.what == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.what == "import":
            importlib.import_module("a_package_that_is_not_there")
        if self.what == "exit":
            raise SystemExit(0)
        held = []
        while self.what == "allocate":
            held.append(bytearray(16 * MEBIBYTE))
        while self.what == "loop":
            pass

    def predict(self, features: Any) -> Any:
        """Return the first feature."""
        return features[:, 0]


def harmful(what: str, model: Path) -> None:
    content = pickled(Harmful(what))
    write_version(model.parent, model.name, "1", content, file="model.pkl", inputs=LINEAR_INPUTS, outputs=EACH)


def damaged(file: str, change: Callable[[bytes], bytes], model: Path) -> None:
    """Publish a version whose artifact was damaged before it was pinned."""
    linear.publish(model.parent, model.name, "1", np.ones((4, 2), "f4"))
    content = (model / "1" / "model.onnx").read_bytes()
    if file != "model.onnx":
        import skops.io
        from sklearn.linear_model import LinearRegression

        estimator = LinearRegression().fit(np.eye(4), np.ones(4))
        content = skops.io.dumps(estimator) if file.endswith(".skops") else cloudpickle.dumps(estimator)
    outputs = LINEAR_OUTPUTS if file == "model.onnx" else (TensorSpec("y", "FP64", (-1,)),)
    write_version(model.parent, model.name, "1", change(content), file=file, inputs=LINEAR_INPUTS, outputs=outputs)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scrambled(content: bytes) -> bytes:
    return bytes(each ^ 0x55 for each in content)


def other_signature(model: Path) -> None:
    linear.publish(model.parent, model.name, "1", np.ones((4, 2), "f4"))
    content = (model / "1" / "model.onnx").read_bytes()
    other = (TensorSpec("X", "FP32", (-1, 5)),)
    write_version(model.parent, model.name, "1", content, inputs=other, outputs=LINEAR_OUTPUTS)


def further_file(name: str, make: Callable[[Path], None], model: Path) -> None:
    """Publish a version with a further file, in place of which there is something else."""
    linear.publish(model.parent, model.name, "1", np.ones((4, 2), "f4"))
    content, path = (model / "1" / "model.onnx").read_bytes(), model / "1" / name
    files = (PinnedFile(name, hashlib.sha256(b"").hexdigest()),)
    write_version(model.parent, model.name, "1", content, inputs=LINEAR_INPUTS, outputs=LINEAR_OUTPUTS, files=files)
    make(path)


def bomb(model: Path) -> None:
    publish_bomb(model.parent, model.name, "1", 1 << 30)


def large(size_bytes: int, model: Path) -> None:
    """Publish a model that holds so many bytes of numbers."""
    table = np.random.default_rng(0).random((size_bytes // 8, 2), "f4")
    nodes = [
        helper.make_node("ArgMax", ["X"], ["place"], axis=1, keepdims=0),
        helper.make_node("Gather", ["V", "place"], ["y"]),
    ]
    outputs = (TensorSpec("y", "FP32", (-1, 2)),)
    content = onnx_content(nodes, LINEAR_INPUTS, outputs, {"V": table})
    write_version(model.parent, model.name, "1", content, inputs=LINEAR_INPUTS, outputs=outputs)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "segfault": (partial(harmful, "segfault"), "Its process ended (signal 11)"),
    "exit": (partial(harmful, "exit"), "Its process ended"),
    "import": (partial(harmful, "import"), "a_package_that_is_not_there"),
    "allocate": (partial(harmful, "allocate"), "takes more memory than 700 MiB"),
    "onnx-cut": (partial(damaged, "model.onnx", truncated), "ONNX Runtime cannot load"),
    "onnx-other": (partial(damaged, "model.onnx", scrambled), "ONNX Runtime cannot load"),
    "skops-cut": (partial(damaged, "model.skops", truncated), "The skops archive cannot"),
    "skops-other": (partial(damaged, "model.skops", scrambled), "The skops archive cannot"),
    "pickle-cut": (partial(damaged, "model.pkl", truncated), "The pickle cannot be read"),
    "pickle-other": (partial(damaged, "model.pkl", scrambled), "The pickle cannot be read"),
    "signature": (other_signature, "input X"),
    "outside": (partial(further_file, "../../secret", lambda _: None), "must lie in the version's folder"),
    "pipe": (partial(further_file, "weights.bin", os.mkfifo), "is no regular file"),
    "zeros": (partial(further_file, "weights.bin", lambda path: path.symlink_to("/dev/zero")), "is a link"),
    "missing": (partial(further_file, "weights.bin", lambda _: None), "weights.bin"),
    "bomb": (bomb, "takes more memory than 700 MiB"),
    "never-fits": (partial(large, 170 * MEBIBYTE), "of memory, and all models of a replica may take 300 MiB"),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    made = Watched(
        tmp_path_factory.mktemp("adversaries") / "var",
        POINTSMAN_MODEL_MEMORY_BYTES=str(BUDGET),
    )
    made.start()
    yield made
    try:
        made.end()
    finally:
        made.close()


def declare(watched: Watched, route: str, model: str = "") -> None:
    watched.declare({"route": route, "arms": {"a": f"{model or route}:1"}, "split": {"a": "100%"}})


def troubles(watched: Watched) -> dict[str, str]:
    (replica,) = watched.request("GET", "/api/replicas").json()
    return {**replica["problems"], **replica["warnings"]}


class Shown:
    """The sentences that were shown of each route, one after the other, since the first call of `look`."""

    def __init__(self, watched: Watched) -> None:
        self.now: dict[str, str] = {}
        self.sentences = defaultdict[str, list[str]](list)
        self._watched = watched

    def look(self) -> "Shown":
        """Read what is shown now."""
        self.now = troubles(self._watched)
        for route, sentence in self.now.items():
            if self.sentences[route][-1:] != [sentence]:
                self.sentences[route].append(sentence)
        return self

    def lacks(self) -> dict[str, list[str]]:
        """Return what was shown of the harmful versions whose own reason was not shown yet."""
        return {
            name: self.sentences[name]
            for name, (_, words) in REFUSED.items()
            if not any(words in sentence for sentence in self.sentences[name])
        }

    def waiting(self) -> dict[str, str]:
        """Return what is shown now of the other versions, but for those that wait until there is memory for them."""
        return {
            route: sentence
            for route, sentence in self.now.items()
            if route not in REFUSED and WAITS_FOR_MEMORY not in sentence
        }


@pytest.mark.timeout(600)
def test_a_hundred_versions_at_once_are_refused_or_wait_with_a_reason_and_other_routes_notice_nothing(watched):
    """The good ones are one model, which is tried once. As many are served as the budget of memory has room for."""
    good = [f"good-{number}" for number in range(VERSIONS_AT_ONCE - len(REFUSED))]
    for name, (publish, _) in REFUSED.items():
        publish(watched.models / name)
    for name in good:
        linear.publish(watched.models, name, "1", np.ones((4, 2), "f4"))
    watched.require_unharmed("before")  # its versions are loaded from now on
    for name in (*REFUSED, *good):
        declare(watched, name)
    shown = Shown(watched).look()
    watched.require_unharmed("beside")
    wait_until(
        lambda: not shown.look().lacks() and not shown.waiting(),
        within_s=450.0,
        shows=lambda: (shown.lacks(), shown.waiting()),
    )
    for name, sentences in shown.sentences.items():
        queued = list(takewhile(QUEUED.match, sentences))
        words = REFUSED[name][1] if name in REFUSED else "served: it has no sentence"
        # A reason stays on show while the version is tried again.
        assert all(words in sentence for sentence in sentences[len(queued) :]), (name, sentences)
    served = [name for name in good if name not in shown.now]
    assert len(served) >= VERSIONS_AT_ONCE // 4  # 300 MiB, of which a small model takes 1 to 6
    assert all(watched.infer(name).status_code == 200 for name in served)
    for name in (*REFUSED, *good):
        declare(watched, name, "linear")  # so that none is tried again, or takes memory, beside the tests below
    watched.require_unharmed("afterwards")


def test_a_version_waits_for_memory_until_another_one_is_unloaded(watched):
    large(90 * MEBIBYTE, watched.models / "first")
    large(91 * MEBIBYTE, watched.models / "second")
    declare(watched, "first")
    wait_until(lambda: watched.infer("first").status_code == 200, within_s=300.0, shows=lambda: troubles(watched))
    declare(watched, "second")
    waits = f"second:1{WAITS_FOR_MEMORY}"
    wait_until(lambda: waits in watched.trouble("second"), within_s=300.0, shows=lambda: watched.trouble("second"))
    held = {each["model"]: each for each in watched.request("GET", "/api/models").json()}
    assert 90 * MEBIBYTE <= held["first"]["memory_bytes"] < 220 * MEBIBYTE  # ONNX Runtime may keep a copy
    assert held["first"]["batching"] == "batched"
    declare(watched, "first", "linear")
    wait_until(lambda: watched.infer("second").status_code == 200, shows=lambda: watched.trouble("second"))
    declare(watched, "second", "linear")


def resident_bytes(watched: Watched) -> int:
    """Return the memory of the replica; all its children but the companion are processes of models."""
    assert watched.gateway.process is not None
    return int(psutil.Process(watched.gateway.process.pid).memory_info().rss)


def forest(model: Path) -> None:
    """Publish a forest of about 100 MB."""
    from sklearn.ensemble import ExtraTreesRegressor

    generator = np.random.default_rng(0)
    made = ExtraTreesRegressor(40).fit(generator.random((20_000, 4)), generator.random(20_000))
    content, outputs = pickled(made), (TensorSpec("y", "FP64", (-1,)),)
    write_version(model.parent, model.name, "1", content, file="model.pkl", inputs=LINEAR_INPUTS, outputs=outputs)


@pytest.mark.parametrize(("name", "publish"), [("weights", partial(large, 120 * MEBIBYTE)), ("forest", forest)])
def test_the_memory_of_an_unloaded_version_is_given_back(watched, name, publish):
    publish(watched.models / name)
    damaged("model.pkl", bytes, watched.models / "small")
    watched.serve("small", arms={"a": "small:1"}, split={"a": "100%"})  # so that the library is there before
    watched.serve(name, arms={"a": "linear:1"}, split={"a": "100%"})
    before = resident_bytes(watched)
    declare(watched, name, name)
    wait_until(
        lambda: resident_bytes(watched) > before + 60 * MEBIBYTE and not watched.trouble(name),
        within_s=300.0,
        shows=lambda: watched.trouble(name),
    )
    for _ in range(20):
        watched.infer(name)
    declare(watched, name, "linear")
    wait_until(
        lambda: resident_bytes(watched) < 1.1 * before,
        shows=lambda: f"{before >> 20} MiB before, {resident_bytes(watched) >> 20} MiB now",
    )
