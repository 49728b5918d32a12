"""How numbers are written for people."""

import pytest

from machine_learning_engineering.shared_libraries.monitoring.words import figure


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.8123456789, 6, "0.812346"),
        (-26064.3, 4, "-26,060"),
        (12345678.9, 6, "12,345,700"),
        (100.0, 6, "100"),
        (0.0, 6, "0"),
        (1.23e-7, 6, "1.23e-07"),
        (1e300, 6, "1e+300"),
        (float("inf"), 6, "inf"),
        (float("nan"), 6, "nan"),
        (None, 6, "-"),
    ],
)
def test_a_figure_is_told_in_full_unless_it_is_tiny_or_huge(value: float | None, digits: int, shown: str) -> None:
    assert figure(value, digits) == shown


def test_a_gain_bears_its_sign() -> None:
    assert [figure(value, 4, signed=True) for value in (26064.3, -0.5, 2e-6)] == ["+26,060", "-0.5", "+2e-06"]
