"""Removes variables, such as credentials, from this process before it runs the code of a model's author.

Deleting them from `os.environ` is not enough: the kernel goes on showing what the process was started with
(proc(5), /proc/PID/environ), which is memory of the process itself.
"""

import ctypes
import os
import re
from pathlib import Path

_ENV_START = 47
"""The place of `env_start` in /proc/PID/stat, counted after the name in parentheses (proc(5), field 50)."""


def forget_variables(prefixes: tuple[str, ...]) -> None:
    """Remove all variables whose names begin with one of these."""
    for name in [each for each in os.environ if each.startswith(prefixes)]:
        del os.environ[name]
    shown = Path("/proc/self/environ").read_bytes()
    start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ENV_START])
    if ctypes.string_at(start, len(shown)) != shown:
        return  # a program has moved it: `setproctitle` does
    names = "|".join(map(re.escape, prefixes)).encode()
    for found in re.finditer(rb"(?:^|\0)(?:" + names + rb")[^=\0]*=([^\0]*)", shown):
        ctypes.memset(start + found.start(1), ord("-"), len(found[1]))
