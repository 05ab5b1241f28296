"""YAML of others is read with limits: what is too deep, too large or multiplies itself is refused soon."""

import time

import pytest
import yaml

from runtimes.bounded_yaml import load_yaml

SOON_S = 20.0  # without limits these take from a minute to for ever
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 10)}]}}\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3_000 + "]" * 3_000, "nested more than 32 deep"),
        ("{a: " * 3_000 + "1" + "}" * 3_000, "nested more than 32 deep"),
        ("[" + "[]," * 50_000 + "]", "more than 20000 values"),
        (BOMB, "more than 20000 values"),
        (MERGES, "more than 20000 values"),
        ("a: &a [*a]", "contains itself"),
        ("x" * 2_000_000, "2000000 characters"),
    ],
    ids=["depth", "mappings", "brackets", "aliases", "merges", "cycle", "size"],
)
def test_what_is_too_much_is_refused_soon(text, words):
    began_s = time.monotonic()
    with pytest.raises((yaml.YAMLError, ValueError), match=words):
        load_yaml(text)
    assert time.monotonic() - began_s < SOON_S


def test_what_people_write_is_read():
    text = yaml.safe_dump({"columns": (names := [f"feature_{i}" for i in range(3_000)]), "again": names})
    assert "*id001" in text  # a list that is used twice is written once
    assert load_yaml(text) == {"columns": names, "again": names}
    assert load_yaml("") is None
