"""How servers are started: ports that do not collide, and the requests that each supports."""

from pathlib import Path

import pytest

from loadtests.bench import launch
from loadtests.bench.launch import Form, Launch
from loadtests.bench.setting import PORTS, Setting
from loadtests.targets import composition, floors, ours, python_peers, triton


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Return a setting whose peers count as installed and whose homes count as prepared."""
    monkeypatch.setattr(python_peers, "ensure_peer", lambda peer, work, _: work / peer / "bin" / "python")
    monkeypatch.setattr(ours, "prepare_home", lambda _: None)
    monkeypatch.setattr(ours, "_pointsman", lambda: "pointsman")
    return Setting(tmp_path / "work", tmp_path / "home", 20_000, lambda _: None)


def started(setting: Setting) -> list[Launch]:
    builders = (
        ours.ours, ours.ours_2, ours.ours_dedicated, ours.ours_uvicorn, floors.bare, floors.bare_grpc,
        python_peers.mlserver, python_peers.mlserver_tuned, python_peers.kserve, python_peers.kserve_tuned,
        python_peers.bentoml, python_peers.litserve, composition.composition, composition.composition_tuned,
    )  # fmt: skip
    return [build(setting) for build in builders]


def test_no_two_servers_share_a_port(setting: Setting) -> None:
    taken = [port for one in started(setting) for port in one.ports]
    assert len(set(taken)) == len(taken)
    assert len(set(PORTS)) == len(PORTS) <= 30


def test_every_server_is_started_on_its_own_port(setting: Setting) -> None:
    for one in started(setting):
        words = [*one.command, *one.env.values()]
        assert any(str(one.port) in word for word in words), one.name


def test_gateways_that_run_side_by_side_have_homes_of_their_own(setting: Setting) -> None:
    homes = {one.command[-1] for one in (ours.ours(setting), ours.ours_2(setting), ours.ours_uvicorn(setting))}
    assert len(homes) == 3


def test_gateway_supports_every_form_and_serves_the_wide_route(setting: Setting) -> None:
    one = ours.ours(setting)
    assert one.forms == frozenset(Form)
    assert one.models == {"cancer", "wide"}
    assert [command[1] for command in one.after_ready] == ["shift", "apply"]
    assert Path(one.after_ready[1][3]).exists()


def test_grpc_goes_to_the_grpc_port_and_to_the_only_port_if_there_is_no_other(setting: Setting) -> None:
    assert ours.ours(setting).grpc_address == f"127.0.0.1:{setting.port('ours-grpc')}"
    assert floors.bare_grpc(setting).grpc_address == f"127.0.0.1:{setting.port('bare-grpc')}"


def test_urls_name_the_model() -> None:
    assert launch.Launch("x", 8, []).infer_url("wide") == "http://127.0.0.1:8/v2/models/wide/infer"


@pytest.mark.parametrize(("name", "output"), [("cancer", "probabilities"), ("wide", "mean")])
def test_triton_configuration_names_the_models_file_and_tensors(name: str, output: str) -> None:
    text = triton.config(name, Path("/models/model.onnx"))
    assert f'name: "{name}"' in text
    assert f'name: "{output}"' in text
    assert 'string_value: "/models/model.onnx"' in text
    assert text.count("{") == text.count("}")
