"""What the study of a bandit on a running gateway reads out of a session."""

from gateway.cli.demo_bandit.tally import Figures
from loadtests.studies.bandit_live import RATES, SWAPPED, _most_after_s, _part


def figures(
    second: int, share: float | None, *, regret: float = 0.0, uniform: float = 0.0, decisions: int = 0
) -> Figures:
    weights = None if share is None else {"a": 1 - share, "b": 0.0, "c": 0.0, "d": share}
    return Figures(
        second=second,
        policy=1,
        weights=weights,
        p_best={},
        decisions={"d": decisions},
        matured={},
        clicks={},
        regret=regret,
        uniform_regret=uniform,
        rewards={},
        failed=0,
        trouble="",
    )


def test_an_arm_has_most_of_the_traffic_only_if_it_keeps_it():
    part = [figures(1, 0.25), figures(2, 0.6), figures(3, 0.5), figures(4, 0.7), figures(5, None), figures(6, 0.9)]
    assert _most_after_s(part, "d", 0) == 4
    assert _most_after_s(part, "d", 3) == 1
    assert _most_after_s(part[:3], "d", 0) is None


def test_a_part_has_its_own_regret_and_decisions():
    before = figures(10, 0.9, regret=40, uniform=90, decisions=2000)
    after = [figures(second, 1 - second / 100, regret=100, uniform=250, decisions=4000) for second in (11, 60, 90)]
    first, second = _part([before], None, RATES, 200), _part(after, before, SWAPPED, 200)
    assert (first["best"], first["regret ratio"], first["decisions a second"]) == ("d", 0.444, 200)
    assert (second["best"], second["regret"], second["regret of equal weights"]) == ("a", 60, 160)
    assert (second["most after, s"], second["share at the end"]) == (50, 0.9)
