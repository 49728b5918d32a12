"""True scores: every competitive script on all folds, the winner on rows that chose nothing, blends for free."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import (
    Audited,
    Decision,
    Guessed,
    Importance,
    Scored,
    ScriptRun,
)
from machine_learning_engineering.shared_libraries.records import Execution, Slot, View
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from machine_learning_engineering.shared_libraries.runs.run import Run
from machine_learning_engineering.shared_libraries.scoring import views
from tests.fixtures import tiny


@pytest.fixture
def solve(tmp_path: Path) -> Any:
    task = tiny.make_task(tmp_path / "task" / "tiny", rows=600)

    async def go(replies: dict[str, Any] | None = None, out: str = "run", **settings: Any) -> client.Result:
        path = tmp_path / f"{out}.replies.json"
        path.write_text(json.dumps(replies or tiny.replies()))
        config = RunConfig(**{"agent_model": f"scripted/{path}", "exec_timeout": 20, **settings})
        return await client.solve(client.find_request(task), config, tmp_path / out)

    return go


_DONE = ScriptRun | Scored | Audited | Guessed | Importance | Decision


def views_of(folder: Path, slot: str) -> list[str]:
    return [entry.view for entry in read_journal(folder) if isinstance(entry, ScriptRun) and entry.slot == slot]


async def test_a_script_is_scored_on_every_row_that_is_not_audited(solve) -> None:
    result = await solve()
    scored = {e.slot: e.score for e in read_journal(result.folder) if isinstance(e, Scored)}
    assert (scored["init_code_1_1"].rows, scored["init_code_1_1"].folds) == (510, 5)
    searched = [view for view in views_of(result.folder, "init_code_1_1") if view != "final"]
    assert sorted(searched) == [f"search-{fold}" for fold in range(5)]


async def test_a_script_that_is_clearly_behind_runs_on_one_fold_and_never_wins(solve) -> None:
    replies = tiny.replies()
    replies["plan_implement_initial_agent_1"] = [tiny.fenced(tiny.solution(0.0, -3.0))]
    result = await solve(replies)
    slot = "train_code_improve_0_0_1"
    assert views_of(result.folder, slot) == ["search-0"]
    made = next(one for one in result.attempts if one.slot.code_key == slot)
    assert made.succeeded
    assert "clearly behind: -" in (made.score.stopped or "")
    assert made.score.rows == 102


async def test_a_finished_run_that_is_told_again_with_a_limit_stays_as_it_is(solve: Any) -> None:
    first = await solve()
    entries = len(read_journal(first.folder))
    again = await solve(minutes=0.001)
    assert again.winner.slot.code_key == first.winner.slot.code_key
    new = read_journal(first.folder)[entries:]
    assert [type(one).__name__ for one in new] == ["RunStarted", "RunEnded"]
    assert new[-1].status == "finished"


async def test_when_time_is_up_a_script_is_scored_on_its_first_fold(solve: Any) -> None:
    result = await solve(minutes=0.001)
    assert result.winner.score.folds == 1
    assert "time" in result.winner.score.stopped
    assert result.submission.exists()


async def test_a_script_that_fails_on_a_later_fold_is_told_how(solve) -> None:
    """Its rows are those of another fold; the error of that fold is what its author gets to read."""
    replies = tiny.replies()
    first = tiny.solution(0.0, 2.0)
    moody = first.replace("# --- model", "assert train[0]['id'] == '0' and train[1]['id'] == '1', 'moody'\n# --- model")
    replies["model_eval_agent_1_1"] = [tiny.fenced(moody)]
    replies["model_eval_debug_agent_1_1"] = [tiny.fenced(first)]
    replies["model_eval_bug_summary_agent_1_1"] = ["moody"]
    result = await solve(replies)
    failed, mended = [one for one in result.attempts if one.slot.code_key == "init_code_1_1"][:2]
    assert "moody" in failed.problem
    assert mended.succeeded


async def test_the_winner_is_audited_once_on_rows_that_chose_nothing(solve) -> None:
    result = await solve()
    audits = [e for e in read_journal(result.folder) if isinstance(e, Audited)]
    assert [one.slot for one in audits] == [result.winner.slot.code_key]
    assert audits[0].score.rows == 90
    assert audits[0].low < audits[0].score.value < audits[0].high
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    assert state["audit_score"] == audits[0].score.value
    assert state["optimism"] == pytest.approx(audits[0].score.value - result.winner.value)


async def test_the_winner_is_held_against_the_same_answer_for_every_row(solve) -> None:
    """On the rows that chose nothing where there are such, else on those of the search."""
    result = await solve()
    (guessed,) = [e for e in read_journal(result.folder) if isinstance(e, Guessed)]
    assert result.guess == guessed
    assert guessed.slot == result.winner.slot.code_key
    assert guessed.comparison.rows == result.audit.score.rows == 90
    assert guessed.value - guessed.comparison.gain == pytest.approx(result.audit.score.value)
    assert "always answering the m" in str(result)
    assert "Always answering the m" in result.report.read_text()


async def test_the_columns_that_the_winner_leans_on_are_told(solve) -> None:
    result = await solve()
    (weighed,) = [e for e in read_journal(result.folder) if isinstance(e, Importance)]
    assert result.importance == weighed
    assert weighed.slot == result.winner.slot.code_key
    assert [one.column for one in weighed.columns] == ["x"]
    assert weighed.columns[0].comparison.is_real
    assert "permuted" in views_of(result.folder, weighed.slot)
    state = json.loads((result.folder / "tiny" / "final_state.json").read_text())
    assert state["column_importance"] == {"x": weighed.columns[0].comparison.gain}
    assert "the winner leans most on x (" in str(result)
    assert "The winner leans most on x (" in result.report.read_text()


async def test_a_run_that_ended_before_columns_were_measured_is_told_as_it_is(solve) -> None:
    result = await solve()
    journal = result.folder / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [one for one in entries if one["kind"] != "importance" and one.get("view") != "permuted"]
    assert len(kept) == len(entries) - 2
    journal.write_text("".join(f"{json.dumps(one)}\n" for one in kept))
    again = await solve()
    assert again.importance is None
    ran = [one for one in read_journal(again.folder) if isinstance(one, ScriptRun)]
    assert len(ran) == sum(one["kind"] == "script_run" for one in kept)


async def test_no_disk_for_the_rows_that_measure_columns_costs_no_run(solve, monkeypatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(views, "permuted", full)
    result = await solve()
    assert result.submission.is_file()
    assert "No space left" in result.importance.reason


async def test_a_run_of_a_version_without_a_setting_is_taken_up(solve) -> None:
    first = await solve()
    journal = first.folder / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for name in ("adopt_z", "importance"):
        del entries[0]["config"][name]
    journal.write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    assert (await solve()).winner.value == first.winner.value


async def test_whoever_does_not_ask_what_columns_matter_pays_for_no_run_more(solve) -> None:
    result = await solve(importance=False)
    assert result.importance is None
    assert "permuted" not in views_of(result.folder, result.winner.slot.code_key)


async def test_a_winner_that_fails_on_shuffled_cells_is_handed_in_all_the_same(solve) -> None:
    replies = tiny.replies()
    picky = tiny.solution(0.95, 2.95).replace("# --- model", "assert len(test) < 150, 'too many'\n\n# --- model")
    replies["ensemble_plan_implement_agent"] = [tiny.fenced(picky), "..."]
    result = await solve(replies, use_blend=False)
    assert result.winner.slot.code_key == "ensemble_code_1"
    assert result.audit.score.value is not None
    assert result.importance.columns == ()
    assert result.importance.reason == "the script ended with outcome error on the rows made for it."
    assert (
        "could not be measured: the script ended with outcome error on the rows made for it."
        in result.report.read_text()
    )


async def test_without_an_audit_the_rows_of_the_search_tell_what_a_guess_gets(solve) -> None:
    result = await solve(audit_fraction=0, use_blend=False)
    assert result.audit is None
    assert result.guess.comparison.rows == result.winner.score.rows
    assert result.guess.value - result.guess.comparison.gain == pytest.approx(result.winner.value)


async def test_without_an_audit_a_blend_is_held_against_a_guess_by_what_its_members_predicted(solve) -> None:
    replies = tiny.replies()
    replies["ensemble_plan_implement_initial_agent"] = [tiny.fenced(tiny.solution(2.0, 3.0))]
    replies["ensemble_plan_implement_agent"] = [tiny.fenced(tiny.solution(0.0, 3.0)), "..."]
    result = await solve(replies, audit_fraction=0)
    assert result.winner.slot.code_key == "blend_code"
    assert result.guess.comparison.rows == result.winner.score.rows == 600
    assert result.guess.value - result.guess.comparison.gain == pytest.approx(result.winner.value)
    assert result.importance.columns[0].comparison.is_real


async def test_the_run_that_the_audit_judges_goes_on_beside_the_winner_s_final_run(solve, monkeypatch) -> None:
    """The final run is held up until the other one has begun."""
    begun, execute = asyncio.Event(), Run.execute

    async def held_up(run: Run, slot: Slot, ordinal: int, script: str, view: View, **options: Any) -> Execution:
        if view.kind == "audit":
            begun.set()
        elif view.kind == "final" and slot.code_key == "ensemble_code_1":
            await asyncio.wait_for(begun.wait(), 60)
        return await execute(run, slot, ordinal, script, view, **options)

    monkeypatch.setattr(Run, "execute", held_up)
    result = await solve()
    assert result.winner.slot.code_key == "ensemble_code_1"
    assert "audit" in views_of(result.folder, "ensemble_code_1")


async def test_a_winner_whose_final_run_fails_is_not_audited(solve) -> None:
    """What its audit would have judged is given up; the repaired script is audited."""
    replies = tiny.replies()
    broken = "assert len(test) != 20\nimport time\n\ntime.sleep(500 * (len(test) == 90))\n\n# --- model"
    winner = tiny.solution(0.95, 2.95).replace("# --- model", broken)
    replies["ensemble_plan_implement_agent"] = [tiny.fenced(winner), "..."]
    replies["submission_agent"] = [tiny.fenced(tiny.solution(0.95, 2.95)), "..."]
    result = await solve(replies, use_blend=False, exec_timeout=600)
    assert result.winner.slot.code_key == "submission_code"
    assert "audit" not in views_of(result.folder, "ensemble_code_1")
    assert [e.slot for e in read_journal(result.folder) if isinstance(e, Audited)] == ["submission_code"]


async def test_a_run_taken_up_repeats_neither_fold_nor_audit(solve) -> None:
    first = await solve()
    count = len(read_journal(first.folder))
    again = await solve()
    added = read_journal(again.folder)[count:]
    assert not [entry for entry in added if isinstance(entry, _DONE)]
    assert again.submission.read_bytes() == first.submission.read_bytes()


async def test_adopted_steps_say_how_sure_they_are(solve) -> None:
    result = await solve()
    why = [e.why for e in read_journal(result.folder) if isinstance(e, Decision) and e.what.startswith("adopt ")]
    assert why
    assert all("real" in one or "within noise" in one for one in why)


async def test_a_blend_that_is_better_is_handed_in_and_runs_alone(solve, tmp_path: Path) -> None:
    """Two ensembles that err in opposite directions: their mean is right, and costs neither call nor script."""
    replies = tiny.replies()
    replies["ensemble_plan_implement_initial_agent"] = [tiny.fenced(tiny.solution(2.0, 3.0))]
    replies["ensemble_plan_implement_agent"] = [tiny.fenced(tiny.solution(0.0, 3.0)), "..."]
    result = await solve(replies)
    assert result.winner.slot.code_key == "blend_code"
    assert sorted(views_of(result.folder, "blend_code")) == ["audit", "final", "permuted"]
    alone = tmp_path / "alone"
    (alone / "input").mkdir(parents=True)
    for name in ("train.csv", "test.csv"):
        (alone / "input" / name).write_bytes((tmp_path / "task" / "tiny" / name).read_bytes())
    (alone / "solution.py").write_bytes(result.solution.read_bytes())
    command = [sys.executable, "solution.py"]
    await asyncio.to_thread(subprocess.run, command, cwd=alone, check=True, capture_output=True)
    assert (alone / "final" / "submission.csv").read_bytes() == result.submission.read_bytes()


async def test_the_baseline_stands_where_nothing_beats_it_clearly(solve) -> None:
    bad = tiny.solution(50.0, 0.0)
    replies = {name: [tiny.fenced(bad)] if "implement" in name else given for name, given in tiny.replies().items()}
    for name in list(replies):
        if name.startswith("model_eval_agent"):
            replies[name] = [tiny.fenced(bad)]
    result = await solve(replies, use_baseline=True, use_blend=False, outer_loop_round=0, num_solutions=1)
    assert result.winner.slot.code_key == "baseline_code"
