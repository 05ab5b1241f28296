"""The component that keeps homes on nodes builds with an overlay, and its sweeper sees the homes of workers."""

import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.support.cluster_policies import violations
from tests.support.kustomize import need_kustomize, ray_service
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    need_kustomize()
    folder = tmp_path_factory.mktemp("with") / "k8s"
    shutil.copytree(ROOT / "k8s", folder)
    with (folder / "overlays/prod/kustomization.yaml").open("a") as overlay:
        overlay.write("components: [../../components/node-homes]\n")
    command = ["kubectl", "kustomize", str(folder / "overlays/prod")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects, kind: str):
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def test_the_workers_homes_are_where_the_sweeper_looks(objects):
    sweeper = of_kind(objects, "DaemonSet")
    kubernetes_validate.validate(sweeper, "1.32", strict=True)
    worker = ray_service(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    (home,) = [each for each in worker["volumes"] if each["name"] == "home"]
    (homes,) = [each for each in sweeper["spec"]["template"]["spec"]["volumes"] if each["name"] == "homes"]
    assert home["hostPath"]["path"] == homes["hostPath"]["path"]
    container = worker["containers"][0]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "home"]
    assert mount == {"name": "home", "mountPath": "/var/lib/pointsman", "subPathExpr": "$(POD_UID)"}
    assert [each["name"] for each in container["env"]] == ["POD_UID"]
    swept = sweeper["spec"]["template"]["spec"]["containers"][0]
    assert swept["image"] == container["image"]
    assert swept["command"][:4] == ["pointsman", "log", "sweep", "/homes"]


def test_only_the_container_that_gives_the_folder_away_has_a_right_more(objects):
    assert violations(objects) == [
        "DaemonSet pointsman-sweeper, container folder: it keeps capabilities.",
    ]
    (folder,) = of_kind(objects, "DaemonSet")["spec"]["template"]["spec"]["initContainers"]
    assert folder["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert folder["command"] == ["chown", "1000:1000", "/homes"]


def test_the_namespace_lets_pods_mount_folders_of_nodes(objects):
    labels = of_kind(objects, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
