import time

from advprune.training.state import Clock


def test_waiting_takes_time_but_no_processor() -> None:
    clock = Clock()
    time.sleep(0.2)
    clock.tick()
    assert clock.run >= 0.2
    assert clock.epoch == clock.run
    assert clock.cpu < 0.1


def test_work_takes_both_and_adds_to_what_was_there() -> None:
    clock = Clock(epoch=1.0, run=2.0, cpu=3.0)
    started = time.process_time()
    while time.process_time() - started < 0.05:
        pass
    clock.tick()
    assert clock.cpu >= 3.05
    assert clock.run - 2.0 >= 0.05
