"""Text that callers and operators wrote, made harmless for a terminal.

A control character can move the cursor, retitle the window or, in some terminals, run a command. A bidirectional
override shows text in another order than it has (CVE-2021-42574). All of them are written as escapes.
"""

import json
import re

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_harmful = re.compile(f"[{_CONTROLS}]")
_not_ascii = re.compile(r"[^\x00-\x7f]")
_harmful_in_lines = re.compile(rf"(?![\n\t])[{_CONTROLS}]")


def printable(text: str) -> str:
    r"""Return a text of one line, with each control character as an escape such as `\x1b`."""
    return _harmful.sub(_python_escape, text)


def printable_lines(text: str) -> str:
    """Return the same of a text whose line ends and tabs are ours."""
    return _harmful_in_lines.sub(_python_escape, text)


def printable_json(text: str, encoding: str = "utf-8") -> str:
    """Return JSON that means the same, with escapes for control characters and for what the encoding lacks."""
    harmless = _harmful_in_lines.sub(_json_escape, text)
    try:
        harmless.encode(encoding)
    except UnicodeEncodeError:
        return _not_ascii.sub(_json_escape, harmless)
    return harmless


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _python_escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
