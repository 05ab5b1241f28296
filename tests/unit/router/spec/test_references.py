"""Names, and the references to which arms are bound."""

import pytest

from router.errors import Rejected
from router.spec.references import parse_name, parse_ref


@pytest.mark.parametrize("name", ["a", "fraud", "a.b-c_d", "7", "x" * 128])
def test_a_name_is_taken_as_it_is(name):
    assert parse_name(name, "route") == name


@pytest.mark.parametrize("name", ["", ".hidden", "-a", "a/b", "a b", "é", "x" * 129, "a\n", None, 7, ["a"]])
def test_what_is_no_good_for_paths_and_labels_is_refused(name):
    with pytest.raises(Rejected, match=r"route must be a name of letters, .* \(at most 128\), not "):
        parse_name(name, "route")


@pytest.mark.parametrize("text", ["m@champion", "m:17", "a.b-c_d:1.2.3"])
def test_a_reference_is_printed_as_it_is_read(text):
    assert str(parse_ref(text)) == text


@pytest.mark.parametrize(
    "text", ["m", "m@", "@a", "m:", ":1", "m@a:1", "m:1@a", "m 1:2", "m/../x:1", "", None, ["m:1"]]
)
def test_a_reference_of_another_form_is_refused(text):
    with pytest.raises(Rejected, match="An arm must be bound to model@alias or model:version, not "):
        parse_ref(text)


@pytest.mark.parametrize("text", ["a/b:1", "Fraud Model:1", "m:-1", "fräud@champion"])
def test_a_reference_with_other_characters_is_told_which_there_may_be(text):
    with pytest.raises(Rejected, match="have letters, digits, dots, dashes and underscores"):
        parse_ref(text)
