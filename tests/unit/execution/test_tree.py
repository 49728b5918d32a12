"""CPU time of a tree of processes, by looks at those that live."""

from machine_learning_engineering.shared_libraries.execution.tree import CpuTime


def test_time_that_vanished_with_a_process_still_counts() -> None:
    spent = CpuTime()
    assert [spent.total(seen) for seen in (0.0, 0.8, 0.1, 0.9, 0.0)] == [0.0, 0.8, 0.8, 1.6, 1.6]


def test_time_of_children_that_were_waited_for_counts_once() -> None:
    spent = CpuTime()
    assert [spent.total(seen) for seen in (0.5, 0.9, 0.9, 1.4)] == [0.5, 0.9, 0.9, 1.4]
