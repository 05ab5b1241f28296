"""The operator's settings for loading."""

import pytest

from gateway.execution.load_options import load_options
from gateway.settings import Settings


@pytest.mark.parametrize("listed", ["a.B,c.D", "a.B c.D", " a.B, c.D ,"])
def test_trusted_types_are_a_list_with_commas_or_spaces(listed, tmp_path):
    assert load_options(Settings(home=tmp_path, trusted_types=listed)).trusted_types == ("a.B", "c.D")


def test_no_type_is_trusted_by_default(tmp_path):
    assert load_options(Settings(home=tmp_path)).trusted_types == ()


def test_libraries_of_operators_are_paths_with_commas_between_them():
    assert load_options(Settings()).custom_operators == ()
    several = Settings(custom_operators="/opt/a.so, /opt/with space/b.so,")
    assert load_options(several).custom_operators == ("/opt/a.so", "/opt/with space/b.so")
