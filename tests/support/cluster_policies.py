"""What the objects of an overlay must keep to, each rule as a function that returns sentences about what does not."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.settings import Settings

Object = dict[str, Any]

MADE_BY_HAND = {"pointsman-keys"}
"""Secrets that no overlay holds; docs/kubernetes.md says how they are made."""
SERVE_PORTS = {"serve": 8000, "serve-grpc": 8001}
COMMAND_S = 10.0
"""How long it may take until the cluster's head has been told to drain a node."""
RAY_END_S = 5.0
"""What Ray takes to end its own processes."""


def violations(objects: Sequence[Object]) -> list[str]:
    """Return a sentence for each fault of the objects."""
    return [sentence for rule in RULES for sentence in rule(objects)]


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the template of each pod."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "RayService":
            cluster = each["spec"]["rayClusterConfig"]
            yield f"{name}, head", cluster["headGroupSpec"]["template"]
            for group in cluster["workerGroupSpecs"]:
                yield f"{name}, {group['groupName']}", group["template"]
        elif each["kind"] in {"StatefulSet", "Deployment", "DaemonSet", "Job"}:
            yield name, each["spec"]["template"]


def containers(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the specification of each container."""
    for name, template in pods(objects):
        for each in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield f"{name}, container {each['name']}", each


def pinned_images(objects: Sequence[Object]) -> Iterator[str]:
    """Yield what names no version."""
    for name, each in containers(objects):
        tag = each["image"].rpartition("/")[2].partition(":")[2]
        if not tag or tag == "latest":
            yield f"{name}: the image {each['image']} names no version."


def limits(objects: Sequence[Object]) -> Iterator[str]:
    """Yield containers that may take what others need, or get less than they ask for."""
    for name, each in containers(objects):
        resources = each.get("resources", {})
        for kind in ("requests", "limits"):
            lacking = {"cpu", "memory"} - set(resources.get(kind, {}))
            if lacking:
                yield f"{name}: {kind} do not say {sorted(lacking)}."


def unprivileged(objects: Sequence[Object]) -> Iterator[str]:
    """Yield containers with more rights than they need."""
    for name, template in pods(objects):
        if not template["spec"].get("securityContext", {}).get("runAsNonRoot"):
            yield f"{name}: it may run as root."
    for name, each in containers(objects):
        context = each.get("securityContext", {})
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: it may get more rights."
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
            yield f"{name}: it keeps capabilities."
        if not context.get("readOnlyRootFilesystem"):
            yield f"{name}: its root can be written."


def head_ports(objects: Sequence[Object]) -> Iterator[str]:
    """Yield ports that the head does not name: KubeRay builds the Service from the head's container."""
    for each in objects:
        if each["kind"] == "RayService":
            cluster = each["spec"]["rayClusterConfig"]
            groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
            for group in groups:
                container = group["template"]["spec"]["containers"][0]
                found = {port.get("name"): port["containerPort"] for port in container.get("ports", ())}
                if not found.items() >= SERVE_PORTS.items():
                    yield f"container {container['name']}: its ports do not name {SERVE_PORTS}."


def known_names(objects: Sequence[Object]) -> Iterator[str]:
    """Yield names of ConfigMaps, Secrets and accounts that no object has, such as one that was not rewritten."""
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    made |= {("Secret", name) for kind, name in made if kind == "ExternalSecret"}
    for name, template in pods(objects):
        account = template["spec"].get("serviceAccountName")
        for volume in template["spec"].get("volumes", ()):
            secret = volume.get("secret", {}).get("secretName")
            if secret is not None and ("Secret", secret) not in made and secret not in MADE_BY_HAND:
                yield f"{name}: there is no Secret {secret}."
        if account is not None and ("ServiceAccount", account) not in made:
            yield f"{name}: there is no ServiceAccount {account}."
    for name, each in containers(objects):
        for kind, key in _references(each):
            if (kind, key) not in made:
                yield f"{name}: there is no {kind} {key}."


def _references(container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom", ()):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                yield kind, source[key]["name"]
    for variable in container.get("env", ()):
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if key in variable.get("valueFrom", {}):
                yield kind, variable["valueFrom"][key]["name"]


def room_to_end(objects: Sequence[Object]) -> Iterator[str]:
    """Yield pods that may be killed before their replicas have ended in order.

    The hook has time for the endpoints to be removed and for Serve's graceful end, and Ray for its own after that.
    """
    settings = {
        name: value for each in objects if each["kind"] == "ConfigMap" for name, value in each.get("data", {}).items()
    }
    for each in objects:
        if each["kind"] == "RayService":
            found = re.search(r"graceful_shutdown_timeout_s: (\d+)", each["spec"]["serveConfigV2"])
            graceful_s = float(found[1]) if found else 0.0
            drain_s, ship_s = (float(settings[f"POINTSMAN_{name}"]) for name in ("DRAIN_S", "SHIP_AT_END_S"))
            replica_s = Settings(drain_s=drain_s, ship_at_end_s=ship_s).end_within_s
            if graceful_s < replica_s:
                yield f"Serve kills a replica after {graceful_s:g} s, and it may take {replica_s:g} s."
            for group in each["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
                yield from _room_in_pod(group, settings, graceful_s)


def _room_in_pod(group: Object, settings: Mapping[str, str], graceful_s: float) -> Iterator[str]:
    spec = group["template"]["spec"]
    hook = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    if hook[:3] != ["pointsman", "drain", "--within-s"]:
        yield f"{group['groupName']}: no preStop hook runs pointsman drain."
        return
    hook_s, given_s = float(hook[3]), spec.get("terminationGracePeriodSeconds", 30)
    needed_s = float(settings["POINTSMAN_LEAVE_WAIT_S"]) + COMMAND_S + graceful_s
    if hook_s < needed_s:
        yield f"{group['groupName']}: the preStop hook ends after {hook_s:g} s, and needs {needed_s:g} s."
    needed_s = hook_s + float(settings["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) + RAY_END_S
    if given_s < needed_s:
        yield f"{group['groupName']}: a pod is killed after {given_s} s, and needs {needed_s:g} s."


def scraped(objects: Sequence[Object]) -> Iterator[str]:
    """Yield monitors that find no pod with their port, or no key."""
    secrets = {each["metadata"]["name"] for each in objects if each["kind"] in {"Secret", "ExternalSecret"}}
    for each in objects:
        if each["kind"] == "PodMonitor":
            name, wanted = f"PodMonitor {each['metadata']['name']}", each["spec"]["selector"]["matchLabels"].items()
            for endpoint in each["spec"]["podMetricsEndpoints"]:
                ports = [
                    port["name"]
                    for _, template in pods(objects)
                    if wanted <= template["metadata"]["labels"].items()
                    for container in template["spec"]["containers"]
                    for port in container.get("ports", ())
                ]
                if endpoint["port"] not in ports:
                    yield f"{name}: no pod that it selects has a port {endpoint['port']}."
                if endpoint["authorization"]["credentials"]["name"] not in secrets:
                    yield f"{name}: there is no Secret {endpoint['authorization']['credentials']['name']}."


RULES = (pinned_images, limits, unprivileged, head_ports, known_names, room_to_end, scraped)


def wide_permissions(policy: Object) -> list[str]:
    """Return a sentence for each statement of an IAM policy that allows all actions, or names all resources."""
    faults = []
    for statement in policy["Statement"]:
        actions, resources = statement["Action"], statement.get("Resource", ())
        if any("*" in action for action in ([actions] if isinstance(actions, str) else actions)):
            faults.append(f"{statement['Sid']} allows {actions}.")
        named = [resources] if isinstance(resources, str) else resources
        faults += [f"{statement['Sid']} names {each}." for each in named if "*" in each.removesuffix("/*")]
    return faults
