"""How many rows fit, by what two sizes took."""

import pytest

from machine_learning_engineering.shared_libraries.runs.final_rows import Timed, fitting


@pytest.mark.parametrize(
    ("searched", "second", "limit", "rows"),
    [
        (Timed(1000, 10), Timed(2000, 20), 200, 10_000),  # 100 s expected
        (Timed(1000, 10), Timed(2000, 20), 120, 9_600),  # 100 s are too near to 120
        (Timed(1000, 10), Timed(2000, 20), 50, 4_000),  # linear: 40 s
        (Timed(1000, 10), Timed(2000, 40), 500, 6_324),  # quadratic: 400 s, where 1000 would be all
        (Timed(1000, 10), Timed(500, 9), 50, 4_000),  # mostly overhead, yet never taken to grow slower than the rows
        (Timed(1000, 10), Timed(2000, 39), 50, 2_000),  # nothing worth a further run
        (Timed(1000, 10), Timed(2000, 50), 50, 1_000),  # the second did not end in time
        (Timed(1000, 40), Timed(500, 50), 50, 500),  # not even on half of the rows: there is nothing smaller to try
    ],
)
def test_rows_that_fit(searched: Timed, second: Timed, limit: float, rows: int) -> None:
    assert fitting(searched, second, 10_000, limit).rows == pytest.approx(rows, abs=1)


def test_the_reason_names_both_sizes_and_the_limit() -> None:
    why = fitting(Timed(1000, 10), Timed(2000, 20), 10_000, 50).why
    assert why == "100 s expected on all 10,000 rows, by 10.0 s on 1,000 and 20.0 s on 2,000; 50 s are allowed"
