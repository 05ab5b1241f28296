"""Text of callers on an operator's terminal."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gateway.cli import output
from gateway.cli.client import ApiClient, ApiError
from gateway.cli.printable import printable_json

_HARMFUL = [*map(chr, [*range(0x20), *range(0x7F, 0xA0)]), "\u202e", "\u2066", "\u200f", "\u061c", "\u2028"]
_TEXT = "a\u001b]0;x\u0007\u001b[2J\u009b31m\u202eb\nc" + "".join(_HARMFUL)


def is_harmless(printed: str) -> bool:
    return not any(each in printed for each in _HARMFUL if each not in "\n\t")


def test_a_table_has_no_control_characters(capsys):
    output.print_table([_TEXT, "WHY"], [(_TEXT, _TEXT), ("é ä 漢", None)])
    printed = capsys.readouterr().out
    assert is_harmless(printed)
    assert printed.count("\n") == 3  # a line end in a cell would look like another row
    assert "a\\x1b]0;x\\x07" in printed
    assert "é ä 漢" in printed


def test_json_has_them_as_escapes(capsys):
    output.print_json({"id": _TEXT, _TEXT: 1})
    printed = capsys.readouterr().out
    assert is_harmless(printed)
    assert json.loads(printed) == {"id": _TEXT, _TEXT: 1}


def test_sentences_and_errors_have_none(capsys):
    output.say(_TEXT)
    output.console.print(_TEXT)
    progress = output.Progress()
    progress.step(_TEXT)
    progress.done()
    with pytest.raises(typer.Exit), output.errors_printed():
        raise ApiError(_TEXT)
    printed = capsys.readouterr()
    assert is_harmless(printed.out)
    assert is_harmless(printed.err)


def test_a_why_in_the_history_is_harmless(run, monkeypatch):
    entry = {
        "route": "r",
        "version": 1,
        "at_s": 0,
        "who": _TEXT,
        "what": _TEXT,
        "phase": "",
        "weights": {},
        "why": _TEXT,
    }
    monkeypatch.setattr(ApiClient, "audit", lambda *_: [entry])
    for more in ((), ("--json",)):
        result = run("history", *more)
        assert result.exit_code == 0
        assert is_harmless(result.stdout)


def test_json_that_the_encoding_lacks_is_written_as_escapes():
    for text in ("é", "😀", _TEXT + "漢"):
        written = printable_json(json.dumps(text, ensure_ascii=False), "ascii")
        assert written.isascii()
        assert json.loads(written) == text
    assert printable_json('"é"', "utf-8") == printable_json('"é"', "latin-1") == '"é"'


def test_text_that_the_encoding_lacks_is_printed_as_escapes(tmp_path):
    query = "log query \"SELECT 'é 😀' AS x\""
    assert "\\xe9 \\U0001f600" in in_shell(query, tmp_path, PYTHONIOENCODING="ascii")
    assert '"\\u00e9 \\ud83d\\ude00"' in in_shell(f"{query} --json", tmp_path, PYTHONIOENCODING="ascii")


def test_a_closed_or_full_output_is_no_traceback(tmp_path):
    for command in ("keys list >&-", "keys list --json >&-", "keys list > /dev/full", "keys list | true"):
        assert "Traceback" not in in_shell(command, tmp_path), command


def in_shell(command: str, home: Path, **environment: str) -> str:
    """Run a command and return all that it prints."""
    code = "from gateway.cli.main import main; main()"
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {command}"
    more = {"POINTSMAN_HOME": str(home), **environment}
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=False, env={**os.environ, **more})  # noqa: S602
    return done.stdout + done.stderr
