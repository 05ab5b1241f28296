"""Every overlay keeps to the policies, and an object that does not is refused."""

import json

import kubernetes_validate
import pytest
import yaml

from inference_log.schema import TABLES
from tests.support.cluster_policies import violations, wide_permissions
from tests.support.kustomize import FOLDERS, build, ray_service
from tests.support.paths import ROOT

POLICIES = sorted((ROOT / "k8s/iam").glob("*.json"))


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_an_overlay_keeps_to_the_policies(folder):
    assert violations(build(folder)) == []


def test_the_doctors_job_keeps_to_the_policies_and_sees_what_a_worker_sees():
    objects = build("overlays/prod")
    job = yaml.safe_load((ROOT / "k8s/jobs/doctor.yaml").read_text())
    kubernetes_validate.validate(job | {"metadata": {"name": "doctor"}}, "1.32", strict=True)
    job["metadata"]["name"] = "doctor"
    assert violations([*objects, job]) == []
    own, of_worker = job["spec"]["template"]["spec"], worker(objects)
    assert own["containers"][0]["envFrom"] == of_worker["containers"][0]["envFrom"]
    assert own["containers"][0]["image"] == of_worker["containers"][0]["image"]
    assert own["serviceAccountName"] == of_worker["serviceAccountName"]


def worker(objects):
    return ray_service(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]


def head(objects):
    return ray_service(objects)["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def latest(objects):
    worker(objects)["containers"][0]["image"] = "pointsman:latest"


def untagged(objects):
    worker(objects)["containers"][0]["image"] = "localhost:5000/pointsman"


def without_limits(objects):
    del head(objects)["resources"]["limits"]


def privileged(objects):
    worker(objects)["containers"][0]["securityContext"] = {"privileged": True}


def as_root(objects):
    del worker(objects)["securityContext"]


def without_head_port(objects):
    head(objects)["ports"] = [each for each in head(objects)["ports"] if each["name"] != "serve-grpc"]


def not_rewritten(objects):
    for each in objects:
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "pointsman-settings":
            each["metadata"]["name"] += "-7h2k9"


def short_grace(objects):
    worker(objects)["terminationGracePeriodSeconds"] = 120


def without_hook(objects):
    del worker(objects)["containers"][0]["lifecycle"]


def short_hook(objects):
    worker(objects)["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][3] = "80"


def slow_drain(objects):
    for each in objects:
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "pointsman-settings":
            each["data"]["POINTSMAN_SHIP_AT_END_S"] = "60"


def monitor(objects):
    (found,) = [each for each in objects if each["kind"] == "PodMonitor"]
    return found["spec"]


def monitors_nothing(objects):
    monitor(objects)["selector"]["matchLabels"] = {"pointsman/role": "gcs"}


def monitors_without_a_key(objects):
    monitor(objects)["podMetricsEndpoints"][0]["authorization"]["credentials"]["name"] = "nothing"


FAULTS = {
    latest: "names no version",
    untagged: "names no version",
    without_limits: "limits do not say",
    privileged: "may get more rights",
    as_root: "may run as root",
    without_head_port: "its ports do not name",
    not_rewritten: "there is no ConfigMap pointsman-settings",
    short_grace: "is killed after 120 s, and needs 145 s",
    without_hook: "no preStop hook",
    short_hook: "the preStop hook ends after 80 s, and needs 85 s",
    slow_drain: "Serve kills a replica after 65 s, and it may take 108 s",
    monitors_nothing: "no pod that it selects has a port serve",
    monitors_without_a_key: "there is no Secret nothing",
}


@pytest.mark.parametrize("break_it", FAULTS, ids=lambda each: each.__name__)
def test_what_breaks_a_policy_is_refused(break_it):
    objects = build("overlays/prod", "observability")
    break_it(objects)
    found = violations(objects)
    assert found
    assert any(FAULTS[break_it] in each for each in found), found


@pytest.mark.parametrize("path", POLICIES, ids=lambda each: each.name)
def test_a_role_may_do_what_it_needs_and_no_more(path):
    assert wide_permissions(json.loads(path.read_text())) == []


def test_the_gateway_may_write_every_table_of_the_log_and_delete_nothing_but_parts():
    statements = json.loads((ROOT / "k8s/iam/gateway.json").read_text())["Statement"]
    written = {each for one in statements if "s3:PutObject" in one["Action"] for each in one["Resource"]}
    assert {f"arn:aws:s3:::REPLACE-WITH-YOUR-BUCKET/log/{table.name}/*" for table in TABLES} <= written
    deleted = [one["Resource"] for one in statements if any("Delete" in action for action in one["Action"])]
    assert deleted == [["arn:aws:s3:::REPLACE-WITH-YOUR-BUCKET/log/_strict/*"]]


def test_a_wildcard_in_a_role_is_refused():
    statement = {"Sid": "All", "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}
    assert len(wide_permissions({"Statement": [statement]})) == 2


def test_the_image_has_what_the_operators_probes_run():
    final = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (installed,) = [line for line in final.splitlines() if "apt-get install" in line]
    assert {"bash", "wget"} <= set(installed.split())
    assert "build-essential" not in final
    assert "USER 1000" in final
