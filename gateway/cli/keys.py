"""`pointsman keys`: make, list and revoke API keys, and rotate the keys of decision tokens.

The commands open the store, or the file of keys, directly. So the first key can be made before a gateway runs.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.access.caller import SCOPES, describe, read_grants
from gateway.access.private_home import keep_files_private
from gateway.cli.client import operator_name
from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.printable import printable
from gateway.cli.settings_flags import Home, read_settings
from router.quantities import parse_duration_s
from store.api_key import ApiKey

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from store.interface import Store

app = typer.Typer(help="Make, list and revoke API keys, and rotate the keys of decision tokens.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The owner of the key. The history shows this name.")],
    scope: Annotated[
        list[str],
        typer.Option("--scope", help=f"{', '.join(SCOPES)}; or for one route: predict:fraud. Repeatable."),
    ],
    route: Annotated[
        list[str] | None, typer.Option("--route", help="Limit all scopes to this route. Repeatable.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second, in each replica.")] = None,
    burst: Annotated[
        float | None, typer.Option("--burst", help="Requests that may arrive at once.", show_default="a second's worth")
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="Time until the key expires, such as 30d.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is printed only once, because the store keeps only its digest."""
    from gateway.access.api_keys import make_key

    with errors_printed(), _store(home) as store:
        now_s = time.time()
        key, secret = make_key(
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
            print_json({**_public(key, now_s), "key": secret})
            return
        sentence = f"Key {key.name} (id {key.id}): {_allows(key)}. It is shown this once; send it as Bearer."
        say(printable(sentence), err=True)
        typer.echo(secret)


@app.command("list")
def list_keys(home: Home = None, as_json: Json = False) -> None:
    """Show every key that was made, and what it allows."""
    with errors_printed(), _store(home) as store:
        now_s = time.time()
        listed = store.keys()
        if as_json:
            print_json([_public(key, now_s) for key in listed])
            return
        print_table(
            ["ID", "NAME", "STATE", "MAY", "RATE", "CREATED (UTC)", "BY", "EXPIRES (UTC)"],
            [
                (
                    key.id,
                    key.name,
                    _state(key, now_s),
                    _allows(key),
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
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Revoke a key for good. Running replicas reject it within a second."""
    with errors_printed(), _store(home) as store:
        now_s = time.time()
        key = store.revoke_key(key_id, now_s)
        if key is None:
            raise ValueError("There is no key with that id; `pointsman keys list` shows them.")
        if as_json:
            print_json(_public(key, now_s))
        else:
            say(printable(f"Key {key.name} (id {key.id}) is revoked since {_when(key.revoked_at_s)} UTC."))


@app.command("rotate-tokens")
def rotate_tokens(home: Home = None, as_json: Json = False) -> None:
    """Make a new key that seals decision tokens, and drop the keys that no token needs any more.

    Replicas read the file again when it changes. The new key seals ten minutes from now. If several machines serve the
    same routes, give the file to all of them within this time.
    """
    from gateway.inference.token_key_file import rotate, token_keys_path

    with errors_printed():
        keep_files_private()
        path = token_keys_path(read_settings(home=home))
        new_id, seals_at_s, kept, dropped = rotate(path, time.time())
        if as_json:
            print_json({"file": str(path), "id": new_id, "seals_at_s": seals_at_s, "kept": kept, "dropped": dropped})
            return
        sentence = f"Key {new_id} seals decision tokens from {_when(seals_at_s)} UTC on. Keys that were there before: "
        say(printable(f"{sentence}{kept} still open tokens, {dropped} dropped. The file is {path}."))


@contextmanager
def _store(home: Home) -> Generator["Store", None, None]:
    from store.open import open_store

    settings = read_settings(home=home)
    keep_files_private()
    store = open_store(settings.store)
    try:
        yield store
    finally:
        store.close()


def _public(key: ApiKey, now_s: float) -> dict[str, Any]:
    """Return the fields of a key without its digest."""
    return {**{name: value for name, value in asdict(key).items() if name != "digest"}, "state": _state(key, now_s)}


def _state(key: ApiKey, now_s: float) -> str:
    from gateway.access.api_keys import state

    return state(key, now_s)


def _allows(key: ApiKey) -> str:
    return describe(read_grants(key.scopes, key.routes))


def _when(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
