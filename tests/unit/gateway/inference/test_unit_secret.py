"""The key that hashes units: made once, readable by its owner only."""

import stat
import threading

from gateway.inference.unit_secret import load_unit_secret


def test_the_key_is_made_once_and_kept(tmp_path):
    secret = load_unit_secret(tmp_path / "home")
    assert len(secret) == 32
    assert load_unit_secret(tmp_path / "home") == secret
    assert load_unit_secret(tmp_path / "other") != secret


def test_only_its_owner_may_read_it(tmp_path):
    load_unit_secret(tmp_path)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_replicas_that_start_one_after_another_agree(tmp_path):
    seen: list[bytes] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: seen.append(load_unit_secret(tmp_path)))
        thread.start()
        thread.join()
    assert len(set(seen)) == 1
