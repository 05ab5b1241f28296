"""The procedures of docs/runbooks.md by the commands of the page: keys change under load, a lost store comes back."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, running
from tests.support.load import Load
from tests.support.polling import wait_until
from tests.support.runbook import commands, run

ROUTE = {
    "route": "shop",
    "arms": {"a": {"value": {"price": 9.5}}, "b": {"value": {"price": 8.5}}},
    "split": {"a": "70%", "b": "30%"},
    "unit": "header:x-user-id",
    "metrics": {"click": {"window": "10m"}},
}
BODY = b'{"inputs": []}'
PATH = "/v2/models/shop/infer"

pytestmark = pytest.mark.timeout(900)  # each command of the page is a process of its own


def created(gateway, folder, command) -> tuple[str, str]:
    """Run a command that makes a key. Return its id and the key."""
    made = json.loads(run(gateway, folder, f"{command} --json"))
    return made["id"], made["key"]


def closed(home, redis, **settings) -> GatewayProcess:
    """Return a gateway on this store that requires a key, with that of an operator in its environment."""
    home.mkdir(exist_ok=True)
    settings = {
        "POINTSMAN_ENGINE": "uvicorn",
        "POINTSMAN_STORE": redis.url,
        "POINTSMAN_ACCESS": "required",
        "POINTSMAN_SEGMENT_MAX_AGE_S": "2",
        **settings,
    }
    made = GatewayProcess(home, "serve", **settings)
    _, key = created(made, home, "pointsman keys create ops --scope operate --scope read --scope reward")
    made.environment["POINTSMAN_KEY"] = key
    return made


@pytest.fixture
def gateway(tmp_path, server):
    with running(closed(tmp_path / "var", server)) as made:
        made.declare(ROUTE)
        yield made


def ask(gateway, key) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", "x-user-id": "u"}
    return httpx.post(f"{gateway.url}{PATH}", content=BODY, headers=headers, trust_env=False, timeout=60)


def load_with(gateway, key) -> Load:
    headers = {"authorization": f"Bearer {key}", "x-user-id": "u"}
    return Load(gateway.port, BODY, PATH, clients=4, headers=headers)


def predicts(gateway, folder) -> tuple[str, str]:
    return created(gateway, folder, "pointsman keys create client --scope predict --route shop")


def test_keys_of_callers_are_rotated_under_load(gateway, tmp_path):
    old_id, old = predicts(gateway, tmp_path)
    wait_until(lambda: ask(gateway, old).status_code == 200)
    create, see, revoke = commands("API keys")
    with load_with(gateway, old) as load:
        load.wait_for(50)
        new_id, new = created(gateway, tmp_path, create.replace("NEW", "client-2").replace("ROUTE", "shop"))
        wait_until(lambda: ask(gateway, new).status_code == 200)
        load.headers["authorization"] = f"Bearer {new}"
        load.wait_for(50)
        seen = run(gateway, tmp_path, see, ROUTE="shop")
        assert {old_id, new_id} <= set(re.findall(r"^\w+", seen, re.MULTILINE))
        run(gateway, tmp_path, revoke, OLD_ID=old_id)
        wait_until(lambda: ask(gateway, old).status_code == 401)
        load.wait_for(50)
    assert load.failed == []


def test_keys_of_tokens_are_rotated_under_load(gateway, tmp_path):
    _, key = predicts(gateway, tmp_path)
    wait_until(lambda: ask(gateway, key).status_code == 200)

    def token() -> str:
        return ask(gateway, key).headers["x-decision-token"]

    (rotate,) = commands("Token keys")
    with load_with(gateway, key) as load:
        before = token()
        run(gateway, tmp_path, rotate)
        meanwhile = token()
        assert meanwhile[:6] == before[:6]  # the new key does not seal yet
        file = gateway.home / "token-keys"
        aged = datetime.now(UTC) - timedelta(minutes=11)
        newest, *others = file.read_text().splitlines()
        newest = " ".join([*newest.split()[:2], aged.strftime("%Y-%m-%dT%H:%M:%SZ")])
        file.write_text("\n".join([newest, *others]) + "\n")
        wait_until(lambda: token()[:6] != before[:6])
        after = token()
        load.wait_for(50)
    assert load.failed == []
    for each in (before, meanwhile, after):
        assert run(gateway, tmp_path, f"pointsman reward {each} click 1") == "Counted.\n"


def newest(gateway, folder) -> dict:
    shown = json.loads(run(gateway, folder, "pointsman get shop --json"))
    return {name: shown[name] for name in ("spec", "weights")}


def rewarded(gateway, token) -> str:
    """Return what became of a reward."""
    headers = {"authorization": f"Bearer {gateway.environment['POINTSMAN_KEY']}"}
    body = {"rewards": [{"decision": token, "metric": "click", "value": 1}]}
    response = httpx.post(f"{gateway.url}/v2/rewards", json=body, headers=headers, trust_env=False, timeout=60)
    return response.json()["results"][0]["result"]


def test_a_lost_store_is_restored_from_what_a_gateway_remembers_and_from_the_log_alone(
    gateway, server, servers, tmp_path
):
    _, key = predicts(gateway, tmp_path)
    wait_until(lambda: ask(gateway, key).status_code == 200)
    run(gateway, tmp_path, "pointsman shift shop b=45")
    before = newest(gateway, tmp_path)
    assert before["weights"] == {"a": "55%", "b": "45%"}
    token = ask(gateway, key).headers["x-decision-token"]
    with load_with(gateway, key) as load:
        load.wait_for(50)
        server.kill()
        server.start()
        look, restore, look_again = commands("While a gateway remembers")
        wait_until(lambda: "is LOST" in run(gateway, tmp_path, look))
        assert run(gateway, tmp_path, restore) == "Put back: shop.\n"
        wait_until(lambda: "is LOST" not in run(gateway, tmp_path, look_again))
        load.wait_for(50)
    assert load.failed == []
    assert newest(gateway, tmp_path) == before
    run(gateway, tmp_path, "pointsman shift shop b=40")
    before = newest(gateway, tmp_path)
    written = "SELECT version FROM audit WHERE what = 'shift b=40'"
    wait_until(lambda: gateway.query(written))
    gateway.end()  # which ships its log

    empty = servers()
    empty.start()
    shared = {"POINTSMAN_LOG": str(gateway.home / "log"), "POINTSMAN_TOKEN_KEYS_FILE": str(gateway.home / "token-keys")}
    with running(closed(tmp_path / "other", empty, **shared)) as other:
        for command in commands("From the log alone"):
            shown = run(other, tmp_path, command)
        assert "shop" in shown
        assert newest(other, tmp_path) == before
        assert rewarded(other, token) == "refused"  # its route had another life
        _, key = predicts(other, tmp_path)
        wait_until(lambda: ask(other, key).status_code == 200)
