"""The order in which waiting jobs are taken."""

from gateway.eventloop.fair_queue import FairQueue


def order_of(*jobs: str):
    queue = FairQueue()
    for caller, connection in jobs:
        queue.put(caller, connection, (caller, connection))
    taken = []
    while queue:
        taken.append(queue.pop())
    return "".join(caller + connection for caller, connection in taken)


def test_connections_are_served_in_turn():
    assert order_of(*["a1"] * 3, "a2", "a3") == "a1a2a3a1a1"


def test_callers_are_served_in_turn_however_many_connections_they_have():
    assert order_of("a1", "a2", "a3", "a4", "b1", "c1") == "a1b1c1a2a3a4"


def test_a_late_one_waits_for_one_job_of_each_other_at_most():
    queue = FairQueue()
    for job in range(32):
        queue.put("many", 1, job)
    assert [queue.pop(), queue.pop()] == [0, 1]
    queue.put("one", 2, "single")
    assert [queue.pop(), queue.pop(), queue.pop()] == [2, "single", 3]
