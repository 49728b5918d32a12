"""The contracts of MLE-bench Lite: what their graders take is accepted, what they refuse is refused with a sentence.

Ids look like those of the competitions; the rows are made up.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.scoring.mle_bench import LITE, Contract
from machine_learning_engineering.shared_libraries.scoring.submission import Accepted, Expected, accept
from machine_learning_engineering.shared_libraries.tasks.metrics import compute, find_metric

IDS = {
    "denoising-dirty-documents": ("110_1_1", "110_1_2", "110_2_1", "110_2_2"),
    "detecting-insults-in-social-commentary": (
        '"You\\xa0are, well,  ""nice"""', '"a b"', "plain words with spaces ", 'one\nof two lines, "quoted"',
    ),
    "mlsp-2013-birds": ("100", "101", "118", "200"),
    "new-york-city-taxi-fare-prediction": (
        "2015-01-27 13:08:24.0000002", "2015-01-27 13:08:24.0000003", "2011-10-08 11:53:44.0000002", "2012-12-01",
    ),
    "ranzcr-clip-catheter-line-classification": tuple(f"1.2.826.0.1.3680043.8.498.4669714{n}" for n in range(4)),
    "text-normalization-challenge-english-language": ("0_0", "0_1", "0_10", "1_0"),
    "the-icml-2013-whale-challenge-right-whale-redux": tuple(f"2009033{n}_0600_s039_TRAIN{n}_0.aif" for n in range(4)),
}  # fmt: skip
PLAIN = ("00b2", "00a1", "7", "08")


def expected_of(contract: Contract) -> Expected:
    columns = [contract.id, *(f"class {n}" for n in range(contract.count))]
    return contract.expected(IDS.get(contract.competition, PLAIN), columns)


def valid(expected: Expected) -> pd.DataFrame:
    """A submission that keeps the contract, every cell as text."""
    draw = np.random.default_rng(0)
    cells: dict[str, list[str]] = {str(expected.id): list(expected.ids or ())}
    chances = draw.dirichlet([1.0] * max(2, len(expected.values)), expected.rows)
    for n, column in enumerate(expected.values):
        if expected.predicts == "label":
            cells[column] = list(draw.choice(expected.classes, expected.rows))
        elif expected.predicts == "text":
            cells[column] = ["twenty one", "null", "p m", ","]
        else:
            cells[column] = [repr(float(chance)) for chance in chances[:, n]]
    return pd.DataFrame(cells)


def judge(table: pd.DataFrame, expected: Expected, folder: Path) -> Accepted:
    table.to_csv(folder / "submission.csv", index=False)
    return accept(folder / "submission.csv", expected)


each = pytest.mark.parametrize("contract", LITE, ids=lambda contract: contract.competition)


def test_all_are_there_once() -> None:
    assert len({contract.competition for contract in LITE}) == len(LITE) == 22


@each
def test_a_valid_submission_is_taken_as_it_is(contract: Contract, tmp_path: Path) -> None:
    expected = expected_of(contract)
    table = valid(expected)
    found = judge(table, expected, tmp_path)
    assert found.notes == ()
    assert found.table.to_csv() == table.to_csv()


@each
def test_another_order_of_rows_and_columns_is_repaired(contract: Contract, tmp_path: Path) -> None:
    """Also for graders that take rows (nomad2018) or columns (jigsaw) as they come."""
    expected = expected_of(contract)
    table = valid(expected)
    found = judge(table.iloc[::-1, ::-1], expected, tmp_path)
    assert found.table.to_csv() == table.to_csv()
    assert len(found.notes) == 2


@each
def test_what_breaks_a_contract_is_told(contract: Contract, tmp_path: Path) -> None:
    expected = expected_of(contract)
    table, first = valid(expected), expected.values[0]
    wrong = {
        "lacks the column": table.drop(columns=first),
        "extra column 'fold'": table.assign(fold="1"),
        "has 3 rows, but ./input/test.csv has 4": table.iloc[:3],
        "1 unknown ids, the first is 'another'": table.replace({contract.id: {str(table[contract.id][1]): "another"}}),
        "repeats 1 ids": table.assign(
            **{contract.id: table[contract.id].where(table.index != 2, table[contract.id][1])}
        ),
        "NaN or infinite, the first in row 1": table.assign(**{first: table[first].where(table.index != 1, "")}),
    }
    for sentence, broken in (wrong | special(contract, table)).items():
        with pytest.raises(SubmissionError, match=sentence):
            judge(broken, expected, tmp_path)


def special(contract: Contract, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What breaks the contracts of this kind, by a part of the sentence that tells it."""
    first = table.columns[1]
    if contract.predicts == "text":
        return {}
    if contract.predicts == "label":
        return {"labels that the training data do not have: '1.5'": table.assign(**{first: "1.5"})}
    wrong = {"must hold numbers, but row 0 .* 'high'": table.assign(**{first: "high"})}
    if contract.least is not None:
        wrong |= {"no value below 0, but 4 rows do": table.assign(**{first: "-0.001"})}
    if contract.predicts == "probability":
        wrong |= {"between 0 and 1, but 4 rows do not": table.assign(**{first: "1.01"})}
    if contract.predicts == "probability" and len(table.columns) > 2 and not contract.apart:
        wrong |= {
            "must sum to 1, but 4 rows do not": table.assign(**{first: (table[first].astype(float) / 2).map(str)})
        }
    return wrong


@each
def test_the_metric_judges_a_valid_submission(contract: Contract, tmp_path: Path) -> None:
    expected = expected_of(contract)
    given = judge(valid(expected), expected, tmp_path).predictions.to_numpy()
    metric, classes = find_metric(contract.metric), contract.classes
    if contract.apart or (contract.predicts == "value" and given.shape[1] > 1):
        truth = np.array([[0.0], [1.0], [1.0], [0.0]]).repeat(given.shape[1], axis=1)
    elif contract.predicts == "probability":
        classes = expected.values if given.shape[1] > 1 else ("0", "1")
        truth = np.array([classes[0], classes[1], classes[1], classes[0]])
    else:
        truth = given[::-1, 0]
    assert np.isfinite(compute(metric, truth, given[:, 0] if given.shape[1] == 1 else given, classes))


def test_a_sample_with_other_columns_is_refused() -> None:
    leaves = next(contract for contract in LITE if contract.competition == "leaf-classification")
    with pytest.raises(SubmissionError, match="has 1 columns to predict, not 99"):
        leaves.expected(PLAIN, ["id", "Acer_Opalus"])
