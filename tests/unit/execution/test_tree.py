"""CPU time of a tree of processes, by looks at those that live."""

import signal
import subprocess
import sys

from machine_learning_engineering.shared_libraries.execution.supervisor import IN_VAIN
from machine_learning_engineering.shared_libraries.execution.tree import CpuTime, end_all


def test_time_that_vanished_with_a_process_still_counts() -> None:
    spent = CpuTime()
    assert [spent.total(seen) for seen in (0.0, 0.8, 0.1, 0.9, 0.0)] == [0.0, 0.8, 0.8, 1.6, 1.6]


def test_time_of_children_that_were_waited_for_counts_once() -> None:
    spent = CpuTime()
    assert [spent.total(seen) for seen in (0.5, 0.9, 0.9, 1.4)] == [0.5, 0.9, 0.9, 1.4]


def test_a_process_that_one_look_has_missed_is_found_by_the_next() -> None:
    """Its parent forked it and exited after the list was made, so that look found neither."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        looks = iter([[], [child.pid], *[[]] * IN_VAIN])
        end_all(lambda: next(looks))
        assert child.wait(5) == -signal.SIGKILL
    assert next(looks, None) is None, "it looks until it has found nothing often enough in a row"
