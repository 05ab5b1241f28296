"""Every overlay builds, and its objects are what Kubernetes, KubeRay and Ray Serve take."""

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gateway.replica.ray_environment import _VARIABLES as RAY_VARIABLES
from gateway.settings import Settings
from tests.support.kustomize import FOLDERS, build, ray_service
from tests.support.paths import KUBERAY_SERVICES

FOREIGN = {"ray.io/v1", "external-secrets.io/v1", "monitoring.coreos.com/v1"}
KUBERNETES = "1.32"


@pytest.mark.parametrize("folder", FOLDERS)
def test_native_objects_are_valid(folder):
    for each in build(folder):
        if each["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)


def strict(schema: Any) -> Any:
    """Return the schema with no property but those that it names."""
    if isinstance(schema, dict):
        made = {name: strict(value) for name, value in schema.items()}
        if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
        return made
    return [strict(each) for each in schema] if isinstance(schema, list) else schema


@pytest.fixture(scope="module")
def ray_services() -> Any:
    if not KUBERAY_SERVICES.exists():
        pytest.skip(f"{KUBERAY_SERVICES} is absent, which has KubeRay's definition of a RayService")
    versions = yaml.safe_load(KUBERAY_SERVICES.read_text())["spec"]["versions"]
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
    made = strict(schema)
    made["properties"]["metadata"] = {"type": "object"}
    return made


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_ray_service_is_what_kuberay_takes(folder, ray_services):
    jsonschema.validate(ray_service(build(folder)), ray_services)


def test_a_field_that_kuberay_does_not_know_is_refused(ray_services):
    service = ray_service(build("base"))
    service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(service, ray_services)


def config_map(objects: list[dict[str, Any]], name: str) -> dict[str, str]:
    (found,) = [each["data"] for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_settings_are_settings(folder, monkeypatch):
    names = {f"POINTSMAN_{name.upper()}" for name in Settings.model_fields}
    given = config_map(build(folder), "pointsman-settings")
    assert {name for name in given if name.startswith("POINTSMAN_")} <= names
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert Settings().host == "0.0.0.0"  # noqa: S104  # in a pod


def test_the_pods_have_the_variables_that_ray_reads():
    """Those of the token are KubeRay's: `authOptions`."""
    given = config_map(build("base"), "pointsman-ray")
    assert {name: given.get(name) for name in RAY_VARIABLES if name != "RAY_AUTH_MODE"} == {
        name: value for name, value in RAY_VARIABLES.items() if name != "RAY_AUTH_MODE"
    }


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # of Ray's own schema
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_application_is_what_serve_takes(folder):
    from ray.serve.schema import ServeDeploySchema  # takes seconds

    text = ray_service(build(folder))["spec"]["serveConfigV2"]
    config = ServeDeploySchema.model_validate(yaml.safe_load(text))
    assert config.proxy_location == "Disabled"
    (application,) = config.applications
    assert application.route_prefix is None
    module, _, name = application.import_path.partition(":")
    assert module == "gateway.replica.ray_engine"
    assert name == "application"


def test_balancers_close_idle_connections_before_the_gateway_does():
    objects = build("overlays/prod")
    (ingress,) = [each for each in objects if each["kind"] == "Ingress"]
    attributes = ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/load-balancer-attributes"]
    settings = config_map(objects, "pointsman-settings")
    assert int(attributes.rpartition("=")[2]) < float(settings["POINTSMAN_IDLE_TIMEOUT_S"])
    assert float(settings["POINTSMAN_GRPC_IDLE_S"]) > 350
