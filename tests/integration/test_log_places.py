"""The log in a directory and the same log in S3: commands say the same of both, and read no more than they need."""

import time
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.fs as pafs
import pytest
from typer.testing import CliRunner

from analysis.replay.replay import replay_log
from analysis.simulate.simulate import simulate
from gateway.cli.main import app
from gateway.cli.simulate import learner
from gateway.control.log_verify import verify_log
from gateway.execution.checking.messages import Logged, RegistryVersion, ToCheck
from gateway.execution.checking.process import check_in_process
from inference_log.declared_metrics import create_metrics
from inference_log.files import LogFiles
from inference_log.files.directory import DirectoryFiles
from inference_log.files.open import open_files
from inference_log.outcome_join import KeyKind, Rule, join_outcomes
from inference_log.query import open_log, run_query
from router.spec.parse import parse_spec
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature
from store.entry import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.support import linear
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS
from tests.support.logged import logged_rows, write_log
from tests.support.logged_bandit import BANDIT, BEGAN_S, LoggedBandit
from tests.support.s3_server import S3Server
from tests.unit.gateway.control.support import NOON_US
from tests.unit.gateway.control.support_rewarded import World, document

SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"} | {
    "split": {"a": "33.33%", "b": "33.33%", "c": "33.34%"}
}
DAYS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve two buckets, and let boto3 find the server."""
    made = S3Server(tmp_path_factory.mktemp("s3"), "logs", "empty")
    made.start()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in made.environment.items():
            patched.setenv(name, value)
        yield made
    made.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return the home of two routes that have logged decisions, rewards and changes of several days, all Parquet."""
    home = tmp_path_factory.mktemp("home")
    for route in ("shop", "other"):
        logged = LoggedBandit(home, SPLIT | {"route": route}, name=f"w-{route}")
        for day in range(DAYS):
            for bucket in range(10):
                logged.decide(60, BEGAN_S + 86_400 * day + 10 * bucket)
            logged.ship()
    return home


@pytest.fixture(params=["directory", "s3"])
def put(request):
    """Return a function that returns the log of a home in one of its places."""

    def put(home: Path, prefix: str = "of a/prefix") -> LogFiles:
        if request.param == "directory":
            return DirectoryFiles(home / "log")
        request.getfixturevalue("server")
        return put_into_s3(home, prefix)

    return put


def put_into_s3(home: Path, prefix: str) -> LogFiles:
    """Copy the log of a home into the bucket, and return it there."""
    local, stored = DirectoryFiles(home / "log"), open_files(f"s3://logs/{prefix}")
    for key, _ in local.list(""):
        content = local.read(key)
        assert content is not None
        stored.write(key, content)
    return stored


class Counting(pafs.FileSystemHandler):
    """Notes which files are opened."""

    def __init__(self, inner: pafs.FileSystem) -> None:
        self._inner = inner
        self.opened: set[str] = set()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def open_input_file(self, path):
        self.opened.add(path)
        return self._inner.open_input_file(path)

    def normalize_path(self, path):
        return path

    def get_type_name(self):
        return "counting"

    def get_file_info(self, paths):
        return self._inner.get_file_info(paths)

    def _never(self, *_: object):
        raise AssertionError

    open_input_stream = get_file_info_selector = create_dir = delete_dir = delete_dir_contents = _never
    delete_root_dir_contents = delete_file = move = copy_file = open_output_stream = open_append_stream = _never


SUMS = """
SELECT route, dt, typeof(dt), arm, count(*), round(sum(propensity), 6), max(event_ts), round(sum(weights['c']), 6)
FROM inferences GROUP BY ALL ORDER BY ALL
"""
LABELLED = "SELECT route, arm, metric, count(*), sum(value), bool_and(matured) FROM labelled GROUP BY ALL ORDER BY ALL"


def test_queries_give_the_same_with_rows_that_wait(put, home, tmp_path):
    """The reference is computed without the code of datasets."""
    files = put(home)
    waiting = LoggedBandit(tmp_path, SPLIT, seed=8, name="waits")
    waiting.decide(5, BEGAN_S)
    _, rows = run_query(files, tmp_path / "spool", SUMS)
    pattern = f"{home}/log/inferences/*/*/*.parquet"
    expected = duckdb.sql(SUMS.replace("inferences", f"read_parquet('{pattern}', hive_types_autocast = false)"))
    assert sum(row[4] for row in rows) == 2 * DAYS * 600 + 5
    assert [row for row in rows if row[1] > "2026-01-01"] == [
        row for row in expected.fetchall() if row[1] > "2026-01-01"
    ]
    _, labelled = run_query(files, tmp_path / "spool", LABELLED)
    assert sum(row[3] for row in labelled) == 2 * DAYS * 600 + 5
    assert all(row[5] for row in labelled)


@pytest.mark.parametrize(
    ("sql", "inferences", "rewards"),
    [
        ("SELECT count(*) FROM inferences", 2 * DAYS, 0),
        ("SELECT count(*) FROM inferences WHERE route = 'shop'", DAYS, 0),
        ("SELECT arm, max(latency_ms) FROM inferences WHERE route = 'shop' AND dt >= '2026-01-03' GROUP BY ALL", 2, 0),
        ("SELECT count(*) FROM inferences WHERE dt BETWEEN '2026-01-02' AND '2026-01-03'", 4, 0),
        ("SELECT count(*) FROM inferences WHERE route IN ('shop') AND dt = '2026-01-01' AND arm = 'a'", 1, 0),
        ("SELECT sum(value) FROM rewards WHERE route = 'shop'", 0, DAYS),
        ("SELECT count(*) FROM first_exposures WHERE route = 'shop'", DAYS, 0),
        ("SELECT sum(value) FROM labelled WHERE route = 'shop' AND dt = '2026-01-02'", 1, DAYS),
    ],
)
def test_a_filter_by_route_and_day_opens_only_those_files(put, home, tmp_path, sql, inferences, rewards):
    files = put(home)
    counting = Counting(files.filesystem)
    files.filesystem = pafs.PyFileSystem(counting)
    run_query(files, tmp_path / "spool", sql)
    tables = Counter(
        "inferences" if "/inferences/" in path else "rewards" for path in counting.opened if "/audit/" not in path
    )
    assert (tables["inferences"], tables["rewards"]) == (inferences, rewards)


def test_replay_and_simulation_find_the_same(put, home, tmp_path):
    files, spec = put(home), parse_spec(BANDIT)
    found = replay_log(files, tmp_path / "spool", lambda *_: None, route="shop")
    assert (found.decisions, found.differ, found.gaps) == (DAYS * 600, 0, {})
    simulated = simulate(files, tmp_path / "spool", spec, learner(spec), lambda *_: None, runs=2)
    assert simulated.decisions == DAYS * 600
    assert simulated.logged == pytest.approx(0.2, abs=0.03)


def test_the_sums_of_the_log_are_those_of_the_store(put, tmp_path):
    store = SQLiteStore(tmp_path / "control.db", now=lambda: NOON_US / 1e6)
    store.compare_and_set([Entry(document(), Change("ann", 0.0, "apply"))])
    world = World(tmp_path, store)
    world.decide(200)
    world.reward(200)
    world.machine.counter.tick()
    world.machine.roll()
    world.decide(20)
    world.machine.counter.tick()
    verified = verify_log(store, put(tmp_path, "verified"), tmp_path / "spool", lambda _: None)
    assert verified.differences == []
    assert min(verified.decisions, verified.rewards) > 150
    world.machine.writer.close()
    world.machine.seat.release()
    store.close()


def test_outcomes_are_joined_to_decisions(put, home, tmp_path):
    with open_log(put(home), tmp_path / "spool") as connection:
        create_metrics(connection)
        connection.execute(
            "CREATE TABLE outcomes AS SELECT row_number() OVER () AS row, decision_id AS key, 1.0 AS value, "
            "NULL::VARCHAR AS label, event_ts_us AS us, 'e' AS event FROM inferences WHERE route = 'shop' LIMIT 50"
        )
        joined = join_outcomes(connection, "shop", "click", KeyKind.DECISION_ID, Rule.LAST, str)
    assert (joined.matched, joined.rewards, joined.unmatched) == (50, 50, 0)


def test_logged_requests_are_asked_again_by_a_process_without_network(put, tmp_path):
    linear.fill(tmp_path / "models")
    signature, rows = Signature(LINEAR_INPUTS, LINEAR_OUTPUTS), []
    for number in range(20):
        values = np.full((1, 4), number + 1, "f4")
        scores = values @ linear.WEIGHTS["1"]
        rows.append(logged_rows(signature, {"X": values}, (scores.argmax(axis=1), scores), number=number))
    write_log(tmp_path / "log", "a", rows)
    put(tmp_path, "asked")
    log = str(tmp_path / "log") if isinstance(put(tmp_path, "asked"), DirectoryFiles) else "s3://logs/asked"
    logged = Logged(log=log, route="r", since_s=time.time() - 86_400, until_s=time.time(), requests=500)
    what = RegistryVersion(str(tmp_path / "models"), "linear", "1")
    found = check_in_process(ToCheck(what, LoadOptions(allow_pickle=True), logged), lambda _: None)
    assert (found.failure, found.replayed.asked, found.replayed.differ) == ("", 20, 0.0)


def test_a_bucket_that_cannot_be_read_is_no_fault_of_a_version(server, tmp_path):
    linear.fill(tmp_path / "models")
    logged = Logged(log="s3://nowhere", route="r", since_s=0.0, until_s=time.time(), requests=5)
    what = RegistryVersion(str(tmp_path / "models"), "linear", "1")
    found = check_in_process(ToCheck(what, LoadOptions(allow_pickle=True), logged), lambda _: None)
    assert found.failure == ""
    assert "nowhere/inferences/route=r/ cannot be listed" in found.detail_of("log read")


def test_the_command_reads_a_bucket_and_says_what_is_wrong_with_it(server, home, tmp_path, monkeypatch):
    put_into_s3(home, "of a/prefix")
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))

    def printed(log: str, **environment: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            for name, value in {"POINTSMAN_LOG": log, **environment}.items():
                patched.setenv(name, value)
            ran = CliRunner().invoke(app, ["log", "query", "SELECT count(*) AS n FROM inferences"])
        return ran.exit_code, ran.stdout, ran.stderr

    assert printed("s3://logs/of a/prefix") == (0, f"n\n{2 * DAYS * 600}\n", "")
    nothing = "The log s3://empty has no files yet, and no rows wait to be shipped.\n"
    assert printed("s3://empty") == (0, "n\n0\n", nothing)
    for log, environment, sentence in [
        ("s3://nowhere/p", {}, "s3://nowhere/p/inferences/ cannot be listed"),
        ("s3://logs", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ("s3://logs", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "Could not connect"),
        ("s3://", {}, "names no bucket"),
    ]:
        code, out, err = printed(log, **environment)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert sentence in err
