"""Which phase a script counts in, for every kind of script that a journal may hold."""

from pathlib import Path

import pytest

from machine_learning_engineering._cli_watch import code_key
from machine_learning_engineering.shared_libraries.monitoring.progress import PHASES, Progress
from tests.unit.report.journals import Diary


@pytest.mark.parametrize(
    ("slot", "phase"),
    [
        ("baseline_code", "initialization"),
        ("init_code_1_2", "initialization"),
        ("merger_code_1_1", "initialization"),
        ("train_code_0_1", "initialization"),
        ("ablation_code_0_1", "refinement"),
        ("train_code_improve_0_0_1", "refinement"),
        ("ablation_code_1_1", "ablation"),
        ("ensemble_code_0", "ensemble"),
        ("blend_code", "ensemble"),
        ("submission_code", "submission"),
    ],
)
def test_a_script_counts_in_the_phase_that_wrote_it(tmp_path: Path, slot: str, phase: str) -> None:
    diary = Diary(tmp_path)
    diary.begin(0, outer_loop_round=1)
    diary.ran(1, slot)
    diary.scored(1, slot, 0.5)
    diary.save()
    progress = Progress(tmp_path, code_key)
    for entry in diary.entries:
        progress.take(entry)
    shot = progress.snapshot()
    assert shot is not None
    assert {one.name: one.scripts for one in shot.phases} == {name: int(name == phase) for name in PHASES}
