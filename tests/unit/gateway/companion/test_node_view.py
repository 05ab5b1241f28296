"""The companion knows what the replicas serve, and believes the store as they do."""

import os
from types import SimpleNamespace

import pytest

from gateway.companion.node_view import NodeView
from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.served_file import ServedFile, ServedFiles
from inference_log.spool import take_seat
from router.document.document import Candidate
from store.errors import StoreUnavailable
from tests.support.flaky_store import FlakyStore

ROUTE = {"route": "r", "arms": {"a": "linear:1"}, "split": {"a": 1}}
BANDIT = {
    "route": "b",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "1m"}},
    "bandit": {"policy": "thompson", "reward": "click"},
}


def table(**arms: str) -> SimpleNamespace:
    """Return a live table with a route `r`, whose arms have these versions."""
    served = [SimpleNamespace(name=name, version=version, digest="d" * 64) for name, version in arms.items()]
    return SimpleNamespace(routes={"r": SimpleNamespace(route=SimpleNamespace(arms=served))})


class Node:
    """A store, a seat and a view. `replica` is what a replica does with the store."""

    def __init__(self, folder) -> None:
        self.store = FlakyStore(folder)
        self.spool, self.path = folder / "spool", folder / "remembered.json"
        self.seat = take_seat(self.spool)

    def view(self) -> NodeView:
        return NodeView(self.store, LastKnownFile(self.path, "url", read_only=True), self.spool)

    def replica(self) -> DesiredState:
        desired = DesiredState(self.store, LastKnownFile(self.path, "url"))
        desired.look()
        return desired


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.seat.release()


def test_what_serves_each_arm_is_read_from_the_replicas_that_run(node, tmp_path):
    view = node.view()
    view.refresh()
    assert view.candidates("r") is None
    ServedFile(node.seat.folder).write(table(a="1", b="2"))
    view.refresh()
    assert view.candidates("r") == {"a": Candidate("1", "d" * 64), "b": Candidate("2", "d" * 64)}
    other = take_seat(node.spool)
    ServedFile(other.folder).write(table(a="3"))
    newer = (node.seat.folder / "served").stat().st_mtime_ns + 1_000_000
    os.utime(other.folder / "served", ns=(newer, newer))
    view.refresh()
    assert view.candidates("r") == {"a": Candidate("3", "d" * 64)}
    other.release()
    view.refresh()
    assert view.candidates("r") == {"a": Candidate("1", "d" * 64), "b": Candidate("2", "d" * 64)}


def test_the_file_is_written_only_when_another_version_serves(tmp_path):
    file, path = ServedFile(tmp_path), tmp_path / "served"
    file.write(table(a="1"))
    path.unlink()
    file.write(table(a="1"))
    assert not path.exists()
    file.write(table(a="2"))
    assert ServedFiles().read([tmp_path]) == {"r": {"a": Candidate("2", "d" * 64)}}


def test_a_damaged_file_is_as_none(tmp_path):
    (tmp_path / "served").write_bytes(b"\xc1")
    assert ServedFiles().read([tmp_path]) == {}


def test_a_folder_that_cannot_be_written_is_no_error_of_the_replica(tmp_path):
    ServedFile(tmp_path / "gone").write(table(a="1"))


def test_documents_are_read_and_kept_while_the_store_is_away(node, declare):
    declare(node.store, ROUTE)
    view = node.view()
    view.refresh()
    assert set(view.documents) == {"r"}
    node.store.is_away = True
    view.refresh()
    assert (set(view.documents), view.trouble) == ({"r"}, "")


def test_the_file_of_the_replicas_is_read_and_never_written(node, declare):
    declare(node.store, ROUTE)
    node.replica()
    before = node.path.read_bytes()
    declare(node.store, {**ROUTE, "route": "s"})
    view = node.view()
    view.refresh()
    assert set(view.documents) == {"r", "s"}
    assert node.path.read_bytes() == before


def test_a_store_that_the_replicas_do_not_believe_is_not_believed_even_by_a_new_companion(node, declare, tmp_path):
    declare(node.store, ROUTE)
    node.replica()
    (tmp_path / "other").mkdir()
    node.store = FlakyStore(tmp_path / "other")
    declare(node.store, {**ROUTE, "route": "foreign"})
    view = node.view()
    for _ in range(2):
        view.refresh()
        assert view.trouble
        assert set(view.documents) == {"r"}
    node.replica()  # restarted: from now on it serves what the store has
    view.refresh()
    assert (view.trouble, set(view.documents)) == ("", {"foreign"})


class File:
    """A file of learned policies that notes what it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, dict]] = []
        self.due = True

    def is_due(self) -> bool:
        return self.due

    def keep(self, identity: str, policies: dict) -> None:
        self.kept.append((identity, policies))


def test_policies_are_kept_once_the_store_has_told_them_and_only_of_one_that_is_believed(node, declare):
    declare(node.store, BANDIT)
    node.replica()
    file, view = File(), node.view()
    view.keep_policies(file)

    def away(_after: int) -> None:
        raise StoreUnavailable("It went away after it had told the documents.")

    node.store.policies = away
    view.refresh()
    view.keep_policies(file)
    assert file.kept == []  # the file has what was learned, and this companion does not know it
    del node.store.policies
    view.refresh()
    view.keep_policies(file)
    assert file.kept == [(node.store.revision().identity, {})]
    file.due = False
    view.keep_policies(file)
    file.due = True
    node.store.lose()
    view.refresh()
    view.keep_policies(file)
    assert len(file.kept) == 1


def test_without_bandits_no_file_of_policies_is_written(node, declare):
    declare(node.store, ROUTE)
    node.replica()
    file, view = File(), node.view()
    view.refresh()
    view.keep_policies(file)
    assert file.kept == []
