"""Which store a URL names."""

from pathlib import Path

import pytest

from control.errors import StoreUnavailable
from control.open import open_store
from control.sqlite import SQLiteStore


def test_an_absolute_path_has_four_slashes(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/control.db")  # the path begins with the fourth
    assert isinstance(store, SQLiteStore)
    assert (tmp_path / "control.db").is_file()
    store.close()


def test_a_relative_path_has_three_slashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///var/control.db").close()
    assert Path("var/control.db").resolve() == tmp_path / "var" / "control.db"
    assert (tmp_path / "var" / "control.db").is_file()


@pytest.mark.parametrize("url", ["", "control.db", "sqlite://control.db", "postgres://host/db", "SQLITE:///x.db"])
def test_another_url_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"POINTSMAN_STORE is .*; it must look like sqlite:///"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable, match="unable to open"):
        open_store(f"sqlite:///{tmp_path}")
