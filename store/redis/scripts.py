"""The Lua scripts of a Redis store, which are files of this package. Acts."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from store.redis.client import RedisClient, Word


class Script:
    """One script. A server that does not know it is sent all of it once."""

    def __init__(self, name: str) -> None:
        self.source = files("store.redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: RedisClient, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """What the script returns."""
        try:
            return client.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.execute_command("EVAL", self.source, len(keys), *keys, *arguments)


@cache
def script(name: str) -> Script:
    """The script in `lua/<name>.lua`, read when it is first needed."""
    return Script(name)
