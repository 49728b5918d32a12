"""Scripts as parts: read back, merged, renamed."""

import pytest

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.models.offline.program import Part, merge, parse, rename

from .conftest import AUC, LOG_LOSS, RMSE, card


@pytest.mark.parametrize("metric", [RMSE, AUC, LOG_LOSS], ids=lambda metric: metric.name)
def test_a_rendered_script_reads_back_as_the_same_program(metric: object) -> None:
    made = design.script(card("candidate", metric), ["lightgbm", "linear"])  # type: ignore[arg-type]
    assert parse(made.render()) == made


def test_a_part_keeps_its_decorators() -> None:
    read_back = parse(design.script(card("candidate"), ["linear"]).render())
    assert read_back is not None
    assert read_back["inputs"].text.startswith("@once\ndef inputs(")


def test_merging_shares_equal_parts_and_keeps_every_model() -> None:
    first, second = (design.script(card("merge"), [name]) for name in ("lightgbm", "linear"))
    merged = merge(first, second)
    assert merged.listed("MODELS") == ["lightgbm", "linear"]
    assert sum(part.name.startswith("inputs") for part in merged.parts) == 1


def test_a_part_that_differs_is_kept_beside_its_namesake_with_all_that_use_it() -> None:
    first = design.script(card("merge"), ["lightgbm"])
    second = first.with_parts(Part("FEATURES", "FEATURES = [numbers]", "Features"))
    merged = merge(first, second)
    assert merged.listed("MODELS") == ["lightgbm", "lightgbm_2"]
    assert merged["FEATURES_2"].text == "FEATURES_2 = [numbers]"
    assert "in FEATURES_2]" in merged["inputs_2"].text
    assert "inputs_2(fit, y, rows)" in merged["lightgbm_2"].text


def test_merging_a_script_with_itself_changes_nothing() -> None:
    program = design.script(card("merge"), ["lightgbm", "linear"])
    assert merge(program, program) == program


def test_renaming_leaves_attributes_keywords_and_strings_alone() -> None:
    text = 'def fit(size):\n    return size.fit(fit=fit, note="fit é"), fit'
    assert rename(text, {"fit": "fit_2"}) == 'def fit_2(size):\n    return size.fit(fit=fit_2, note="fit é"), fit_2'


def test_a_script_of_another_hand_is_not_taken_apart() -> None:
    assert parse("import numpy\nx = 1\n") is None
    assert parse("def broken(:") is None
