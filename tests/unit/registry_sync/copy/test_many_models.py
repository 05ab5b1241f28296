"""A copy of a thousand models: what a look costs, and how much is written."""

import os
import time

from router.spec.references import parse_ref
from tests.support.components import in_soak


@in_soak
def test_a_look_at_a_thousand_models_is_one_question_and_writes_nothing_new(site, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which is not what is measured
    site.refs = [parse_ref(f"m{number}@a") for number in range(1000)]
    for number in range(1000):
        site.remote.add(f"m{number}", "1", b"%d" % number)
        site.remote.named[f"m{number}"]["a"] = "1"
    sync = site.sync()
    site.tick(sync)
    assert sync.figures.copied == 1000
    site.remote.asked.clear()
    stamps = {path.name: path.stat().st_mtime_ns for path in (site.root / "names").iterdir()}
    began_s = time.process_time()
    for _ in range(5):
        site.tick(sync)
    took_s = (time.process_time() - began_s) / 5
    assert site.remote.asked.count("aliases") == 5
    assert not any(asked.startswith(("manifest", "files", "read")) for asked in site.remote.asked)
    assert {path.name: path.stat().st_mtime_ns for path in (site.root / "names").iterdir()} == stamps
    assert took_s < 2.0
