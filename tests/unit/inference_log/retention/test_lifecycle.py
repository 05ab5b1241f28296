"""The lifecycle rules are what S3 takes, and keep what others need for longer."""

import boto3
import pytest
from botocore.validate import ParamValidator

from inference_log.retention.lifecycle import DAYS, lifecycle
from inference_log.s3.place import Place


def rules(days=DAYS, prefix="ledger/") -> dict[str, dict]:
    return {each["ID"]: each for each in lifecycle(Place("bucket", prefix), days)["Rules"]}


def test_s3_takes_them():
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
    shape = client.meta.service_model.operation_model("PutBucketLifecycleConfiguration").input_shape
    given = {"Bucket": "bucket", "LifecycleConfiguration": lifecycle(Place("bucket", ""), DAYS)}
    assert ParamValidator().validate(given, shape).generate_report() == ""


def test_each_table_has_its_prefix_and_its_days():
    found = rules({**DAYS, "payloads": 3})
    assert found["pointsman-payloads"]["Filter"] == {"Prefix": "ledger/payloads/"}
    assert found["pointsman-payloads"]["Expiration"] == {"Days": 3}
    assert len({each["Filter"]["Prefix"] for each in found.values()}) == len(found)
    assert rules(prefix="")["pointsman-clean-up"]["Filter"] == {"Prefix": ""}


@pytest.mark.parametrize("table", ["inferences", "wide", "rewards"])
def test_records_of_compactions_outlive_the_files_that_they_name(table):
    found = rules({**DAYS, table: 5000})
    assert found["pointsman-compactions-files"]["Expiration"]["Days"] > 5000


def test_rows_of_lost_machines_wait_a_month():
    assert rules()["pointsman-strict-files"]["Filter"] == {"Prefix": "ledger/_strict/"}
    assert rules()["pointsman-strict-files"]["Expiration"] == {"Days": 30}


def test_audit_is_kept_longest():
    assert max(DAYS.values()) == DAYS["audit"]
    assert min(DAYS.values()) == DAYS["payloads"]
