"""Which errors of one model concern that model alone, and which say that the registry is away."""

import pytest

from registry_sync.errors import NotAllowed, RegistryUnavailable, UnknownModel, Unreadable
from registry_sync.registries.one_by_one import one_by_one


def ask(named):
    """Return the aliases of models, or raise what is there in their stead."""

    def aliases(model):
        found = named[model]
        if isinstance(found, Exception):
            raise found
        return found

    return one_by_one(list(named), aliases)


SLOW, DENIED, SONG = RegistryUnavailable("too slow"), NotAllowed("denied"), Unreadable("a song")


@pytest.mark.parametrize("bad", [(SLOW,), (DENIED,), (DENIED, DENIED), (SONG, SONG), (SLOW, DENIED, SONG)])
def test_what_cannot_be_read_of_one_model_concerns_that_model(bad):
    named = {str(number): each for number, each in enumerate(bad)}
    found = ask({**named, "good": {"champion": "1"}, "none": UnknownModel("none")})
    assert found == {**{model: str(error) for model, error in named.items()}, "good": {"champion": "1"}}


@pytest.mark.parametrize("bad", [(SLOW, {}, SLOW), (SLOW,), (DENIED, DENIED), (SLOW, DENIED)])
def test_a_registry_is_away_if_two_objects_or_all_do_not_come(bad):
    named = {str(number): each for number, each in enumerate(bad)}
    with pytest.raises(RegistryUnavailable, match=r"too slow|denied"):
        ask(named)


def test_one_model_that_is_no_aliases_is_a_model_that_is_there():
    assert ask({"a": SONG}) == {"a": "a song"}
