"""The files of a log in a directory and in S3, one suite: listed, read, written whole, removed."""

import pyarrow.dataset as ds
import pytest

from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles, StoredFile
from inference_log.files.directory import DirectoryFiles
from inference_log.files.s3 import S3Files
from inference_log.s3.client import Connection
from inference_log.s3.place import Place
from tests.support.faulty_proxy import FaultyProxy
from tests.support.log_places import hasty_connection, write_rows


@pytest.fixture(scope="module")
def connection(s3_server) -> Connection:
    return hasty_connection(s3_server)


@pytest.fixture
def where(tmp_path) -> Place:
    """Return a prefix of the bucket `logs` that no other test uses."""
    return Place("logs", f"{tmp_path.parent.name}/{tmp_path.name}/")


@pytest.fixture(params=["directory", "s3"])
def files(request, connection, where, tmp_path) -> LogFiles:
    return S3Files(connection, where) if request.param == "s3" else DirectoryFiles(tmp_path / "log")


def test_what_is_written_is_read(files):
    files.write("closed/route=r/a.json", b"one")
    assert files.read("closed/route=r/a.json") == b"one"
    files.write("closed/route=r/a.json", b"two, which is longer")
    assert files.read("closed/route=r/a.json") == b"two, which is longer"
    files.write("closed/empty", b"")
    assert files.read("closed/empty") == b""


def test_what_is_not_there_is_none(files):
    assert files.read("closed/none") is None
    assert list(files.list("closed/")) == []
    files.remove("closed/none")


def test_files_are_listed_by_key_below_a_folder_without_hidden_ones(files):
    names = ("t/b/2", "t/a/1", "t/.a/3", "t/a/_x", "t/a/.y.1", "tt/1", "other/1")
    for name in names:
        files.write(name, b"12345")
    assert list(files.list("t/")) == [StoredFile("t/a/1", 5), StoredFile("t/b/2", 5)]
    assert [each.key for each in files.list("t/a/")] == ["t/a/1"]


def test_more_files_than_a_page_of_s3_are_listed(files, monkeypatch):
    """A page has 1,000; here it has 2."""
    if isinstance(files, S3Files):
        paginator = files._client.get_paginator
        small = {"PaginationConfig": {"PageSize": 2}}

        class Paginator:
            def __init__(self, name: str) -> None:
                self._inner = paginator(name)

            def paginate(self, **asked: object) -> object:
                return self._inner.paginate(**asked, **small)

        monkeypatch.setattr(files._client, "get_paginator", Paginator)
    for number in range(5):
        files.write(f"t/{number}", b"x")
    assert [each.key for each in files.list("t/")] == [f"t/{number}" for number in range(5)]


def test_a_removed_file_is_gone(files):
    files.write("t/a", b"x")
    files.write("t/b", b"x")
    files.remove("t/a")
    assert [each.key for each in files.list("t/")] == ["t/b"]
    assert files.read("t/a") is None


def test_pyarrow_reads_them_by_path(files, tmp_path):
    write_rows(tmp_path / "rows", 7)
    files.write("inferences/route=r/a.parquet", (tmp_path / "rows").read_bytes())
    paths = [files.path(each.key) for each in files.list("inferences/")]
    assert ds.dataset(paths, filesystem=files.filesystem, format="parquet").count_rows() == 7


def test_a_folder_that_cannot_be_written_or_read_is_unavailable(tmp_path):
    (tmp_path / "log").write_text("a file where a folder should be")
    files = DirectoryFiles(tmp_path / "log")
    for attempt in (lambda: files.write("a", b""), lambda: files.read("a"), lambda: files.remove("a")):
        with pytest.raises(LogUnavailable):
            attempt()


@pytest.mark.parametrize(
    ("more", "bucket"),
    [({"AWS_SECRET_ACCESS_KEY": "wrong"}, "logs"), ({}, "no-such-bucket")],
    ids=["wrong secret", "unknown bucket"],
)
def test_a_bucket_that_refuses_is_unavailable(s3_server, more, bucket):
    files = S3Files(hasty_connection(s3_server, **more), Place(bucket, ""))
    for attempt in (lambda: files.list("t/"), lambda: files.read("a"), lambda: files.write("a", b"")):
        with pytest.raises(LogUnavailable, match="cannot be"):
            attempt()


@pytest.mark.parametrize("fault", ["AccessDenied", "html", "cut"])
def test_a_wrong_answer_is_never_an_empty_log(s3_server, connection, where, fault):
    """What compares or removes files would take it for one without files."""
    S3Files(connection, where).write("t/a", b"x" * 100)
    proxy = FaultyProxy(s3_server.url)
    try:
        files = S3Files(hasty_connection(s3_server, AWS_ENDPOINT_URL_S3=proxy.url), where)
        proxy.fault = fault
        with pytest.raises(LogUnavailable):
            files.list("t/")
        if fault != "html":
            with pytest.raises(LogUnavailable):
                files.read("t/a")
    finally:
        proxy.close()
