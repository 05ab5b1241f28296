"""What a file does to traffic is said before and after it is applied, also where its text does not show it."""

import json

import pytest

from tests.unit.gateway.cli.support import refused


@pytest.fixture
def write(tmp_path):
    def one(route: str, **more: str) -> None:
        keys = {"arms": "{a: 'linear:1', b: 'linear:2'}", "split": "{a: 90%, b: 10%}", "fallback": "a", **more}
        (tmp_path / f"{route}.yaml").write_text(
            "\n".join([f"route: {route}", *(f"{k}: {v}" for k, v in keys.items() if v)])
        )

    return one


def test_a_quarantined_arm_keeps_no_traffic_blocks_no_other_route_and_is_named(here, tmp_path, write):
    write("cons1")
    assert here("apply", "-f", tmp_path).exit_code == 0
    assert here("abort", "cons1", "b", "--why", "It fails.").exit_code == 0
    write("cons2")
    sentence = (
        "cons1: arm b keeps no traffic, because linear:2 is in quarantine: It fails. "
        "`pointsman release cons1 linear:2` lets it back.\n"
    )
    shown = here("diff", "-f", tmp_path)
    assert (shown.exit_code, sentence in shown.stderr) == (1, True)
    applied = here("apply", "-f", tmp_path)
    assert (applied.exit_code, sentence in applied.stderr) == (0, True)
    assert "cons1 is unchanged at version 2 (a=100% b=0%)" in applied.stdout
    assert "cons2 was created and is at version 1" in applied.stdout
    (first, _) = json.loads(here("apply", "-f", tmp_path, "--json").stdout)
    assert (first["outcome"], first["notes"], first["weights"]) == (
        "unchanged",
        [sentence.strip()],
        {"a": "100%", "b": "0%"},
    )


def test_what_takes_the_traffic_of_a_promoted_version_is_refused_and_diff_says_so(here, tmp_path, write):
    rollout = {"split": "", "fallback": "", "rollout": "{of: b, steps: [5%], every: 10m}"}
    write("cons3", **rollout)
    for command in (("apply", "-f", tmp_path), ("start", "cons3"), ("promote", "cons3")):
        assert here(*command).exit_code == 0
    write("cons3", **rollout, arms="{a: 'linear:1', b: 'linear@champion'}")
    shown = here("diff", "-f", tmp_path)
    assert "cons3: `apply` would refuse this: linear:2 is promoted and has all the traffic" in shown.stderr
    assert "`apply` would refuse" in json.loads(here("diff", "-f", tmp_path, "--json").stdout)["routes"][0]["notes"][0]
    assert "linear:2 is promoted and has all the traffic" in refused(here("apply", "-f", tmp_path))
    write("cons3", **rollout, arms="{a: 'linear:2', b: 'linear@champion'}")
    shown = here("diff", "-f", tmp_path)
    assert "cons3: its traffic moves from a=0% b=100% to a=100% b=0%." in shown.stderr
    applied = here("apply", "-f", tmp_path)
    assert (applied.exit_code, applied.stderr) == (0, "cons3: its traffic moves from a=0% b=100% to a=100% b=0%.\n")


def test_files_that_are_named_one_by_one_are_all_applied(here, tmp_path, write):
    write("cons4")
    write("cons5")
    applied = here("apply", "-f", tmp_path / "cons4.yaml", "-f", tmp_path / "cons5.yaml")
    assert applied.exit_code == 0
    assert [line.split()[0] for line in applied.stdout.splitlines()] == ["cons4", "cons5"]
