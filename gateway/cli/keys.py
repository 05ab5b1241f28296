"""`pointsman keys`: make, list and revoke API keys, in the store itself, so that the first one needs no gateway."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.access.api_keys import make_key, state
from gateway.access.caller import SCOPES, describe, read_grants
from gateway.cli.client import operator_name
from gateway.cli.output import print_json, print_table, sentences
from gateway.cli.serve import Home, read_settings
from router.quantities import parse_duration_s
from store.api_key import ApiKey
from store.interface import Store
from store.open import open_store

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; the history names it.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", help=f"{', '.join(SCOPES)}; or on one route: predict:fraud. May be repeated."),
    ],
    route: Annotated[
        list[str] | None, typer.Option("--route", help="Limit all scopes to this route. May be repeated.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second, in each replica.")] = None,
    burst: Annotated[
        float | None, typer.Option("--burst", help="Requests that may come at once.", show_default="a second's worth")
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="In how long, such as 30d.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it: this once, since only its digest is kept."""
    with sentences(), _store(home) as store:
        now_s = time.time()
        key, shown = make_key(
            name,
            scope,
            created_by=operator_name(),
            now_s=now_s,
            routes=route or None,
            rate_per_s=rate,
            burst=burst,
            expires_at_s=None if expires is None else now_s + parse_duration_s(expires, "--expires"),
        )
        if not store.add_key(key):
            raise ValueError("By chance there is a key with the same id already; nothing was made. Try again.")
        if as_json:
            print_json({**_described(key, now_s), "key": shown})
            return
        typer.echo(f"Key {key.name} (id {key.id}): {_may(key)}. It is shown this once; send it as Bearer.", err=True)
        typer.echo(shown)


@app.command("list")
def list_keys(home: Home = None, as_json: Json = False) -> None:
    """Show every key that was made, and what it may do."""
    with sentences(), _store(home) as store:
        now_s = time.time()
        listed = store.keys()
        if as_json:
            print_json([_described(key, now_s) for key in listed])
            return
        print_table(
            ["ID", "NAME", "STATE", "MAY", "RATE", "CREATED (UTC)", "BY", "EXPIRES (UTC)"],
            [
                (
                    key.id,
                    key.name,
                    state(key, now_s),
                    _may(key),
                    None if key.rate_per_s is None else f"{key.rate_per_s:g}/s, {key.burst:g} at once",
                    _when(key.created_at_s),
                    key.created_by,
                    _when(key.expires_at_s),
                )
                for key in listed
            ],
        )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a key back for good; running replicas refuse it within a second."""
    with sentences(), _store(home) as store:
        now_s = time.time()
        key = store.revoke_key(key_id, now_s)
        if key is None:
            raise ValueError("There is no key with that id; `pointsman keys list` shows them.")
        if as_json:
            print_json(_described(key, now_s))
        else:
            typer.echo(f"Key {key.name} (id {key.id}) is revoked since {_when(key.revoked_at_s)} UTC.")


@contextmanager
def _store(home: Home) -> Generator[Store, None, None]:
    store = open_store(read_settings(home=home).store)
    try:
        yield store
    finally:
        store.close()


def _described(key: ApiKey, now_s: float) -> dict[str, Any]:
    """All but the digest, which is nobody's business."""
    return {**{name: value for name, value in asdict(key).items() if name != "digest"}, "state": state(key, now_s)}


def _may(key: ApiKey) -> str:
    return describe(read_grants(key.scopes, key.routes))


def _when(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
