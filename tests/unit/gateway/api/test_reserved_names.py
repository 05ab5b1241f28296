"""A route whose name a path has already cannot be declared: its own page would be another one."""

import re

import pytest

from router.document.declare import TAKEN
from tests.support.polling import wait_until

NAME = re.compile(r"\{(route|model)\}")


def served_paths(gateway) -> list[str]:
    return [*gateway.http.get("/openapi.json").json()["paths"], "/v2/repository/models/{model}/load"]


def test_every_name_that_a_path_has_where_others_have_a_route_is_taken(gateway):
    paths = [path.split("/") for path in served_paths(gateway)]
    taken = set()
    for path in paths:
        for other in paths:
            if len(path) != len(other) or path == other:
                continue
            pairs = list(zip(path, other, strict=True))
            if all(one == two or NAME.fullmatch(one) for one, two in pairs):
                taken |= {two for one, two in pairs if NAME.fullmatch(one) and not two.startswith("{")}
    assert taken == TAKEN


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_a_route_of_such_a_name_is_refused_and_said_why(gateway, name):
    spec = {"arms": {"a": "linear:1"}, "split": {"a": "100%"}}
    refused = gateway.http.put(f"/api/routes/{name}", json=spec, headers={"if-none-match": "*"})
    assert refused.status_code == 400
    assert f"No route can be called {name}" in refused.json()["error"]


@pytest.mark.parametrize("name", ["versions", "ready", "index", "predict", "apply", "metadata", "labels"])
def test_a_route_called_like_another_word_of_the_paths_works(gateway, name):
    spec = {"arms": {"a": "linear:1"}, "split": {"a": "100%"}}
    assert gateway.http.put(f"/api/routes/{name}", json=spec, headers={"if-none-match": "*"}).status_code == 200
    wait_until(lambda: gateway.infer(name).status_code == 200)
    assert gateway.http.get(f"/v2/models/{name}").json()["name"] == name
    assert gateway.http.get(f"/v2/models/{name}/ready").status_code == 200
    assert gateway.http.get(f"/v1/models/{name}").json()["ready"] is True
    assert gateway.infer(f"{name}/versions/1").status_code == 200
    assert gateway.http.post(f"/v1/models/{name}:predict", json={"instances": [[1, 2, 3, 4]]}).status_code == 200
    assert gateway.http.get(f"/api/routes/{name}/history").status_code == 200
