"""What the demo's crowd does before it comes: it finds the bandit, and has it forget earlier crowds."""

import pytest

from gateway.cli.client import ApiClient
from gateway.cli.demo_bandit.anew import begin_anew
from tests.unit.gateway.cli.support import refused

BANDIT = {
    "arms": {"a": "linear:1", "b": "linear:2", "c": "linear:1"},
    "fallback": "a",
    "metrics": {"click": {"window": "5s"}},
    "bandit": {"policy": "thompson", "reward": "click"},
}
EQUAL = {"a": "33.34%", "b": "33.33%", "c": "33.33%"}


@pytest.fixture
def client(gateway):
    return ApiClient(f"http://127.0.0.1:{gateway.port}")


@pytest.fixture
def bandit(gateway, request):
    name = request.node.name[-60:].strip("[]").replace("[", "-")
    response = gateway.http.put(f"/api/routes/{name}", json=BANDIT, headers={"if-none-match": "*"})
    assert response.status_code == 200, response.text
    return name


def send(client: ApiClient, route: str, command: str, **body: object) -> None:
    client.command(route, command, {"why": "", **body}, client.route(route)["version"])


def test_a_bandit_without_decisions_stays_as_it_is(client, bandit):
    assert begin_anew(client, bandit)["version"] == 1


def test_a_bandit_forgets_its_arms_and_their_weights(client, bandit):
    send(client, bandit, "shift", weights={"a": "80", "b": "15"})
    document = begin_anew(client, bandit)
    assert (document["weights"], document["bandit"]["phase"]) == (EQUAL, "PROGRESSING")
    assert [each["what"] for each in client.history(bandit, 4)] == ["resume", "reset c", "reset b", "reset a"]


@pytest.mark.parametrize("end", ["promote", "abort"])
def test_a_bandit_that_is_over_begins_again(client, bandit, end):
    send(client, bandit, end, **({"arm": "b"} if end == "promote" else {}))
    document = begin_anew(client, bandit)
    assert (document["weights"], document["bandit"]["phase"]) == (EQUAL, "PROGRESSING")


def test_without_the_demos_route_the_command_says_what_to_do(here):
    assert "has no bandit banner, which is a route of the demo: start the demo with `make up`" in refused(
        here("demo", "bandit", "--seconds", "1")
    )


def test_without_a_gateway_the_command_says_what_to_do(run):
    assert "No gateway answers at http://127.0.0.1:9" in refused(run("demo", "bandit", "--url", "http://127.0.0.1:9"))
