"""Settings are read once, validated, and never changed."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POINTSMAN_{name.upper()}", raising=False)


def test_everything_has_a_default_that_depends_on_home(tmp_path):
    settings = Settings(home=tmp_path).resolved()
    assert (settings.host, settings.port, settings.engine) == ("127.0.0.1", 8000, "ray")
    assert settings.store == f"sqlite:///{tmp_path}/pointsman.db"
    assert (settings.registry, settings.log) == (str(tmp_path / "models"), str(tmp_path / "log"))
    assert (settings.spool, settings.metrics_dir) == (tmp_path / "spool", tmp_path / "metrics")


def test_what_is_given_is_kept(tmp_path):
    settings = Settings(home=tmp_path, store="sqlite:////s.db", registry="/r", log="/l").resolved()
    assert (settings.store, settings.registry, settings.log) == ("sqlite:////s.db", "/r", "/l")


def test_home_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Settings().resolved().home == tmp_path / "var"
    assert Settings(home=Path("~/x")).resolved().home == Path.home() / "x"


def test_the_environment_is_read_with_its_prefix(monkeypatch):
    monkeypatch.setenv("POINTSMAN_PORT", "9001")
    monkeypatch.setenv("POINTSMAN_ALLOW_PICKLE", "true")
    monkeypatch.setenv("PORT", "1")
    assert (Settings().port, Settings().allow_pickle) == (9001, True)
    assert Settings(port=9002).port == 9002


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(
    "given",
    [
        {"port": 0}, {"port": 65536}, {"port": "http"}, {"engine": "flask"}, {"replicas": 0}, {"max_in_flight": 0},
        {"max_body_bytes": 10}, {"refresh_every_ms": 1}, {"wedged_after_s": 0}, {"segment_max_age_s": 0}, {"colour": 1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given):
    with pytest.raises(ValidationError, match=next(iter(given))):
        Settings(**given)


def test_http_and_grpc_do_not_share_a_port():
    with pytest.raises(ValueError, match="HTTP and gRPC need a port each"):
        Settings(port=9000, grpc_port=9000)
