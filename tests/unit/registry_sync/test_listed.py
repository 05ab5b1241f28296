"""Names that others gave, in a sentence."""

import pytest

from registry_sync.catalogue import Catalogue
from registry_sync.errors import UnknownModel
from registry_sync.listed import listed
from registry_sync.registries.directory import DirectoryRegistry
from router.spec.references import parse_ref
from runtimes.load_options import LoadOptions


def test_names_of_any_kind_make_one_short_line():
    names = ["fraud", "a b", "ü", "line\nbreak", "\x1b[2J", " ", "", "\udcff", "n" * 500]
    text = listed(names)
    assert text.startswith("fraud, a b, ü, 'line\\nbreak', '\\x1b[2J', ' ', '', '\\udcff', nnn")
    assert text.isprintable()
    assert len(text) < 200
    assert listed([]) == "none"
    assert listed([str(number) for number in range(1000)]).endswith("18, 19 and 980 more")


@pytest.mark.parametrize("version", ["v 1", "../1", "1\n", "ä", ".1", "x" * 129, "a/b"])
def test_an_alias_of_a_version_that_no_route_can_name_is_refused_by_name(tmp_path, publisher, version):
    publisher.publish("fraud", "1")
    publisher.alias("fraud", champion=version)
    catalogue = Catalogue(DirectoryRegistry(publisher.root), LoadOptions())
    with pytest.raises(UnknownModel, match="The alias champion of fraud names a version ") as raised:
        catalogue.resolve(parse_ref("fraud@champion"))
    assert str(raised.value).isprintable()


def test_a_folder_whose_name_is_no_text_hides_no_other_model(publisher):
    publisher.publish("fraud", "1")
    (publisher.root / "b\udcff\n").mkdir()
    registry = DirectoryRegistry(publisher.root)
    assert "fraud" in registry.models()
    with pytest.raises(UnknownModel) as raised:
        registry.manifest("none", "1")
    assert str(raised.value).isprintable()
    assert registry.manifest("fraud", "1").file
