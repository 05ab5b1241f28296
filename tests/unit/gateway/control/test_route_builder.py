"""Routes get their lanes, shadows and conditions; a version that no route uses is dropped."""

import asyncio

import numpy as np
import pytest
import yaml

from runtimes.errors import ModelRefused
from tests.unit.gateway.control.support_reconciler import ONE, OTHER, TWO


def test_an_arm_keeps_its_lane_when_the_weights_change(bench, declare):
    both = {"route": "r", "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}}
    declare(bench.store, both)
    lane = bench.tick().routes["r"].arms[0].lane
    declare(bench.store, {**both, "split": {"a": "40%", "b": "60%"}})
    assert bench.tick().routes["r"].arms[0].lane is lane


def test_routes_of_one_version_share_its_lane(bench, declare):
    declare(bench.store, ONE)
    declare(bench.store, OTHER)
    live = bench.tick()
    assert live.routes["r"].arms[0].lane is live.routes["other"].arms[0].lane


def test_a_lane_is_forgotten_with_its_last_route(bench, declare):
    declare(bench.store, ONE)
    lane = bench.tick().routes["r"].arms[0].lane
    declare(bench.store, TWO)
    bench.tick()
    declare(bench.store, ONE)
    assert bench.tick().routes["r"].arms[0].lane is not lane


def test_a_version_that_wants_an_application_of_its_own_is_a_problem_where_there_is_none(bench, declare):
    declare(bench.store, ONE)
    bench.tick()
    declare(bench.store, {**ONE, "placement": "dedicated"})
    live = bench.tick()
    assert "linear:1 wants an application of its own" in live.problems["r"]
    assert live.routes["r"].route.document_version == 1
    declare(bench.store, {**ONE, "placement": "replica"})
    assert dict(bench.tick().problems) == {}


def test_a_route_overrules_where_its_versions_want_to_run(bench, own_registry, declare):
    path = own_registry / "linear" / "1" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "placement": "dedicated"}))
    declare(bench.store, ONE)
    declare(bench.store, {**OTHER, "placement": "replica"})
    live = bench.tick()
    assert list(live.problems) == ["r"]
    assert live.routes["other"].arms[0].lane.key.placement == "replica"


def test_a_manifest_that_names_its_columns_later_is_followed(bench, own_registry, declare):
    declare(bench.store, ONE)
    bench.tick()
    path = own_registry / "linear" / "1" / "model.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["inputs"][0]["columns"] = ["p", "q", "r", "s"]
    path.write_text(yaml.safe_dump(manifest))
    assert bench.tick(after_s=60).routes["r"].arms[0].primary.features == ("p", "q", "r", "s")


def test_outputs_that_a_manifest_names_in_another_order_later_are_answered_in_that_order(bench, own_registry, declare):
    declare(bench.store, ONE)
    bench.tick()
    path = own_registry / "linear" / "1" / "model.yaml"
    manifest = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**manifest, "outputs": manifest["outputs"][::-1], "max_batch": 1}))
    arm = bench.tick(after_s=60).routes["r"].arms[0]

    async def answer():
        job = arm.lane.submit({"X": np.ones((1, 4), np.float32)}, 1)
        await asyncio.sleep(0)
        return await job

    tensors = asyncio.run(answer())
    assert [spec.name for spec in arm.manifest.outputs] == ["scores", "label"]
    assert [tensor.dtype for tensor in tensors] == [np.float32, np.int64]
    assert arm.lane.executor.batch_limit(1, {"X": np.ones((1, 4), np.float32)}) == 1


def test_what_an_unfinished_route_waits_for_is_not_loaded_again_at_every_tick(bench, declare):
    declare(bench.store, {"route": "r", "arms": {"a": "linear:1", "b": "damaged:1"}, "split": {"a": "50%", "b": "50%"}})
    bench.tick()
    (held,) = [version for version in bench.catalogue.versions() if version.key.model == "linear"]
    bench.tick(after_s=60)
    assert [version for version in bench.catalogue.versions() if version.key.model == "linear"] == [held]
    assert held.runtime is next(v for v in bench.catalogue.versions() if v.key.model == "linear").runtime


class Starting:
    """Dedicated applications that never come up."""

    def __init__(self) -> None:
        self.retained = []

    def open(self, version):
        raise ModelRefused(f"{version.key} is being started.")

    def retain(self, versions, *, is_all):
        self.retained.append(([str(key) for key, _ in versions], is_all))


def test_an_application_that_is_still_starting_is_wanted_all_the_same(bench, declare):
    bench.dedicated = Starting()
    bench.reconciler._lanes._dedicated = bench.dedicated
    declare(bench.store, {**TWO, "placement": "dedicated"})
    declare(bench.store, OTHER)
    live = bench.tick()
    assert (list(live.routes), dict(live.problems)) == (["other"], {"r": "linear:2 is being started."})
    assert bench.dedicated.retained == [(["linear:2"], False)]
    declare(bench.store, ONE)
    bench.tick()
    assert bench.dedicated.retained[1:] == [([], True)]


def shadowed(ref: str = "linear:2", **more) -> dict:
    return {**ONE, "shadow": [{"arm": ref, "placement": "replica", **more}]}


def test_a_shadow_is_served_beside_its_route_with_a_lane_of_its_own(bench, declare):
    declare(bench.store, shadowed("linear:1"))
    declare(bench.store, OTHER)
    live = bench.tick()
    (shadow,) = live.routes["r"].shadows
    assert (shadow.shadow.name, shadow.shadow.version) == ("linear:1", "1")
    assert shadow.lane is not live.routes["r"].arms[0].lane
    assert shadow.lane.key.is_shadow
    assert (dict(live.problems), dict(live.warnings)) == ({}, {})
    assert bench.tick(after_s=60) is live


@pytest.mark.parametrize(
    ("ref", "words"),
    [("linear:9", "no version '9'"), ("damaged:1", "changed or damaged"), ("wide:1", "has another signature")],
)
def test_a_shadow_that_cannot_be_had_is_a_warning_and_the_route_is_served(bench, declare, ref, words):
    declare(bench.store, shadowed(ref))
    live = bench.tick()
    assert (live.routes["r"].shadows, dict(live.problems)) == ((), {})
    assert live.warnings["r"].startswith(f"Served without {ref}: ")
    assert words in live.warnings["r"]
    assert bench.store.reports()[0].warnings == live.warnings
    declare(bench.store, shadowed())
    live = bench.tick()
    assert ([each.shadow.name for each in live.routes["r"].shadows], dict(live.warnings)) == (["linear:2"], {})


def test_a_shadow_that_comes_late_is_served_from_then_on(bench, declare, monkeypatch):
    """Its process starts in the background. The route does not wait; the lane pool has news once the process runs."""
    lane, is_there = bench.lanes.lane, False

    def late(version, placement, is_shadow=False):
        if is_shadow and not is_there:
            raise ModelRefused("It is being started.")
        return lane(version, placement, is_shadow)

    monkeypatch.setattr(bench.lanes, "lane", late)
    declare(bench.store, shadowed())
    live = bench.tick()
    assert (live.routes["r"].shadows, live.warnings["r"]) == ((), "Served without linear:2: It is being started.")
    is_there = True
    assert bench.tick() is live
    monkeypatch.setattr(bench.lanes, "has_news", lambda: True)
    live = bench.tick()
    assert ([each.shadow.name for each in live.routes["r"].shadows], dict(live.warnings)) == (["linear:2"], {})


def test_what_a_shadow_waits_for_is_not_loaded_and_dropped_at_every_tick(bench, declare, monkeypatch):
    lane = bench.lanes.lane

    def late(version, placement, is_shadow=False):
        if is_shadow:
            raise ModelRefused("It is being started.")
        return lane(version, placement, is_shadow)

    monkeypatch.setattr(bench.lanes, "lane", late)
    declare(bench.store, shadowed())
    bench.tick()
    held = bench.catalogue.versions()
    assert [str(version.key) for version in held] == ["linear:1", "linear:2"]
    bench.tick(after_s=60)
    assert all(now is before for now, before in zip(bench.catalogue.versions(), held, strict=True))


def test_an_arm_that_nobody_needs_is_a_warning_when_it_cannot_be_had(bench, declare):
    declare(bench.store, {**ONE, "arms": {"a": "linear:1", "b": "damaged:1"}, "split": {"a": 1, "b": 0}})
    live = bench.tick()
    assert (bench.version(), dict(live.problems)) == ("1", {})
    assert live.warnings["r"].startswith("Served without ")
    assert "damaged:1" in live.warnings["r"]


def test_a_routes_condition_is_compiled_with_it(bench, declare):
    declare(
        bench.store,
        {
            **ONE,
            "arms": {"a": "linear:1", "b": "linear:2"},
            "fallback": "a",
            "target": {"headers.x-country": "se", "inputs.X.3": {"$gt": 0.5}},
        },
    )
    route = bench.tick().routes["r"]
    inputs = {"X": np.array([[0, 0, 0, 1], [0, 0, 0, 0]], np.float32)}
    assert route.targeting.matches({b"x-country": b"se"}, {}, inputs, None)
    assert not route.targeting.matches({b"x-country": b"se"}, {}, {"X": inputs["X"][::-1]}, None)
    assert route.route.admission.has_target


def aliases(live, route: str = "r") -> list[frozenset[str]]:
    return [arm.aliases for arm in live.routes[route].route.arms]


def test_an_arm_has_every_alias_of_its_version(bench, declare):
    declare(bench.store, {"route": "r", "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}})
    assert aliases(bench.tick()) == [{"champion"}, {"challenger"}]


def test_an_alias_that_moves_to_another_served_version_is_followed(bench, own_registry, declare):
    declare(bench.store, {"route": "r", "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "50%", "b": "50%"}})
    before = bench.tick()
    (own_registry / "linear" / "aliases.yaml").write_text("champion: '2'\nlatest: 2\n")
    assert aliases(bench.tick()) == [{"champion"}, {"challenger"}]  # the registry is read every ten seconds here
    after = bench.tick(after_s=60)
    assert aliases(after) == [frozenset(), {"champion", "latest"}]
    assert after.snapshot.hash == before.snapshot.hash  # an alias decides no draw
    assert after.routes["r"].arms[0].lane is before.routes["r"].arms[0].lane
    assert bench.tick(after_s=60) is after


def test_aliases_that_cannot_be_read_stay_as_they_were_and_keep_no_route_from_being_served(
    bench, own_registry, declare
):
    file = own_registry / "linear" / "aliases.yaml"
    declare(bench.store, ONE)
    bench.tick()
    file.write_text("[")
    live = bench.tick(after_s=60)
    assert (aliases(live), dict(live.problems)) == ([{"champion"}], {})
    file.unlink()
    assert aliases(bench.tick(after_s=60)) == [frozenset()]
