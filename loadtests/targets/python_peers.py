"""Model servers that are written in Python: MLServer, KServe, BentoML and LitServe. Acts."""

from loadtests.bench.launch import Launch
from loadtests.bench.peers import ensure_peer
from loadtests.bench.setting import FOLDER, Setting


def mlserver(setting: Setting) -> Launch:
    """As `mlserver start` runs it if nothing is configured but the address."""
    return _mlserver_in("mlserver", setting)


def mlserver_tuned(setting: Setting) -> Launch:
    """The model in the server's own process; metrics, compression and debug logging off."""
    return _mlserver_in("mlserver-tuned", setting)


def kserve(setting: Setting) -> Launch:
    """With the options that its model server has by default."""
    return _kserve_with("kserve", setting)


def kserve_tuned(setting: Setting) -> Launch:
    """Access log and latency log off."""
    return _kserve_with("kserve-tuned", setting, "--configure_logging", "False", "--enable_latency_logging", "False")


def bentoml(setting: Setting) -> Launch:
    """One worker, no batching; access log, metrics and usage statistics off."""
    python = ensure_peer("bentoml", setting.work, setting.tell)
    port = setting.port("bentoml")
    service = "loadtests.servers.bentoml_service:Cancer"
    command = [str(python.with_name("bentoml")), "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    env = setting.peer_env | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(setting.work / "bentoml-home")}
    return Launch("bentoml", port, command, env, ready_path="/readyz")


def litserve(setting: Setting) -> Launch:
    """One API server and one worker with the fast queue, no batching; access log off."""
    python = ensure_peer("litserve", setting.work, setting.tell)
    port = setting.port("litserve")
    command = [str(python), "-m", "loadtests.servers.litserve_server", str(port)]
    return Launch("litserve", port, command, setting.peer_env)


def _mlserver_in(name: str, setting: Setting) -> Launch:
    python = ensure_peer("mlserver", setting.work, setting.tell)
    ports = {
        "MLSERVER_HTTP_PORT": str(setting.port(name)),
        "MLSERVER_GRPC_PORT": str(setting.port(f"{name}-grpc")),
        "MLSERVER_METRICS_PORT": str(setting.port(f"{name}-metrics")),
    }
    command = [str(python.with_name("mlserver")), "start", str(FOLDER / "servers" / name)]
    return Launch(name, setting.port(name), command, setting.peer_env | ports)


def _kserve_with(name: str, setting: Setting, *extra: str) -> Launch:
    python = ensure_peer("kserve", setting.work, setting.tell)
    options = ["--http_port", str(setting.port(name)), "--workers", "1", "--enable_grpc", "False", *extra]
    command = [str(python), "-m", "loadtests.servers.kserve_server", *options]
    return Launch(name, setting.port(name), command, setting.peer_env)
