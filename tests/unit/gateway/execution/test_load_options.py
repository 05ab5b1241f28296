"""The settings about loading reach the options."""

from gateway.execution.load_options import load_options
from gateway.settings import Settings


def test_libraries_of_operators_are_paths_with_commas_between_them():
    assert load_options(Settings()).custom_operators == ()
    several = Settings(custom_operators="/opt/a.so, /opt/with space/b.so,")
    assert load_options(several).custom_operators == ("/opt/a.so", "/opt/with space/b.so")
