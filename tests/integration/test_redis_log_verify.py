"""`pointsman log verify` with Redis: its sums are those of the log, while a machine counts."""

import threading

from store.entry import Change, Entry
from tests.unit.gateway.control import support_contexts
from tests.unit.gateway.control.support_rewarded import World, document


def test_sums_in_redis_are_those_of_the_log_while_a_machine_counts(tmp_path, server, opened):
    store = opened(server.url)
    store.compare_and_set([Entry(document(), Change("ann", 0.0, "apply"))])
    world, stop = World(tmp_path, store), threading.Event()
    world.decide(60)

    def live() -> None:
        while not stop.wait(0.2):
            world.decide(20)
            world.reward(40)
            world.machine.counter.tick()
            world.machine.roll()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        meanwhile = [world.verify() for _ in range(4)]
    finally:
        stop.set()
        thread.join()
    world.reward(40)
    world.machine.counter.tick()
    last = world.verify()
    assert [each.differences for each in (*meanwhile, last)] == [[]] * 5
    assert last.rewards >= 40
    world.machine.writer.close()
    world.machine.seat.release()


def test_sums_of_contexts_in_redis_are_those_of_the_log(tmp_path, server, opened):
    world = support_contexts.World(tmp_path, opened(server.url))
    for ships in (True, False):
        world.decide(300)
        world.reward(300)
        world.count(ships=ships)
        verified = world.verify()
        assert verified.differences == []
    world.close()
    contexts = world.store.context_sums("shop", 0, 0)
    assert len(contexts) > 40
    assert sum(each[0] for each in contexts.values()) > 200
