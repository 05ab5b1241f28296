"""Where the files of a version are: reads the URI that MLflow gives, and refuses what leads elsewhere.

    mlflow-artifacts:/PATH          behind this server's proxy
    s3://BUCKET/PATH                in S3
    runs:/RUN/PATH, models:/m-ID    where the run or the logged model keeps its files; MLflow is asked once more

Everything else is refused: a path of the server's own disk, another host, another kind of store.
"""

from urllib.parse import unquote, urlsplit

from registry_sync.registries.mlflow.answers import OneLoggedModel, OneRun
from registry_sync.registries.mlflow.artifacts import PROXY
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing
from registry_sync.registries.s3 import Place
from runtimes.errors import ModelRefused
from runtimes.manifest import is_below


def find_files(uri: str, client: MlflowClient) -> Place | str:
    """Return where the files of `uri` are: a place in S3, or a path behind the proxy.

    Raises:
        ModelRefused: the gateway does not read there. The sentence says what can be done.
        RegistryUnavailable: MLflow cannot be asked.
    """
    uri = _resolved(uri, client)
    scheme, rest = _split(uri)
    own = f"{client.server.url}/api/2.0/{PROXY}/"
    if scheme in ("http", "https") and uri.startswith(own):
        return _path(uri, unquote(uri.removeprefix(own)))
    if scheme == "mlflow-artifacts":
        host, path = _authority(rest)
        if host and host != urlsplit(client.server.url).netloc:
            raise ModelRefused(f"The files are at {uri}, on another host than {client.server.url}, which is not asked.")
        return _path(uri, path)
    if scheme == "s3":
        bucket, path = _authority(rest)
        if not bucket:
            raise ModelRefused(f"The files are at {uri!r}, which names no bucket.")
        return Place(bucket, f"{_path(uri, path)}/")
    raise ModelRefused(_sentence(uri, scheme))


def _resolved(uri: str, client: MlflowClient) -> str:
    """Return where a run or a logged model keeps its files, or `uri` itself if it names neither."""
    scheme, rest = _split(uri)
    if scheme not in ("runs", "models"):
        return uri
    host, path = _authority(rest)
    name, _, below = path.partition("/")
    try:
        if host or not name:
            raise Missing
        if scheme == "runs":
            found = client.get("mlflow/runs/get", OneRun, {"run_id": name}).run.info.artifact_uri
            return f"{found.rstrip('/')}/{below}" if below else found
        if not is_below(name):
            raise Missing
        found = client.get(f"mlflow/logged-models/{name}", OneLoggedModel, {}).model.info.artifact_uri
    except Missing:
        raise ModelRefused(f"The files are at {uri}, which MLflow does not know (any more).") from None
    return found


def _split(uri: str) -> tuple[str, str]:
    scheme, found, rest = uri.partition(":")
    return (scheme.lower(), rest) if found else ("", uri)


def _authority(rest: str) -> tuple[str, str]:
    """Return host and path of what follows a scheme: `//host/path`, or `/path`."""
    if not rest.startswith("//"):
        return "", rest.strip("/")
    host, _, path = rest[2:].partition("/")
    return host, path.strip("/")


def _path(uri: str, path: str) -> str:
    path = path.strip("/")
    if not is_below(path) or any(each in path for each in "?#%"):
        raise ModelRefused(f"The files are at {uri!r}, whose path is not a plain one.")
    return path


def _sentence(uri: str, scheme: str) -> str:
    if scheme in ("", "file"):
        return (
            f"The files are at {uri!r}, on the disk of the MLflow server. Start it with --serve-artifacts, or with an "
            "artifact root in S3, and log the model again."
        )
    if scheme in ("dbfs", "uc"):
        return f"The files are at {uri!r}. Register the model in Unity Catalog, and write databricks://HOST."
    return f"The files are at {uri!r}. The gateway reads files through MLflow's own proxy (--serve-artifacts) or in S3."
