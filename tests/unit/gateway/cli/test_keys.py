"""`pointsman keys`, from the terminal to the guard."""

import json
import re

import pytest
from typer.testing import CliRunner

from gateway.access.guard import AccessGuard
from gateway.cli.main import app
from gateway.errors import Unauthenticated
from store.open import open_store

KEY = r"pk_[0-9a-f]{12}_[0-9a-f]{64}"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, ["keys", *map(str, arguments)])


@pytest.fixture
def guard(tmp_path):
    """Return a function that builds a guard with the keys of the store."""

    def load() -> AccessGuard:
        store = open_store(f"sqlite:///{tmp_path}/home/pointsman.db")
        made = AccessGuard()
        made.replace_keys(store.keys())
        store.close()
        return made

    return load


def refused(result) -> str:
    assert result.exit_code == 1
    assert result.stderr.startswith("pointsman: ")
    assert len(result.stderr.splitlines()) == 1
    assert not re.search(KEY, result.output)
    return result.stderr


def test_the_first_key_is_made_before_any_gateway_and_opens_what_it_says(run, guard):
    result = run("create", "checkout", "--scope", "predict", "--scope", "read:fraud", "--route", "fraud")
    assert result.exit_code == 0, result.output
    shown = result.stdout.strip()
    assert re.fullmatch(KEY, shown)
    assert "Key checkout" in result.stderr
    assert "predict on fraud; read on fraud" in result.stderr
    assert shown not in result.stderr
    guard().admit({b"x-api-key": shown.encode()}, "predict", "fraud")


def test_a_program_reads_the_key_from_json(run):
    arguments = ("--scope", "predict", "--rate", "2.5", "--burst", "10", "--expires", "30d", "--json")
    made = json.loads(run("create", "checkout", *arguments).stdout)
    assert re.fullmatch(KEY, made["key"])
    assert made["key"].split("_")[1] == made["id"]
    assert (made["name"], made["scopes"], made["routes"]) == ("checkout", ["predict"], None)
    assert (made["rate_per_s"], made["burst"], made["state"]) == (2.5, 10, "ACTIVE")
    assert made["expires_at_s"] - made["created_at_s"] == pytest.approx(30 * 86_400)
    assert made["created_by"]


def test_neither_list_nor_store_ever_holds_a_key(run, tmp_path):
    shown = [run("create", name, "--scope", "read").stdout.strip() for name in ("one", "two")]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir())
    for key in shown:
        secret = key.split("_")[2]
        assert secret.encode() not in kept
        for result in (run("list"), run("list", "--json")):
            assert result.exit_code == 0
            assert secret not in result.output
    assert "digest" not in run("list", "--json").stdout


def test_keys_are_listed_with_what_they_may(run):
    run("create", "checkout", "--scope", "predict", "--route", "fraud", "--rate", "100")
    run("create", "ada", "--scope", "operate", "--scope", "read")
    listed = json.loads(run("list", "--json").stdout)
    assert [(key["name"], key["state"]) for key in listed] == [("checkout", "ACTIVE"), ("ada", "ACTIVE")]
    table = run("list").stdout
    assert "predict on fraud" in table
    assert "100/s, 100 at once" in table
    assert "operate; read" in table


def test_a_revoked_key_is_refused_and_stays_on_the_list(run, guard):
    made = json.loads(run("create", "checkout", "--scope", "predict", "--json").stdout)
    result = run("revoke", made["id"])
    assert (result.exit_code, f"Key checkout (id {made['id']}) is revoked" in result.stdout) == (0, True)
    with pytest.raises(Unauthenticated, match="was revoked"):
        guard().admit({b"x-api-key": made["key"].encode()}, "predict", "fraud")
    assert [key["state"] for key in json.loads(run("list", "--json").stdout)] == ["REVOKED"]
    again = json.loads(run("revoke", made["id"], "--json").stdout)
    assert again["revoked_at_s"] == json.loads(run("list", "--json").stdout)[0]["revoked_at_s"]


def test_a_key_in_place_of_its_id_is_not_repeated(run):
    shown = run("create", "checkout", "--scope", "predict").stdout.strip()
    assert "There is no key with that id" in refused(run("revoke", shown))


def test_an_empty_store_lists_nothing(run):
    assert json.loads(run("list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("x", "--scope", "admin"), "'admin' is no scope"),
        (("", "--scope", "read"), "A key's name"),
        (("x", "--scope", "read", "--rate", "0"), "A rate is"),
        (("x", "--scope", "read", "--rate", "nan"), "A rate is"),
        (("x", "--scope", "read", "--burst", "3"), "A burst needs a rate"),
        (("x", "--scope", "read", "--expires", "30"), "--expires must be a duration"),
        (("x", "--scope", "read:a", "--route", "b"), "outside the routes"),
    ],
)
def test_what_makes_no_sense_is_said_and_makes_no_key(run, arguments, sentence):
    assert sentence in refused(run("create", *arguments))
    assert json.loads(run("list", "--json").stdout) == []


def test_a_home_is_taken_from_the_flag(run, tmp_path):
    run("create", "elsewhere", "--scope", "read", "--home", tmp_path / "other")
    assert json.loads(run("list", "--json").stdout) == []
    listed = json.loads(run("list", "--json", "--home", tmp_path / "other").stdout)
    assert [key["name"] for key in listed] == ["elsewhere"]


def test_an_id_that_is_taken_makes_no_key(run, monkeypatch):
    monkeypatch.setattr("gateway.access.api_keys.secrets.token_hex", lambda count: "ab" * count)
    assert run("create", "one", "--scope", "read").exit_code == 0
    assert "Try again" in refused(run("create", "two", "--scope", "operate"))
    assert [key["name"] for key in json.loads(run("list", "--json").stdout)] == ["one"]


def test_a_store_that_does_not_answer_is_said(run, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "pointsman.db").write_bytes(b"no database" * 1000)
    assert "does not answer" in refused(run("list"))


def test_the_keys_of_decision_tokens_are_rotated_and_never_shown(run, tmp_path):
    first = run("rotate-tokens")
    path = tmp_path / "home" / "token-keys"
    (line,) = path.read_text().splitlines()
    assert f"Key {line[:8]} seals decision tokens from 20" in first.stdout
    assert "0 still open tokens, 0 dropped" in first.stdout
    done = json.loads(run("rotate-tokens", "--json").stdout)
    lines = path.read_text().splitlines()
    assert (done["id"], done["file"], done["kept"], done["dropped"]) == (lines[0][:8], str(path), 1, 0)
    assert lines[1] == line
    assert line.split()[1] not in first.output + run("rotate-tokens").output
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_that_the_settings_name_is_rotated(run, tmp_path, monkeypatch):
    monkeypatch.setenv("POINTSMAN_TOKEN_KEYS_FILE", str(tmp_path / "mounted"))
    assert run("rotate-tokens").exit_code == 0
    assert (tmp_path / "mounted").exists()
    (tmp_path / "mounted").write_text("damaged")
    assert "line 1: a key is an id" in refused(run("rotate-tokens"))
    assert not (tmp_path / "home" / "token-keys").exists()
