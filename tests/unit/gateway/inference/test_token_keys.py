"""The keys of decision tokens: made once, private, read again when they change, rotated without a gap."""

import base64
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.inference.token_key_file import TokenKeyFile, open_token_keys, rotate
from gateway.inference.token_keys import (
    MAX_KEYS,
    OPENS_FOR_S,
    SEALS_AFTER_S,
    TokenKey,
    TokenKeys,
    new_key,
    parse_keys,
    sealing_key,
    write_keys,
)
from gateway.settings import Settings
from router.spec.parse_metrics import LONGEST_WINDOW_S

NOW_S = 1_796_040_000.0
OLD_S = NOW_S - 3600


def settings_of(home, **more) -> Settings:
    return Settings(home=home, **more).resolved()


def key(number: int, made_s: float = OLD_S) -> TokenKey:
    return TokenKey(number.to_bytes(4, "big"), bytes([number]) * 32, made_s)


def ids(keys) -> list[int]:
    return [int.from_bytes(each.id, "big") for each in keys]


@pytest.fixture
def file(tmp_path):
    """Return a function that writes keys into a file, and returns its path."""

    def write(*keys: TokenKey):
        path = tmp_path / "keys"
        path.write_bytes(write_keys(keys))
        return path

    return write


def refused(path) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        TokenKeyFile(path, NOW_S)
    assert error.value.__cause__ is None
    return str(error.value)


def test_the_first_process_makes_the_keys_and_all_others_read_them(tmp_path):
    home = tmp_path / "home"
    first = open_token_keys(settings_of(home))
    second = open_token_keys(settings_of(home))
    assert first.current.sealing == second.current.sealing
    assert [path.name for path in home.iterdir()] == ["token-keys"]
    assert stat.S_IMODE((home / "token-keys").stat().st_mode) == 0o600
    assert open_token_keys(settings_of(tmp_path / "other")).current.sealing != first.current.sealing


def test_keys_that_another_process_makes_in_the_same_moment_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "token-keys"
    monkeypatch.setattr("pathlib.Path.exists", lambda _: False)  # as both saw it
    first = open_token_keys(settings_of(tmp_path)).current.sealing
    content = path.read_bytes()
    assert open_token_keys(settings_of(tmp_path)).current.sealing == first
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["token-keys"]


def test_a_file_that_the_settings_name_is_read_and_never_made(tmp_path, file):
    home, path = tmp_path / "home", file(key(3))
    assert open_token_keys(settings_of(home, token_keys_file=path)).current.sealing == (3).to_bytes(4, "big")
    assert not home.exists()
    path.unlink()
    with pytest.raises(ValueError, match=r"keys of decision tokens cannot be read: .*No such file"):
        open_token_keys(settings_of(home, token_keys_file=path))
    assert not path.exists()


def test_the_path_of_the_file_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings(token_keys_file=Path("keys")).resolved().token_keys_file == tmp_path / "keys"
    assert Settings().resolved().token_keys_file is None


def test_a_home_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ValueError, match=r"keys of decision tokens cannot be read: .*Not a directory"):
        open_token_keys(settings_of(tmp_path / "home"))


def test_what_is_written_is_read():
    keys = [key(1), key(2, 0.0), new_key(NOW_S)]
    content = write_keys(keys)
    assert parse_keys(content, "f") == keys
    assert content.splitlines()[0] == f"00000001 {SECRET} 2026-11-30T11:00:00Z".encode()
    assert parse_keys(b"# keys\n\n  " + content + b"\r\n", "f") == keys


SECRET = base64.b64encode(b"\1" * 32).decode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has 0 keys of decision tokens; it must have 1 to 100"),
        ("# none\n", "has 0 keys"),
        (f"0000000g {SECRET}", "line 1: a key is an id of eight hexadecimal digits"),
        (f"00000001{SECRET}", "line 1: a key is"),
        (f"\n00000001 {SECRET[:-4]}", "line 2: the key has 30 bytes; it must have 32"),
        (f"00000001 {SECRET[:-1]}", "line 1: a key is"),
        (f"00000001 {SECRET} yesterday", "line 1: a key is"),
        (f"00000001 {SECRET} 2026-11-30T08:00:00Z more", "line 1: a key is"),
        (f"00000001 {SECRET}\n00000001 {SECRET}", "two keys with the same id"),
        ("".join(f"{number:08x} {SECRET}\n" for number in range(MAX_KEYS + 1)), "has 101 keys"),
        (SECRET * 2000, "larger than 65536 bytes"),
        (b"\xff\xfe\0".decode("latin-1") * 10, "line 1: a key is"),
    ],
)
def test_a_file_that_is_none_is_refused_without_a_word_of_a_key(tmp_path, content, sentence):
    path = tmp_path / "keys"
    path.write_text(content)
    said = refused(path)
    assert sentence in said
    assert str(path) in said
    assert SECRET[:12] not in said


def test_a_new_key_seals_when_all_replicas_have_read_it(file):
    path = file(key(1))
    replica = TokenKeyFile(path, NOW_S)
    rotate(path, NOW_S)
    replica.tick(NOW_S + 1)
    new = parse_keys(path.read_bytes(), path)[0]
    for after_s, sealing in ((1, key(1)), (SEALS_AFTER_S - 1, key(1)), (SEALS_AFTER_S, new), (1e6, new)):
        replica.tick(NOW_S + after_s)
        assert replica.current.sealing == sealing.id
    assert replica.current.cipher(key(1).id, 5) is not replica.current.cipher(new.id, 5)


def test_the_only_key_seals_at_once_and_of_new_ones_the_oldest(file):
    assert sealing_key([key(1, NOW_S)], NOW_S) == key(1, NOW_S)
    assert sealing_key([key(2, NOW_S), key(1, NOW_S - 1)], NOW_S) == key(1, NOW_S - 1)
    assert sealing_key([key(2, 0.0), key(1, OLD_S)], NOW_S) == key(2, 0.0)  # made by hand: it seals at once


def test_keys_are_derived_once_for_a_day():
    keys = TokenKeys([key(1), key(2)], key(1).id)
    assert keys.cipher(key(1).id, 5) is keys.cipher(key(1).id, 5)
    assert len({id(keys.cipher(key(number).id, day)) for number in (1, 2) for day in (5, 6)}) == 4
    with pytest.raises(KeyError):
        keys.cipher(key(3).id, 5)


def test_unknown_days_of_forged_tokens_take_bounded_memory():
    keys = TokenKeys([key(1)], key(1).id)
    for day in range(5000):
        keys.cipher(key(1).id, day)
    assert keys.cipher.cache_info().currsize <= 1024


def test_a_replica_takes_a_changed_file_and_keeps_its_keys_if_that_is_damaged(file):
    path = file(key(1))
    replica = TokenKeyFile(path, NOW_S)
    held = replica.current
    replica.tick(NOW_S)
    assert replica.current is held  # with the ciphers of its days
    path.write_text("damaged")
    with capture_logs() as lines:
        for _ in range(3):
            replica.tick(NOW_S)
        path.unlink()
        replica.tick(NOW_S)
        assert replica.current is held
        file(key(2), key(1))
        replica.tick(NOW_S)
    assert replica.current.sealing == key(2).id
    assert [line["event"] for line in lines] == ["gateway.token_keys.kept", "gateway.token_keys.read_again"]


def test_a_secret_that_kubernetes_replaces_is_taken(tmp_path):
    for number in (1, 2):
        (tmp_path / f"version-{number}").mkdir()
        (tmp_path / f"version-{number}" / "keys").write_bytes(write_keys([key(number)]))
    (tmp_path / "data").symlink_to("version-1")
    (tmp_path / "keys").symlink_to("data/keys")
    replica = TokenKeyFile(tmp_path / "keys", NOW_S)
    (tmp_path / "next").symlink_to("version-2")
    (tmp_path / "next").replace(tmp_path / "data")
    replica.tick(NOW_S)
    assert replica.current.sealing == key(2).id


def test_no_text_of_a_key_shows_it():
    made = key(1)
    keys = TokenKeys([made], made.id)
    shown = f"{made!r} {made} {keys!r} {vars(keys)['sealing']!r}"
    assert "\\x01\\x01\\x01\\x01" not in shown
    assert base64.b64encode(made.secret).decode() not in shown


def test_rotation_puts_a_new_key_first_and_keeps_what_tokens_need(file):
    path = file(key(1))
    done = rotate(path, NOW_S)
    keys = parse_keys(path.read_bytes(), path)
    assert (keys[0].id.hex(), keys[0].made_s, ids(keys)[1:]) == (done.new_id, NOW_S, [1])
    assert (done.seals_at_s, done.kept, done.dropped) == (NOW_S + SEALS_AFTER_S, 1, 0)


def test_a_key_is_dropped_when_the_last_token_that_it_sealed_has_expired(file):
    """A key that is years old, and was replaced yesterday, has sealed tokens that come for 90 days."""
    years_s = NOW_S - 1000 * 86_400
    replaced_s = NOW_S - SEALS_AFTER_S - OPENS_FOR_S
    for last_s, kept in ((NOW_S - 86_400, [2, 1]), (replaced_s, [2, 1]), (replaced_s - 1, [2])):
        path = file(key(2, last_s), key(1, years_s))
        assert rotate(path, NOW_S).dropped == 2 - len(kept)
        assert ids(parse_keys(path.read_bytes(), path))[1:] == kept
    assert OPENS_FOR_S > LONGEST_WINDOW_S


def test_keys_are_kept_if_it_is_not_known_when_they_were_replaced(file):
    path = file(key(3, 0.0), key(2, 0.0), key(1, 1.0))
    assert rotate(path, NOW_S)[2:] == (3, 0)


def test_a_rotation_every_day_for_a_year_drops_no_key_too_early_and_stays_small(file):
    path = file(key(1, NOW_S))
    sealed: dict[bytes, float] = {}
    for day in range(365):
        now_s = NOW_S + day * 86_400
        rotate(path, now_s)
        keys = parse_keys(path.read_bytes(), path)
        for after_s in (0.0, SEALS_AFTER_S - 1, SEALS_AFTER_S, 86_399.0):
            sealed[sealing_key(keys, now_s + after_s).id] = now_s + after_s
        held = {each.id for each in keys}
        assert all(each in held for each, last_s in sealed.items() if now_s - last_s <= LONGEST_WINDOW_S)
    assert len(keys) < MAX_KEYS


def test_too_many_keys_are_refused_before_they_are_written(file):
    path = file(*[key(number, NOW_S - number) for number in range(1, MAX_KEYS + 1)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="100 keys that tokens may still need; rotate them less often"):
        rotate(path, NOW_S)
    assert path.read_bytes() == before


def test_rotation_makes_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "home" / "token-keys"
    done = rotate(path, NOW_S)
    assert (done.seals_at_s, done.kept) == (NOW_S, 0)
    assert TokenKeyFile(path, NOW_S).current.sealing.hex() == done.new_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_keeps_the_mode_and_a_link_and_leaves_a_damaged_file(file, tmp_path):
    path = file(key(1))
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    rotate(tmp_path / "link", NOW_S)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(parse_keys(path.read_bytes(), path)) == 2
    path.write_text("damaged")
    with pytest.raises(ValueError, match="line 1: a key is"):
        rotate(path, NOW_S)
    assert path.read_text() == "damaged"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys", "link"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_rotation_by_root_keeps_the_gateways_user_as_the_owner(file):
    path = file(key(1))
    os.chown(path, 1234, 1235)
    rotate(path, NOW_S)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_mounted_secret_that_cannot_be_written_says_what_to_do(file, monkeypatch):
    path = file(key(1))

    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.touch", fail)
    with pytest.raises(ValueError, match=r"cannot be written: .*Read-only.* rotate a copy of it"):
        rotate(path, NOW_S)
