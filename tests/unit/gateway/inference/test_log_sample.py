"""A route that keeps a sample: which requests are in it, and that what is counted is exact whatever it is."""

from collections import Counter

import numpy as np
import pytest

from gateway.inference.log_sample import is_in_sample
from gateway.inference.unit_secret import hash_unit
from inference_log.exposures import tally_exposures
from inference_log.segment import read_segment
from inference_log.tally import tally
from router.evidence.sums import GROUPS, group_of
from runtimes.errors import ModelFailed
from tests.unit.gateway.inference.support import Bench, Fake

HASHES = [hash_unit(str(each), b"s" * 32) for each in range(20_000)]
METRICS = {"metrics": {"click": {"window": "1h"}}}
TRUSTED = {"fallback": "b", "guardrails": [{"missing_outputs": {"worse_by": "10%"}}]}


def test_the_share_of_units_is_in_the_sample_and_of_each_group_alike():
    chosen = [each for each in HASHES if is_in_sample(1000, each, "")]
    assert len(chosen) == pytest.approx(2000, abs=5 * 42)  # five standard errors of a share of 10 % of 20,000
    groups = Counter(map(group_of, chosen))
    assert max(groups.values()) < 4 * 2000 / GROUPS + 20
    assert len(groups) > 0.8 * min(GROUPS, 2000)


def test_a_larger_sample_holds_the_smaller_one():
    small, large = ({each for each in HASHES if is_in_sample(slots, each, "")} for slots in (100, 1000))
    assert small < large


def test_a_unit_is_in_with_all_its_requests_and_a_request_without_one_by_itself():
    assert len({is_in_sample(5000, HASHES[0], f"d{each}") for each in range(100)}) == 1
    assert len({is_in_sample(5000, None, f"d{each}") for each in range(100)}) == 2


@pytest.fixture
def bench(tmp_path):
    built = Bench(tmp_path)
    yield built
    built.close()


class Unsteady(Fake):
    """Answers a number that is none to every third request."""

    def __init__(self, signature) -> None:
        super().__init__(signature, 1)
        self.asked = 0

    def run(self, inputs, outputs):
        self.asked += 1
        answers = super().run(inputs, outputs)
        return (
            [np.full_like(each, np.nan) if each.dtype.kind == "f" else each for each in answers]
            if (self.asked % 3 == 0)
            else answers
        )


def test_a_request_outside_the_sample_is_a_row_without_values(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1)}, log={"sample": "20%"})
    for each in range(200):
        bench.predict(live, decision_id=f"d{each}")
    rows = bench.rows()
    assert [row["writer_seq"] for row in rows] == list(range(200))
    within = [row for row in rows if row["sampling_rate"] is not None]
    assert 15 < len(within) < 70
    assert {row["sampling_rate"] for row in within} == {0.2}
    assert all(row["features_num"] and row["prediction"] and row["predicted_label"] == "1" for row in within)
    without = [row for row in rows if row["sampling_rate"] is None]
    assert not any(row["features_num"] or row["prediction"] or row["predicted_label"] for row in without)
    assert all(row["values_omitted"] for row in without)
    assert {(row["outcome"], row["propensity"], row["batch_size"]) for row in rows} == {("ok", 1.0, 1)}


def test_what_is_counted_does_not_depend_on_the_sample(tmp_path, join_live, signature):
    counted = []
    for sample in ("100%", "1%"):
        folder = tmp_path / sample
        folder.mkdir()
        own = Bench(folder)
        live = join_live(
            {"a": Unsteady(signature), "b": Fake(signature, 2)}, log={"sample": sample}, **METRICS, **TRUSTED
        )
        for each in range(90):
            unit = f"u{each % 7}"
            own.predict(live, decision_id=f"d{each}", unit=unit, unit_hash=hash_unit(unit, b""))
        segment = read_segment(own.writer.active_path.read_bytes())
        counts = tally(segment.contexts, segment.records)["r"]
        counted.append(
            (
                Counter({key._replace(bucket_s=0): count for key, count in counts.items()}),
                sum(map(sum, tally_exposures(segment.contexts, segment.records)["r"].values())),
                sum(record.kept is not None for record in segment.records),
            )
        )
        own.close()
    whole, sampled = counted
    assert {key.name: count for key, count in whole[0].items() if key.group < 0}["missing"] == 30
    assert whole[:2] == sampled[:2]
    assert (whole[2], sampled[2] > 80) == (0, True)


def test_errors_and_fallbacks_are_always_logged(bench, join_live, signature):
    live = join_live(
        {"a": Fake(signature, 1, ModelFailed("no")), "b": Fake(signature, 2)}, fallback="b", log={"sample": "0.01%"}
    )
    for each in range(3):
        bench.predict(live, decision_id=f"d{each}")
    rows = bench.rows()
    assert [(row["role"], row["outcome"], row["sampling_rate"]) for row in rows] == 3 * [
        ("primary", "error", 1.0),
        ("fallback", "ok", 1.0),
    ]
    assert all(row["features_num"] for row in rows)
