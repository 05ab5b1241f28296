"""Puts estimators of the tests into a gateway's registry, with the demo model's signature, and declares routes."""

import hashlib
import sys
from types import ModuleType
from typing import Any

import cloudpickle
import yaml

from tests.serve.gateway_process import GatewayProcess


def publish(gateway: GatewayProcess, model: str, version: str, estimator: object, **manifest: str) -> None:
    """Writes one version. Its class need not be importable where it is loaded."""
    module: ModuleType = sys.modules[type(estimator).__module__]
    cloudpickle.register_pickle_by_value(module)
    content = cloudpickle.dumps(estimator)
    cloudpickle.unregister_pickle_by_value(module)
    folder = gateway.home / "models" / model / version
    folder.mkdir(parents=True)
    described = yaml.safe_load((gateway.home / "models/cancer/1/model.yaml").read_text())
    described |= {"file": "model.pkl", "sha256": hashlib.sha256(content).hexdigest(), **manifest}
    (folder / "model.pkl").write_bytes(content)
    (folder / "model.yaml").write_text(yaml.safe_dump(described))


def declare(gateway: GatewayProcess, spec: dict[str, Any]) -> None:
    """Declares a route and waits until every replica serves it, as the command line does."""
    path = gateway.home / f"{spec['route']}.yaml"
    path.write_text(yaml.safe_dump(spec))
    done = gateway.cli("apply", "-f", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
