"""Whatever step a run is ended at, no row is lost, and the next run finishes the job."""

import os
import random
import subprocess
import sys
from contextlib import suppress

import pytest

from inference_log.compaction.records import read_records
from inference_log.errors import LogUnavailable
from inference_log.files.directory import DirectoryFiles
from tests.support.components import by_hand
from tests.unit.inference_log.compaction.support import Ended, Site, Steps
from tests.unit.inference_log.completeness.support import DAY


def late(site: Site) -> None:
    """Compact, and add a file, so that the next run replaces files of both kinds."""
    site.compact()
    site.add(6, 7, sequence=2)


def steps_of(site: Site, before) -> list[str]:
    before(site)
    steps = Steps()
    site.compact(steps, keep_us=0)
    return steps.names


def nothing(_: Site) -> None:
    pass


def assert_complete(site: Site, rows: int) -> None:
    assert site.numbers() == list(range(rows))
    assert len(site.files("inferences")) == len(site.files("wide")) == 1
    assert [number for (number,) in site.wide("writer_seq")] == list(range(rows))
    assert [path for path in site.log.rglob(".*") if path.is_file()] == []


def test_the_steps_are_those_that_are_known(make_site, tmp_path):
    found = steps_of(make_site(tmp_path), late)
    for step in ("list wide/", "stage inferences", "put inferences", "put wide", "write _compactions", "remove wide"):
        assert any(each.startswith(step) for each in found), step
    assert sum(each.startswith("remove inferences") for each in found) == 4


@pytest.mark.parametrize("before", [nothing, by_hand(late)], ids=["small files", "after a compaction"])
def test_ended_at_any_step_the_next_run_finishes_the_job(make_site, tmp_path, before):
    names = steps_of(make_site(tmp_path / "steps"), before)
    rows = 8 if before is late else 6
    for number, name in enumerate(names, 1):
        site = make_site(tmp_path / str(number))
        before(site)
        with pytest.raises(Ended):
            site.compact(Steps(number), keep_us=0)
        assert site.numbers() == list(range(rows)), name
        site.compact(keep_us=0)
        assert_complete(site, rows)
        assert len(read_records(DirectoryFiles(site.log))) == 1


def test_ended_again_and_again_while_files_come_it_loses_nothing(make_site, tmp_path):
    site, added = make_site(tmp_path), 6
    for number in range(1, 24, 2):
        try:
            site.compact(Steps(number), keep_us=0)
        except Ended:
            site.add(*range(added, added + 2), sequence=1 + number)
            added += 2
        assert site.numbers() == list(range(added))
    site.compact(keep_us=0)
    assert_complete(site, added)


@pytest.mark.parametrize("kills", [by_hand(12)])
def test_the_command_may_be_killed_at_any_time(make_site, tmp_path, kills):
    site, added = make_site(tmp_path), 60_006
    site.add(*range(6, added), sequence=2)
    environment = {**os.environ, "POINTSMAN_HOME": str(tmp_path / "home"), "POINTSMAN_LOG": str(site.log)}
    main = "from gateway.cli.main import main; main()"
    run = [sys.executable, "-c", main, "log", "compact", "--day", DAY, "--force", "--keep-min", "0"]
    draw = random.Random(1)  # noqa: S311  # no secret
    for number in range(kills):
        with subprocess.Popen(run, env=environment) as process:
            try:
                process.wait(draw.uniform(1.0, 15.0))
                site.add(added, sequence=3 + number)  # the next run has something to do
                added += 1
            except subprocess.TimeoutExpired:
                process.kill()
        assert site.numbers() == list(range(added))
    subprocess.run(run, env=environment, check=True)
    assert site.numbers() == list(range(added))
    assert len(site.files("inferences")) == len(site.files("wide")) == 1


def test_another_run_in_the_middle_of_any_step_loses_nothing(make_site, tmp_path):
    names = steps_of(make_site(tmp_path / "steps"), nothing)
    for number in range(1, len(names) + 1, 3):
        site = make_site(tmp_path / str(number))

        class Between(Steps):
            def step(self, name: str, site=site, number=number) -> None:
                self.names.append(name)
                if len(self.names) == number:
                    site.add(6, 7, sequence=2)
                    site.compact(keep_us=0)

        with suppress(LogUnavailable):  # files that the other run has removed
            site.compact(Between(), keep_us=0)
        assert site.numbers() == list(range(8)), number
        site.compact(keep_us=0)
        site.compact(keep_us=0)
        assert_complete(site, 8)
