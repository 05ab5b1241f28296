"""Many machines together take half of the store's time for what they add, and a few take what they need."""

import pytest

from gateway.control.pace import pause_s


@pytest.mark.parametrize("machines", [1, 2, 3])
def test_a_few_machines_do_not_wait(machines):
    assert pause_s(machines, 0.9) == 0.0


@pytest.mark.parametrize("took_s", [0.001, 0.004])
def test_many_machines_share_half_of_the_stores_time(took_s):
    assert 250 * took_s / pause_s(250, took_s) == pytest.approx(0.5)


def test_no_machine_waits_for_longer_than_ten_seconds():
    assert pause_s(250, 1.0) == 10.0
