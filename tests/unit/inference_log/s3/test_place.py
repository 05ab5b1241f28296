"""Where a log may be: a directory, or a bucket and a prefix. Everything else is refused by a sentence."""

import subprocess
import sys

import pytest

from inference_log.errors import LogError
from inference_log.s3.place import Place, check_setting, is_in_s3, parse_place


@pytest.mark.parametrize(
    ("log", "place"),
    [
        ("s3://logs", Place("logs", "")),
        ("s3://logs/", Place("logs", "")),
        ("s3://logs/prod", Place("logs", "prod/")),
        ("s3://my.logs-1/a/b/", Place("my.logs-1", "a/b/")),
    ],
)
def test_a_bucket_and_a_prefix(log, place):
    check_setting(log)
    assert parse_place(log) == place
    assert place.key("x/y") == f"{place.prefix}x/y"


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prod", "names no bucket"),
        ("s3:/x", "no place of a log"),
        ("s3:x", "no place of a log"),
        ("S3://b", "no place of a log"),
        ("s3a://logs/prod", "no place of a log"),
        ("gs://logs/prod", "no place of a log"),
        ("file:///var/log", "no place of a log"),
        ("s3://Logs/prod", "cannot be the name of a bucket"),
        ("s3://lo gs/prod", "cannot be the name of a bucket"),
        ("s3://lo_gs", "cannot be the name of a bucket"),
        ("s3://lo", "cannot be the name of a bucket"),
        ("s3://logs/" + "p" * 513, "may have 512 bytes"),
    ],
)
def test_what_no_log_can_be_is_refused(log, sentence):
    with pytest.raises(LogError, match=sentence):
        check_setting(log)


@pytest.mark.parametrize("log", ["/var/log", "var/log", "./s3://logs", "s3", "s3-logs/x"])
def test_a_path_is_a_directory(log):
    check_setting(log)
    assert not is_in_s3(log)


def test_the_process_of_a_replica_and_the_companion_import_no_client_of_s3():
    """It takes 60 MB and a second. Only the process that converts needs it."""
    program = (
        "import sys; import gateway.cli.foreground, gateway.replica.replica, gateway.companion.companion; "
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
