"""A version that hangs, lies or takes all memory is that version's trouble alone; other routes notice nothing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.integration.support_loading import Watched
from tests.support import linear
from tests.support.hanging_models import publish_bomb, publish_endless
from tests.support.polling import wait_until

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


def replace_artifact(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a function that publishes version 2, and then puts something else where its artifact was."""

    def publish(model: Path) -> None:
        linear.publish(model.parent, model.name, "2", np.ones((4, 2), "f4"))
        artifact = model / "2" / "model.onnx"
        artifact.unlink()
        make(artifact)

    return publish


def endless(model: Path) -> None:
    publish_endless(model.parent, model.name, "2")


def gigabyte(model: Path) -> None:
    """Two megabytes on the disk, two gigabytes in memory."""
    publish_bomb(model.parent, model.name, "2", 1 << 30)


def manifest_bomb(model: Path) -> None:
    linear.publish(model.parent, model.name, "2", np.ones((4, 2), "f4"))
    (model / "2" / "model.yaml").write_text(BOMB)


ALIASES = {
    "nested": "[" * 3_000 + "]" * 3_000,
    "brackets": "[" + "[]," * 50_000 + "]",
    "multiplied": BOMB,
}
VERSIONS = {
    "pipe": (replace_artifact(os.mkfifo), "is no regular file"),
    "zeros": (replace_artifact(lambda path: path.symlink_to("/dev/zero")), "is a link"),
    "dangling": (replace_artifact(lambda path: path.symlink_to("nothing")), "is a link"),
    "folder": (replace_artifact(Path.mkdir), "is no regular file"),
    "manifest": (manifest_bomb, "model.yaml cannot be read"),
    "gigabyte": (gigabyte, "takes more memory than 700 MiB"),
    "endless": (endless, "trying endless:2 since"),  # the last one: it keeps a processor busy until the gateway ends
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("bad") / "var")
    made.start()
    yield made
    try:
        made.end()  # while the endless version is still being tried
    finally:
        made.close()


def follow(watched: Watched, kind: str) -> Path:
    """Serve a route that follows an alias of a model of this name. Return the model's folder."""
    linear.publish(watched.models, kind, "1", np.ones((4, 2), "f4"))
    model = watched.models / kind
    (model / "aliases.yaml").write_text("champion: 1\n")
    watched.serve(kind, arms={"a": f"{kind}@champion"}, split={"a": "100%"})
    wait_until(lambda: watched.request("GET", f"/api/routes/{kind}").json()["bound"])  # as a declaration does at once
    return model


@pytest.mark.parametrize("kind", ALIASES)
def test_aliases_that_are_too_much_are_a_warning_of_one_route(watched, kind):
    model = follow(watched, kind)
    (model / "aliases.yaml").write_text(ALIASES[kind])
    wait_until(lambda: "aliases.yaml cannot be read" in watched.trouble(kind), shows=lambda: watched.trouble(kind))
    watched.require_unharmed(f"beside-{kind}")
    assert watched.infer(kind).headers["x-model-version"] == "1"
    assert watched.trouble(f"beside-{kind}") == ""


@pytest.mark.parametrize("kind", VERSIONS)
def test_a_version_that_cannot_be_loaded_is_the_trouble_of_one_route(watched, kind):
    model, (publish, words) = follow(watched, kind), VERSIONS[kind]
    publish(model)
    (model / "aliases.yaml").write_text("champion: 2\n")
    wait_until(lambda: words in watched.trouble(kind), within_s=180.0, shows=lambda: watched.trouble(kind))
    watched.require_unharmed(f"beside-{kind}")
    assert watched.infer(kind).headers["x-model-version"] == "1"
    assert watched.trouble(f"beside-{kind}") == ""
    assert words in watched.trouble(kind)
