"""The companion writes lines of metrics, whatever becomes of its output."""

import json
import os

from structlog.testing import capture_logs

from gateway.companion.emf import EmbeddedMetricsJob
from tests.unit.gateway.companion.support import home, write

NOW_S = 1_800_000_000.0


def test_each_line_is_a_json_object_with_the_lag_of_the_log(tmp_path):
    settings = home(tmp_path)
    settings.metrics_dir.mkdir()
    write(settings, 0, 1)  # a change at the beginning of 1970
    reader, writer = os.pipe()
    EmbeddedMetricsJob(settings, writer).tick(NOW_S)
    os.close(writer)
    with os.fdopen(reader) as output:
        (line,) = output.read().splitlines()
    assert json.loads(line)["LogLag"] == NOW_S


def test_an_output_that_was_closed_is_logged_once(tmp_path):
    settings = home(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    job = EmbeddedMetricsJob(settings, writer)
    with capture_logs() as logs:
        job.tick(NOW_S)
        job.tick(NOW_S)
    os.close(writer)
    assert [each["event"] for each in logs] == ["gateway.emf.failed"]
