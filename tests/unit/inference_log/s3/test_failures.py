"""Which errors of S3 are the file's fault, and what they are called."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from inference_log.errors import SinkRefused, SinkUnavailable
from inference_log.s3.failures import failure, label_of, was_repeated


def answer(code: str, status: int, tries: int = 0) -> ClientError:
    metadata = {"HTTPStatusCode": status, "RetryAttempts": tries}
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        answer("KeyTooLongError", 400), answer("EntityTooLarge", 400), answer("InvalidURI", 400),
        answer("NotKnownToUs", 400),
    ],
)  # fmt: skip
def test_what_s3_will_refuse_for_ever_is_the_files_fault(error):
    assert isinstance(failure("s3://b/k", error), SinkRefused)


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (answer("SlowDown", 503), "SlowDown"),
        (answer("AccessDenied", 403), "AccessDenied"),
        (answer("NoSuchBucket", 404), "NoSuchBucket"),
        (answer("ExpiredToken", 400), "ExpiredToken"),
        (answer("KMS.DisabledException", 400), "KMS.DisabledException"),
        (answer("NotImplemented", 501), "NotImplemented"),  # a store without conditional puts: a matter of settings
        (answer("MethodNotAllowed", 405), "MethodNotAllowed"),
        (answer("400", 400), "400"),  # of a proxy, not of S3
        (answer("<html>\n", 400), "400"),
        (answer("", 0), "ClientError"),
        (ConnectTimeoutError(endpoint_url="http://s3"), "ConnectTimeoutError"),
        (NoCredentialsError(), "NoCredentialsError"),
    ],
)
def test_what_settings_or_time_may_mend_is_not(error, label):
    raised = failure("s3://b/k", error)
    assert isinstance(raised, SinkUnavailable)
    assert raised.code == label_of(error) == label


def test_a_request_that_was_repeated_says_so():
    assert was_repeated(answer("PreconditionFailed", 412, 1))
    assert not was_repeated(answer("PreconditionFailed", 412))
    assert not was_repeated(NoCredentialsError())
