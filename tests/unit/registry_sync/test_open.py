"""Which registry a process opens, and what it has to import for that."""

import subprocess
import sys
from pathlib import Path

import pytest

from registry_sync.copy.local_copy import LocalCopy
from registry_sync.errors import RegistryUnavailable
from registry_sync.open import (
    check_setting,
    is_local,
    open_for_serving,
    open_publisher,
    open_registry,
    open_remote,
    serving_url,
)
from registry_sync.registries.directory import DirectoryRegistry

_CODE = """
import sys
from pathlib import Path
import gateway.replica.build
from registry_sync.open import open_for_serving
open_for_serving("s3://bucket", Path("home"))
assert "boto3" not in sys.modules and "botocore" not in sys.modules
"""


def test_a_directory_is_served_where_it_is_and_anything_else_from_the_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_for_serving("models", tmp_path), DirectoryRegistry)
    assert serving_url("models", tmp_path) == str(tmp_path / "models")
    url = serving_url("s3://bucket", Path("home"))
    assert url.startswith(f"copy://{tmp_path}/home/registry/")
    assert url != serving_url("s3://other", Path("home"))
    assert isinstance(open_for_serving("s3://bucket", tmp_path), LocalCopy)
    assert isinstance(open_registry(url), LocalCopy)


def test_an_unknown_scheme_is_refused_where_the_registry_itself_is_opened():
    with pytest.raises(RegistryUnavailable, match="There are no registries at ftp://"):
        open_remote("ftp://host")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("dbfs:/models", "There are no registries at dbfs://"),
        ("s3:/bucket/models", "write two slashes, s3://"),
        ("s3:bucket", "write two slashes, s3://"),
        ("mlflow+http:/host:5000", "write two slashes, mlflow"),
        ("file:/models", "There are no registries at file://"),
        ("file:///models", "There are no registries at file://"),
        ("runs:/1/model", "There are no registries at runs://"),
        ("models:/m-1", "There are no registries at models://"),
        ("http://host:5000", "write mlflow.http://HOST:PORT"),
        ("http:/host:5000", "write mlflow.http://HOST:PORT"),
        ("S3://bucket", "There are no registries at S3://"),
    ],
)
def test_what_looks_like_a_url_is_no_directory(url, sentence):
    for ask in (check_setting, open_registry, open_publisher):
        with pytest.raises(RegistryUnavailable, match=sentence):
            ask(url)


@pytest.mark.parametrize("path", ["models", "/models", "./s3:/a", "../a:b", "a/b:c", "", "1:/a", "ü:/a"])
def test_a_path_is_a_directory(path):
    assert is_local(path)


def test_a_replica_imports_no_client_of_a_registry():
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, timeout=120.0, check=False)
    assert done.returncode == 0, done.stderr
