"""Whatever step the companion is ended at, the next one finishes the job: nothing twice, nothing lost, nothing left."""

import os
import random
from collections import Counter

import pytest

from registry_sync.errors import RegistryError, RegistryUnavailable
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
from tests.support.components import by_hand
from tests.unit.registry_sync.copy.support import Site, adopt, nothing, sha

FILES = {("m", "1"): [b"weights", b"more"], ("n", "7"): [b"made", b"here"]}


def filled(root) -> Site:
    """Return a site with a version that has a manifest, and one that gets one here."""
    site = Site(root, "m:1", "n@champion")
    for (model, version), files in FILES.items():
        site.remote.add(model, version, *files, has_manifest=model == "m")
    site.remote.named["n"]["champion"] = "7"
    return site


def steps(tmp_path) -> list[str]:
    found: list[str] = []
    site = filled(tmp_path / "steps")
    site.remote.before = lambda request: found.append(f"asked {request}")
    site.tick(site.sync(hook=found.append))
    return found


def ended_at(site: Site, number: int) -> list[str]:
    """Tick in a process of its own that ends at a step. Return the files that it has read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        passed: list[str] = []

        def step(name: str) -> None:
            passed.append(name)
            if name.startswith("asked read "):
                os.write(writer, f"{name.removeprefix('asked read ')}\n".encode())
            if len(passed) == number:
                os._exit(9)

        site.remote.before = lambda request: step(f"asked {request}")
        site.tick(site.sync(hook=step))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as read:
        files = read.read().split()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    return files


def assert_complete(site: Site) -> None:
    assert site.read("m", "1") == {"f0": b"weights", "f1": b"more"}
    assert site.read("n", "7") == {"f0": b"made", "f1": b"here", "golden.json": b"[]"}
    assert site.copy.aliases("n") == {"champion": "7"}
    assert site.hidden() == []
    blobs = {path.name for path in (site.root / "blobs").iterdir()}
    assert blobs == {sha(each) for each in (b"weights", b"more", b"made", b"here", b"[]")}


def test_the_steps_are_those_that_are_known(tmp_path):
    found = steps(tmp_path)
    assert len(found) >= 30
    for step in ("asked aliases", "manifest read", "listed", "begun", "written", "renamed", "noted", "adopted"):
        assert any(step in each for each in found), step
    assert sum("version noted" in each for each in found) == 2


def test_ended_at_any_step_the_next_companion_finishes_the_job(tmp_path):
    names = steps(tmp_path)
    for number, name in enumerate(names, 1):
        site = filled(tmp_path / str(number))
        read = Counter(ended_at(site, number))
        site.tick(site.sync())
        assert_complete(site)
        read.update(site.remote.reads)
        # The file that was being fetched, or was not noted yet, is read once more; no other is.
        again = [file for file, count in read.items() if count > 1]
        assert len(again) <= 1, (name, read)
        assert set(read) == {"m/1/f0", "m/1/f1", "n/7/f0", "n/7/f1"}, name
        site.tick(site.sync())
        assert not Counter(site.remote.reads) - read, name


def test_ended_again_and_again_it_still_gets_there(tmp_path):
    site, number = filled(tmp_path / "again"), 3
    count = len(steps(tmp_path))
    for _ in range(count):
        child = os.fork()
        if child == 0:
            left = iter(range(number))
            site.tick(site.sync(hook=lambda _, left=left: next(left) == number - 1 and os._exit(9)))
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
    site.tick(site.sync())
    assert_complete(site)


@pytest.mark.parametrize("seed", [*range(20), *map(by_hand, range(20, 60))])
def test_any_order_of_failures_converges(tmp_path, seed):
    """Registries that fail, disks that fail and companions that are replaced, in any order."""
    draw = random.Random(seed)  # noqa: S311  # no secret
    site = filled(tmp_path / "registry")
    errors = [RegistryUnavailable("away"), ModelRefused("odd"), OSError(28, "full"), ValueError("a bug")]

    def fail(_: str) -> None:
        if draw.random() < 0.15:
            raise draw.choice(errors)

    site.remote.before = fail
    sync = site.sync(hook=fail)
    for _ in range(30):
        if draw.random() < 0.2:
            try:
                sync = site.sync(hook=fail)
            except OSError:
                continue
        try:
            site.tick(sync, draw.choice([0.5, 3.0, 40.0, 700.0]))
        except OSError:
            continue
        for name in FILES:  # what is there is whole, at any time
            try:
                assert set(site.read(*name).values()) >= set(FILES[name])
            except (RegistryError, ModelRefused):
                continue
    site.remote.before = nothing
    sync = site.sync()
    site.tick(sync)
    site.tick(sync, 700.0)
    assert_complete(site)


def test_documents_that_change_while_versions_are_copied_lose_nothing(tmp_path):
    site = filled(tmp_path / "registry")
    sync = site.sync(adopt=adopt)
    for refs in (["m:1"], [], ["n:7"], ["m:1", "n@champion"]):
        site.refs = [parse_ref(ref) for ref in refs]
        site.tick(sync)
    assert_complete(site)
