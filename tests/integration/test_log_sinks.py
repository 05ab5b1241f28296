"""Every kind of sink, one suite: a file is stored once, whole, and never replaced. Then what S3 alone can do wrong."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.stub import ANY, Stubber

from inference_log.errors import SinkConflict, SinkRefused, SinkUnavailable
from inference_log.files.directory import DirectoryFiles
from inference_log.files.s3 import S3Files
from inference_log.s3 import client as client_module
from inference_log.s3.client import Connection
from inference_log.s3.place import Place
from inference_log.sinks.directory import DirectorySink
from inference_log.sinks.s3 import S3Sink
from inference_log.sinks.staging import remove_leftovers
from tests.support.faulty_proxy import FaultyProxy
from tests.support.log_places import KEY_OF_FILE, OTHER_SHA, SHA, LogPlace, hasty_connection, variables, write_rows
from tests.support.s3_server import S3Server

_BOUNDED_S = 30.0
"""Far above what three hasty tries take, for a busy machine."""


@pytest.fixture(scope="module")
def connection(s3_server) -> Connection:
    return hasty_connection(s3_server)


@pytest.fixture(scope="module")
def running_proxy(s3_server) -> Iterator[FaultyProxy]:
    made = FaultyProxy(s3_server.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def through_proxy(s3_server, running_proxy) -> Connection:
    return hasty_connection(s3_server, AWS_ENDPOINT_URL_S3=running_proxy.url)


@pytest.fixture
def proxy(running_proxy) -> Iterator[FaultyProxy]:
    running_proxy.seen.clear()
    yield running_proxy
    running_proxy.fault = ""


@pytest.fixture
def where(tmp_path) -> Place:
    """Return a prefix of the bucket `logs` that no other test uses."""
    return Place("logs", f"{tmp_path.parent.name}/{tmp_path.name}/")


@pytest.fixture
def in_s3(connection, where, tmp_path) -> LogPlace:
    return LogPlace(S3Sink(connection.client, where, tmp_path / "staging"), S3Files(connection, where))


@pytest.fixture(params=["directory", "s3"])
def place(request, tmp_path) -> LogPlace:
    if request.param == "s3":
        made: LogPlace = request.getfixturevalue("in_s3")
        return made
    return LogPlace(DirectorySink(tmp_path / "log"), DirectoryFiles(tmp_path / "log"))


@pytest.fixture
def behind(through_proxy, proxy, where, in_s3, tmp_path) -> LogPlace:
    """Return a log whose sink reaches S3 through the proxy."""
    return LogPlace(S3Sink(through_proxy.client, where, tmp_path / "staging"), in_s3.files)


def test_a_file_is_stored_whole_under_its_key(place):
    assert place.put(3) is True
    assert [each.key for each in place.files.list("inferences/")] == [KEY_OF_FILE]
    assert place.rows() == 3


def test_the_same_rows_again_are_not_new(place):
    place.put(3)
    assert place.put(3) is False
    assert len(place.files.list("inferences/")) == 1


@pytest.mark.parametrize(("rows", "sha"), [(4, SHA), (3, OTHER_SHA)], ids=["other rows", "other segment"])
def test_other_rows_under_the_key_conflict_and_what_is_there_stays(place, rows, sha):
    place.put(rows, sha)
    before = place.files.read(KEY_OF_FILE)
    with pytest.raises(SinkConflict, match="holds other rows"):
        place.put(3)
    assert place.files.read(KEY_OF_FILE) == before


def test_rubbish_under_the_key_conflicts_and_stays(place):
    place.files.write(KEY_OF_FILE, b"rubbish")
    with pytest.raises(SinkConflict, match="exists and"):
        place.put()
    assert place.files.read(KEY_OF_FILE) == b"rubbish"


def test_what_a_killed_process_left_is_no_obstacle(place):
    staged = place.sink.staging_path(KEY_OF_FILE, SHA)
    staged.write_bytes(b"half a file")
    assert place.put(3) is True
    assert place.rows() == 3


@pytest.mark.parametrize("others", [False, True], ids=["same rows", "other rows"])
def test_of_sixteen_that_put_a_key_at_once_one_wins(connection, where, in_s3, tmp_path, others):
    """As when a volume is mounted twice. Those with the winner's rows succeed, too, and those with others conflict."""
    barrier = threading.Barrier(16)

    def put(number: int) -> str:
        own = LogPlace(S3Sink(connection.client, where, tmp_path / f"staging-{number}"), in_s3.files)
        barrier.wait()
        try:
            return "first" if own.put(5, f"{number:016x}" if others else SHA) else "again"
        except SinkConflict:
            return "conflict"

    with ThreadPoolExecutor(16) as pool:
        became = sorted(pool.map(put, range(16)))
    if others:
        assert became == ["conflict"] * 15 + ["first"]
    else:  # one that had to repeat its request may take the winner's object for its own
        assert became[-1] == "first"
        assert set(became) <= {"again", "first"}
    assert in_s3.rows() == 5


@pytest.mark.parametrize(
    ("more", "bucket", "code"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "logs", "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "logs", "InvalidAccessKeyId"),
        ({}, "no-such-bucket", "NoSuchBucket"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "logs", "EndpointConnectionError"),
    ],
    ids=["wrong secret", "unknown key", "unknown bucket", "nothing listens"],
)
def test_a_wrong_setting_is_no_fault_of_the_file(s3_server, in_s3, tmp_path, more, bucket, code):
    sink = S3Sink(hasty_connection(s3_server, **more).client, Place(bucket, ""), tmp_path / "staging")
    with pytest.raises(SinkUnavailable, match="cannot be stored") as raised:
        LogPlace(sink, in_s3.files).put()
    assert raised.value.code == code


def test_no_credentials_at_all_are_no_fault_of_the_file(s3_server, where, in_s3, tmp_path):
    with variables(s3_server, AWS_SHARED_CREDENTIALS_FILE="/nowhere", AWS_CONFIG_FILE="/nowhere"):
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        sink = S3Sink(client_module.connect().client, where, tmp_path / "staging")
        with pytest.raises(SinkUnavailable, match="credentials") as raised:
            LogPlace(sink, in_s3.files).put()
    assert raised.value.code == "NoCredentialsError"


@pytest.mark.parametrize("code", ["SlowDown", "AccessDenied", "InternalError", "InsufficientStorage"])
def test_a_refusal_that_may_pass_is_no_fault_of_the_file(behind, proxy, code):
    proxy.fault = code
    with pytest.raises(SinkUnavailable, match=code) as raised:
        behind.put()
    assert raised.value.code == code
    proxy.fault = ""
    assert behind.put() is True


def test_a_refusal_that_cannot_pass_is_the_files_fault(behind, proxy):
    proxy.fault = "KeyTooLongError"
    with pytest.raises(SinkRefused, match="KeyTooLong"):
        behind.put()


def test_a_key_that_is_too_long_for_the_store_is_an_error_of_the_log(in_s3):
    with pytest.raises((SinkRefused, SinkUnavailable)):
        in_s3.put(key="/".join(["inferences", *("r" * 200 for _ in range(6)), "w-0.parquet"]))


def test_a_page_of_a_proxy_does_not_count_as_stored(behind, proxy):
    """Its status is 200, and the segment would be deleted next."""
    proxy.fault = "html"
    with pytest.raises(SinkUnavailable, match="Is the endpoint a proxy"):
        behind.put()
    proxy.fault = ""
    assert behind.put() is True


@pytest.mark.parametrize("fault", ["lost_once", "drop_once"])
def test_a_put_whose_answer_is_lost_counts_as_stored(behind, proxy, fault):
    """The next try finds the object. It is the one that was put, so its rows are new."""
    proxy.fault = fault
    assert behind.put(4) is True
    assert behind.rows() == 4
    assert [method for method, *_ in proxy.seen] == ["PUT", "PUT", "HEAD"]


def test_other_rows_that_are_found_at_the_second_try_conflict(behind, proxy):
    behind.put(4, OTHER_SHA)
    proxy.fault = "drop_once"
    with pytest.raises(SinkConflict, match="holds other rows"):
        behind.put(3)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_server_that_is_away_takes_a_bounded_time(tmp_path, how):
    server, where = S3Server(tmp_path / "s3", "logs"), Place("logs", "away/")
    server.start()
    try:
        connection = hasty_connection(server)
        place = LogPlace(S3Sink(connection.client, where, tmp_path / "staging"), S3Files(connection, where))
        place.put(key="before")
        server.kill() if how == "killed" else server.stop()
        began_s = time.monotonic()
        with pytest.raises(SinkUnavailable):
            place.put()
        assert time.monotonic() - began_s < _BOUNDED_S
        server.start() if how == "killed" else server.go_on()
        place.put()
        assert place.rows() == 3
    finally:
        server.kill()


def test_the_client_itself_waits_for_a_bounded_time():
    """So that the child that converts, which is killed after 900 s, fails by itself."""
    config = client_module._CONFIG
    once_s = config.connect_timeout + config.read_timeout
    assert once_s * config.retries["total_max_attempts"] <= 90.0


@pytest.mark.parametrize("kms_key", ["", "arn:aws:kms:eu-west-1:123456789012:key/abc"])
def test_the_key_of_kms_is_asked_for_with_each_object(s3_server, where, tmp_path, kms_key):
    write_rows(tmp_path / "sized", 3)
    name, facts = where.key(KEY_OF_FILE), {"segment-sha256": SHA, "rows": "3"}
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    put = {"Bucket": "logs", "Key": name, "Body": ANY, "IfNoneMatch": "*", "Metadata": facts, **encrypted}
    stored = {"Metadata": facts, "ContentLength": (tmp_path / "sized").stat().st_size}
    client = hasty_connection(s3_server).client
    with Stubber(client) as stub:
        stub.add_response("put_object", {}, put)
        stub.add_response("head_object", stored, {"Bucket": "logs", "Key": name})
        sink = S3Sink(client, where, tmp_path / "staging", kms_key)
        assert LogPlace(sink, DirectoryFiles(tmp_path)).put() is True
        stub.assert_no_pending_responses()


def test_markers_and_notes_are_encrypted_with_the_key_too(s3_server, where):
    key = "arn:aws:kms:eu-west-1:123456789012:key/abc"
    put = {"Bucket": "logs", "Key": where.key("closed/m.json"), "Body": b"{}", "ServerSideEncryption": "aws:kms"}
    connection = hasty_connection(s3_server)
    with Stubber(connection.client) as stub:
        stub.add_response("put_object", {}, put | {"SSEKMSKeyId": key})
        S3Files(connection, where, key).write("closed/m.json", b"{}")
        stub.assert_no_pending_responses()


def test_what_a_killed_converter_left_in_the_staging_folder_is_removed(tmp_path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "half").write_bytes(b"a file")
    remove_leftovers(tmp_path / "staging")
    assert list((tmp_path / "staging").iterdir()) == []
    remove_leftovers(tmp_path / "nowhere")
