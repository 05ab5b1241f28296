"""Model servers written in Python: MLServer, KServe, BentoML and LitServe."""

from loadtests.bench.launch import Launch
from loadtests.bench.peers import ensure_peer
from loadtests.bench.setting import FOLDER, Setting


def mlserver(setting: Setting) -> Launch:
    """Return MLServer as `mlserver start` runs it, with only the address configured."""
    return _mlserver_in("mlserver", setting)


def mlserver_tuned(setting: Setting) -> Launch:
    """Return MLServer with the model in its own process, and without metrics, compression and debug logging."""
    return _mlserver_in("mlserver-tuned", setting)


def kserve(setting: Setting) -> Launch:
    """Return KServe's model server with its default options."""
    return _kserve_with("kserve", setting)


def kserve_tuned(setting: Setting) -> Launch:
    """Return KServe's model server without access log and latency log."""
    return _kserve_with("kserve-tuned", setting, "--configure_logging", "False", "--enable_latency_logging", "False")


def bentoml(setting: Setting) -> Launch:
    """Return BentoML with one worker, and without batching, access log, metrics and usage statistics."""
    python = ensure_peer("bentoml", setting.work, setting.tell)
    port = setting.port("bentoml")
    service = "loadtests.servers.bentoml_service:Cancer"
    command = [str(python.with_name("bentoml")), "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    env = setting.peer_env | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(setting.work / "bentoml-home")}
    return Launch("bentoml", port, command, env, ready_path="/readyz")


def litserve(setting: Setting) -> Launch:
    """Return LitServe with one API server, one worker and the fast queue, and without batching and access log."""
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
