"""The choice of a store by its URL."""

from pathlib import Path

import pytest

from store.errors import StoreUnavailable
from store.open import open_store
from store.redis.store import RedisStore
from store.sqlite.store import SQLiteStore


def test_an_absolute_path_has_four_slashes(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/control.db")  # the path begins with the fourth slash
    assert isinstance(store, SQLiteStore)
    assert (tmp_path / "control.db").is_file()
    store.close()


def test_a_relative_path_has_three_slashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///var/control.db").close()
    assert Path("var/control.db").resolve() == tmp_path / "var" / "control.db"
    assert (tmp_path / "var" / "control.db").is_file()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://ada:geheim@localhost:6380/2",
        "redis+sentinel://one,two/control",
        "redis+cluster://one:6379,two:6379",
        "rediss+cluster://one",
    ],
)
def test_a_store_in_redis_connects_only_when_it_is_asked(url):
    store = open_store(url)
    assert isinstance(store, RedisStore)
    store.close()


@pytest.mark.parametrize("url", ["", "control.db", "sqlite://control.db", "postgres://host/db", "SQLITE:///x.db"])
def test_another_url_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"POINTSMAN_STORE is .*; it must look like sqlite:///") as caught:
        open_store(url)
    for form in ("sqlite:///", "redis://", "rediss://", "redis+sentinel://", "redis+cluster://"):
        assert form in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["redi://ada:geheim@host", "ada:geheim@host", "mysql://ada:geheim@host/db?x=geheim"])
def test_a_url_that_is_refused_is_not_repeated(url):
    with pytest.raises(ValueError, match="POINTSMAN_STORE is") as caught:
        open_store(url)
    assert "geheim" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable, match="unable to open"):
        open_store(f"sqlite:///{tmp_path}")
