"""What an S3 may answer that is none, or that has no end."""

import itertools

import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.s3 import Place, S3Registry


class Client:
    """A client of S3 whose listing has these pages. `asked` counts them."""

    def __init__(self, pages) -> None:
        self.asked = 0
        self._pages = pages

    def get_paginator(self, _: str) -> "Client":
        return self

    def paginate(self, **_):
        for page in self._pages:
            self.asked += 1
            yield page


def test_a_listing_whose_pages_have_no_end_fills_no_memory():
    page = {"IsTruncated": True, "Contents": [{"Key": "m/1/model.yaml", "Size": 1}]}
    client = Client(itertools.islice(itertools.repeat(page), 5000))
    with pytest.raises(RegistryUnavailable, match="s3://b/m/1/ never ends its list of objects"):
        S3Registry(Place("b", ""), client).files("m", "1")
    assert client.asked == 1001


def test_a_listing_that_is_none_is_told():
    with pytest.raises(RegistryUnavailable, match="is listed by something else"):
        S3Registry(Place("b", ""), Client([{}])).files("m", "1")
