"""The key that hashes units: made once, readable by its owner only."""

import stat
import threading

import pytest

from gateway.inference.unit_secret import load_unit_secret, read_unit_secret


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


def test_a_key_that_is_given_is_taken_everywhere_and_none_is_made(tmp_path):
    given = tmp_path / "given"
    given.write_bytes(bytes(range(32)))
    for home in (tmp_path / "one", tmp_path / "other"):
        assert load_unit_secret(home, given) == read_unit_secret(home, given) == bytes(range(32))
        assert not home.exists()


@pytest.mark.parametrize("content", [None, b"", b"short", bytes(65)])
def test_a_given_key_that_is_none_is_refused_with_its_file(tmp_path, content):
    given = tmp_path / "given"
    if content is not None:
        given.write_bytes(content)
    for read in (load_unit_secret, read_unit_secret):
        with pytest.raises(ValueError, match=str(given)):
            read(tmp_path / "home", given)
