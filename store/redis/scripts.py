"""The Lua scripts of a Redis store. They are files of this package, in `lua/`."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from store.redis.client import Argument, RedisClient


class Script:
    """One script. It is sent by its hash, and in full only to a server that does not know the hash."""

    def __init__(self, name: str) -> None:
        self.source = files("store.redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: RedisClient, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run the script and return its reply."""
        try:
            return client.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.execute_command("EVAL", self.source, len(keys), *keys, *arguments)


@cache
def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua`. The file is read once, when it is first needed."""
    return Script(name)
