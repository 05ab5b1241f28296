"""What one model of a registry says wrongly concerns that model alone."""

import pytest

from registry_sync.errors import Unreadable
from registry_sync.registries.texts import parse_aliases
from runtimes.errors import ModelRefused


@pytest.fixture
def sync(site):
    site.remote.add("m", "1", b"weights")
    site.remote.add("n", "7", b"others")
    site.remote.named["n"]["champion"] = "7"
    made = site.sync()
    site.tick(made)
    site.tick(made)
    assert site.copy.aliases("n") == {"champion": "7"}
    return made


def test_aliases_of_one_model_that_cannot_be_read(site, sync):
    """What was known of it is served, with the reason; the others are followed."""
    site.remote.named["m"] = "m/aliases.yaml cannot be read: it is a song."
    site.remote.named["n"]["challenger"] = "7"
    site.tick(sync)
    assert (sync.trouble, sync.figures.is_reachable) == ("", True)
    assert site.copy.aliases("n") == {"champion": "7", "challenger": "7"}
    assert site.copy.aliases("m") == {}
    assert site.copy.trouble("m", "1") == "m/aliases.yaml cannot be read: it is a song."
    assert site.copy.trouble("n", "7") == ""
    site.remote.named["m"] = {"champion": "1"}
    site.tick(sync)
    assert site.copy.trouble("m", "1") == ""
    assert site.copy.aliases("m") == {"champion": "1"}


def test_aliases_that_could_never_be_read_are_said(site):
    site.remote.named["n"] = "n/aliases.yaml cannot be read: it is a song."
    site.tick(site.sync())
    with pytest.raises(Unreadable, match="it is a song"):
        site.copy.aliases("n")


def test_a_copied_version_whose_manifest_was_replaced_by_something_else(site, sync):
    """Its details cannot be read again. Those of other versions are, and all aliases."""

    def refuse(request: str) -> None:
        if request == "details m:1":
            raise ModelRefused("model.yaml is a song.")

    site.remote.before = refuse
    site.remote.tags["n", "7"] = {"approved": "true"}
    site.tick(sync, after_s=40.0)
    assert (sync.trouble, site.copy.details("n", "7").tags) == ("", {"approved": "true"})
    site.remote.asked.clear()
    site.tick(sync)
    assert site.remote.asked == ["aliases"]  # it waits for its turn like the others
    assert site.read("m", "1") == {"f0": b"weights"}


def test_tags_that_are_no_text_concern_their_model_alone(site, sync):
    site.remote.tags["m", "1"] = {"a": "\ud800"}
    site.remote.named["n"]["challenger"] = "7"
    site.tick(sync, after_s=40.0)
    assert (sync.trouble, site.copy.aliases("n")["challenger"]) == ("", "7")


@pytest.mark.parametrize("version", ["../m/1", "v 7", "ä", "1\n", "7" * 200, ".7", "a/b", ""])
def test_an_alias_of_what_no_route_can_name_copies_nothing(site, version):
    site.remote.add("n", version, b"others")
    site.remote.named["n"]["champion"] = version
    sync = site.sync()
    for _ in range(3):
        site.tick(sync)
    assert site.remote.reads == []
    assert ("n", version) not in sync.troubles


@pytest.mark.parametrize(
    "text",
    [
        'champion: "\\ud800"',
        "champion: 1.5",
        "champion: [1]",
        "[]\n- 1",
        "- champion",
        "a: {b: c}",
        "}",
        "a: !!python/x 1",
    ],
)
def test_aliases_that_are_no_aliases(text):
    with pytest.raises(Unreadable, match=r"^m/aliases.yaml cannot be read: "):
        parse_aliases(text, "m/aliases.yaml")
