"""What each phase does: ranking, merging, the data-usage check, refinement, ensembles, and the final submission.

The true line of the tiny task is 3 x + 1. With a bias of 0, the steeper of two slopes up to 2.75 is the better one, and
2.9 is better than 2.6.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.entries import Decision, LlmCall, Published, RunEnded
from machine_learning_engineering.shared_libraries.errors import MleError
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import faults, tiny

ONE = {"num_solutions": 1, "num_model_candidates": 1, "outer_loop_round": 0}
REFINE = {**ONE, "outer_loop_round": 1}


def script(slope: float, bias: float = 0.0) -> str:
    return tiny.fenced(tiny.solution(bias, slope))


def candidates(*slopes: float) -> dict[str, Any]:
    """Replies for one solution whose candidates have these slopes."""
    tried = {f"model_eval_agent_1_{j}": [script(slope)] for j, slope in enumerate(slopes, 1)}
    return tiny.replies(1, len(slopes)) | tried


def state_of(result: client.Result) -> dict[str, Any]:
    return json.loads((result.folder / "tiny" / "final_state.json").read_text())


def calls(result: client.Result) -> list[str]:
    return [entry.agent for entry in read_journal(result.folder) if isinstance(entry, LlmCall)]


def prompts(result: client.Result, agent: str) -> list[str]:
    """What an agent was told, call by call."""
    asked = [entry for entry in read_journal(result.folder) if isinstance(entry, LlmCall) and entry.agent == agent]
    return [json.loads((result.folder / "blobs" / entry.request).read_text())["instruction"] for entry in asked]


# --- initialization


async def test_candidates_are_ranked_by_their_scores(solve) -> None:
    result = await solve(candidates(1.0, 2.5, 2.0), **{**ONE, "num_model_candidates": 3})
    state = state_of(result)
    table = state["performance_results_1"]
    assert [state[row[1]] for row in table] == [tiny.solution(0.0, slope) for slope in (2.5, 2.0, 1.0)]
    assert [state[row[2]]["score"] for row in table] == [row[0] for row in table]
    assert [row[0] for row in table] == sorted(row[0] for row in table)
    assert state["merger_code_1_0"] == tiny.solution(0.0, 2.5)
    assert (result.folder / "tiny" / "1" / "train0_0.py").read_text() == tiny.solution(0.0, 2.5)


async def test_merging_goes_down_the_ranks_while_it_improves(solve) -> None:
    """Each merge gets the best so far and the candidate of the next rank."""
    replies = candidates(1.0, 2.5, 2.0)
    replies |= {"merger_agent_1_1": [script(2.6)], "merger_agent_1_2": [script(2.7)]}
    result = await solve(replies, **{**ONE, "num_model_candidates": 3})
    state = state_of(result)
    assert state["best_idx_1"] == 2
    assert state["train_code_0_1"] == tiny.solution(0.0, 2.7)
    first, second = prompts(result, "merger_agent_1_1")[0], prompts(result, "merger_agent_1_2")[0]
    assert first.index("slope = 2.5") < first.index("slope = 2.0")
    assert second.index("slope = 2.6") < second.index("slope = 1.0")


@pytest.mark.parametrize("slope", [2.4, 2.5], ids=["worse", "equal"])
async def test_merging_stops_at_the_first_merge_that_does_not_improve(solve, slope: float) -> None:
    """A tie keeps the older script."""
    replies = candidates(1.0, 2.5, 2.0) | {"merger_agent_1_1": [script(slope)]}
    result = await solve(replies, **{**ONE, "num_model_candidates": 3})
    assert "merger_agent_1_2" not in calls(result)
    assert state_of(result)["best_idx_1"] == 0
    assert result.winner.slot.code_key == "init_code_1_2"


async def test_an_answer_that_all_data_are_used_runs_nothing(solve) -> None:
    replies = candidates(2.5) | {"check_data_use_agent_1": ["All the provided information is used."]}
    result = await solve(replies, **ONE, use_data_usage_checker=True)
    state = state_of(result)
    assert state["check_data_use_finish_1"] is True
    assert state["train_code_0_1"] == tiny.solution(0.0, 2.5)
    assert state["train_code_exec_result_0_1"]["score"] == state["best_score_1"]
    assert [one.slot.code_key for one in result.attempts] == ["init_code_1_1", "ablation_code_0_1"]


@pytest.mark.parametrize(("slope", "kept"), [(2.8, 2.8), (1.0, 2.5)], ids=["better", "worse"])
async def test_a_script_that_uses_more_data_is_adopted_if_it_is_better(solve, slope: float, kept: float) -> None:
    replies = candidates(2.5) | {"check_data_use_agent_1": [script(slope)]}
    result = await solve(replies, **ONE, use_data_usage_checker=True)
    assert state_of(result)["train_code_0_1"] == tiny.solution(0.0, kept)
    assert (result.folder / "tiny" / "1" / "train0.py").read_text() == tiny.solution(0.0, kept)


async def test_a_script_that_uses_more_data_is_debugged(solve) -> None:
    replies = candidates(2.5) | {"check_data_use_agent_1": [tiny.fenced(faults.BROKEN)]}
    replies |= {"check_data_use_bug_summary_agent_1": ["Bad data."], "check_data_use_debug_agent_1": [script(2.8)]}
    result = await solve(replies, **ONE, use_data_usage_checker=True)
    assert state_of(result)["train_code_0_1"] == tiny.solution(0.0, 2.8)


# --- refinement


def refining(*attempts: str, block: str = "slope = 2.5") -> dict[str, Any]:
    """Replies for one solution with slope 2.5 whose inner attempts replace a block by these texts."""
    replies = candidates(2.5) | {"init_plan_agent_1": [tiny.plan(block, "Plan 0."), "..."]}
    replies["plan_implement_initial_agent_1"] = [tiny.fenced(attempts[0]), "..."]
    replies["plan_implement_agent_1"] = [*(tiny.fenced(one) for one in attempts[1:]), "..."]
    replies["plan_refine_agent_1"] = [f"Plan {k}." for k in range(1, len(attempts))]
    return replies


@pytest.mark.parametrize("best", [0, 1, 2])
async def test_every_inner_attempt_can_win(solve, best: int) -> None:
    slopes = ["slope = 2.6"] * 3
    slopes[best] = "slope = 2.9"
    result = await solve(refining(*slopes), **REFINE, inner_loop_round=2)
    state = state_of(result)
    assert state["train_code_1_1"] == state[f"train_code_improve_{best}_0_1"] == tiny.solution(0.0, 2.9)
    assert (result.folder / "tiny" / "1" / "train1.py").read_text() == tiny.solution(0.0, 2.9)


async def test_each_inner_attempt_starts_from_the_unchanged_solution(solve) -> None:
    result = await solve(refining("slope = 2.6\nfirst = 1", "slope = 2.7"), **REFINE)
    assert state_of(result)["train_code_improve_1_0_1"] == tiny.solution(0.0, 2.7)


@pytest.mark.parametrize("slope", ["2.5  # equal", "1.0"])
async def test_a_solution_stays_unless_an_attempt_improves_it(solve, slope: str) -> None:
    result = await solve(refining(f"slope = {slope}", "slope = 0.5"), **REFINE)
    state = state_of(result)
    assert state["train_code_1_1"] == state["train_code_0_1"]
    assert state["train_code_exec_result_1_1"] == state["train_code_exec_result_0_1"]


async def test_a_planner_sees_the_best_plans_with_their_scores(solve) -> None:
    """`num_top_plans` of them, best first, without those that were worse."""
    replies = refining("slope = 1.0", "slope = 2.75", "slope = 2.6", "slope = 2.8")
    result = await solve(replies, **REFINE, inner_loop_round=3, num_top_plans=2)
    second, third = prompts(result, "plan_refine_agent_1")[1:]
    assert second.index("Plan 1.") < second.index("Plan 0.")
    assert third.index("Plan 1.") < third.index("Plan 2.")
    assert "Plan 0." not in third
    score = state_of(result)["train_code_improve_exec_result_1_0_1"]["score"]
    assert f"{score:.6g}" in third


async def test_a_plan_whose_script_failed_is_shown_as_failed(solve) -> None:
    replies = refining("slope = 1 / 0", "slope = 2.9")
    result = await solve(replies, **REFINE, max_debug_round=0, max_rollback_round=1)
    (shown,) = prompts(result, "plan_refine_agent_1")
    assert "Plan 0." in shown
    assert "failed" in shown
    assert "1000000000" not in shown


async def test_histories_grow_step_by_step(solve) -> None:
    replies = refining("slope = 2.5") | {"ablation_summary_agent_1": ["Slope first.", "Bias second.", "Nothing left."]}
    replies["init_plan_agent_1"] = [tiny.plan("slope = 2.5", "A."), tiny.plan("bias = 0.0", "B.")]
    replies["plan_implement_initial_agent_1"] = [tiny.fenced("slope = 2.5"), tiny.fenced("bias = 0.5")]
    result = await solve(replies, **{**REFINE, "outer_loop_round": 2}, inner_loop_round=0)
    state = state_of(result)
    assert state["refine_step_1"] == 2
    assert state["prev_ablations_1"] == ["Slope first.", "Bias second."]
    assert state["prev_code_blocks_1"] == ["slope = 2.5", "bias = 0.0"]
    assert "slope = 2.5\n" in prompts(result, "init_plan_agent_1")[1].split("Refined before")[1]
    assert "Slope first." in prompts(result, "ablation_agent_1")[1]


async def test_a_later_step_refines_what_the_earlier_one_adopted(solve) -> None:
    replies = refining("slope = 2.9")
    replies["init_plan_agent_1"] = [tiny.plan("slope = 2.5", "A."), tiny.plan("bias = 0.0", "B.")]
    replies["plan_implement_initial_agent_1"] = [tiny.fenced("slope = 2.9"), tiny.fenced("bias = 0.5")]
    result = await solve(replies, **{**REFINE, "outer_loop_round": 2}, inner_loop_round=0)
    assert state_of(result)["train_code_2_1"] == tiny.solution(0.5, 2.9)


async def test_the_ablation_phase_measures_the_refined_solution(solve) -> None:
    result = await solve(refining("slope = 2.9"), **REFINE, inner_loop_round=0)
    before, after = prompts(result, "ablation_agent_1")
    assert "slope = 2.5" in before
    assert "slope = 2.9" in after
    assert state_of(result)["ablation_summary_1_1"] == "The model matters most."


async def test_an_ablation_script_that_takes_too_long_is_debugged_knowing_that(solve) -> None:
    replies = refining("slope = 2.9") | {"ablation_agent_1": [tiny.fenced(faults.ENDLESS), tiny.fenced(tiny.ABLATION)]}
    replies |= {"ablation_bug_summary_agent_1": ["Too slow."], "ablation_debug_agent_1": [tiny.fenced(tiny.ABLATION)]}
    result = await solve(replies, **{**REFINE, "inner_loop_round": 0}, exec_timeout=4)
    assert "'timeout'" in prompts(result, "ablation_bug_summary_agent_1")[0]
    assert "Ablation Performance" in state_of(result)["ablation_code_exec_result_0_1"]["ablation_result"]


# --- ensemble


async def test_one_solution_is_no_ensemble(solve) -> None:
    result = await solve(candidates(2.5), **ONE)
    (skipped,) = [e for e in read_journal(result.folder) if isinstance(e, Decision) and e.what == "ensemble"]
    assert (skipped.chosen, skipped.why) == (False, "1 distinct solutions to merge")
    assert "ensemble_code_0" not in state_of(result)


async def test_ensemble_rounds_are_told_how_earlier_ones_fared(solve) -> None:
    replies = tiny.replies(2, 1) | {"ensemble_plan_refine_agent": ["Weights.", "Stacking."]}
    replies["ensemble_plan_implement_initial_agent"] = [script(2.8, 0.8)]
    replies["ensemble_plan_implement_agent"] = [script(2.9, 0.9), script(2.0, 0.0)]
    result = await solve(replies, **{**ONE, "num_solutions": 2}, ensemble_loop_round=2)
    state = state_of(result)
    assert state["ensemble_plans"] == ["Average the predictions.", "Weights.", "Stacking."]
    first, second = prompts(result, "ensemble_plan_refine_agent")
    assert f"{state['ensemble_code_exec_result_0']['score']:.6g}" in first
    assert second.index("Weights.") < second.index("Average the predictions.")
    assert result.winner.slot.code_key == "ensemble_code_1"


async def test_a_single_solution_wins_over_worse_ensembles(solve) -> None:
    replies = tiny.replies(2, 1) | {"model_eval_agent_2_1": [script(2.9, 0.9)]}
    replies["ensemble_plan_implement_initial_agent"] = replies["ensemble_plan_implement_agent"] = [script(2.0), "..."]
    result = await solve(replies, **{**ONE, "num_solutions": 2})
    assert result.winner.slot.code_key == "init_code_2_1"


# --- submission


async def test_the_winner_is_handed_in_byte_for_byte(solve) -> None:
    result = await solve(candidates(2.0, 2.5), **{**ONE, "num_model_candidates": 2})
    final = result.folder / "tiny" / "ensemble"
    assert result.solution.read_text() == (final / "final_solution.py").read_text() == result.winner.script
    assert state_of(result)["submission_code"] == result.winner.script
    assert result.submission.read_bytes() == (final / "final" / "submission.csv").read_bytes()
    assert "submission_agent" not in calls(result)


def failing_winner() -> dict[str, Any]:
    """Replies for two solutions: the second is the better one, and fails on all rows."""
    replies = tiny.replies(2, 1)
    replies["model_eval_agent_1_1"] = [script(2.0)]
    replies["model_eval_agent_2_1"] = [tiny.fenced(faults.broken_on_full_data(tiny.solution(1.0, 3.0)))]
    replies["ensemble_plan_implement_initial_agent"] = replies["ensemble_plan_implement_agent"] = [script(1.0), "..."]
    replies["submission_bug_summary_agent"] = ["Too many rows.", "..."]
    return replies


TWO = {**ONE, "num_solutions": 2, "ensemble_loop_round": 0}


async def test_an_agent_repairs_a_winner_that_fails_on_all_data(solve) -> None:
    replies = failing_winner() | {"submission_agent": [script(3.0, 1.0)]}
    result = await solve(replies, **TWO)
    assert calls(result).count("submission_agent") == 1
    assert "if len(train) == 100" in prompts(result, "submission_agent")[0]
    assert result.solution.read_text() == tiny.solution(1.0, 3.0) == state_of(result)["submission_code"]
    assert [e for e in read_journal(result.folder) if isinstance(e, Published)][-1].slot == "submission_code"


async def test_a_runner_up_is_handed_in_where_the_repair_fails(solve) -> None:
    bad = tiny.fenced("raise SystemExit('final/submission.csv')")
    replies = failing_winner() | {"submission_agent": [bad, "..."], "submission_debug_agent": [bad, "..."]}
    result = await solve(replies, **TWO, max_debug_round=1)
    assert result.winner.slot.code_key == "init_code_1_1"
    assert result.solution.read_text() == tiny.solution(0.0, 2.0)


async def test_a_run_whose_scripts_all_fail_on_all_data_says_so(solve, tmp_path: Path) -> None:
    bad = tiny.fenced("raise SystemExit('final/submission.csv')")
    replies = candidates(2.5) | {"submission_agent": [bad, "..."], "submission_bug_summary_agent": ["It ends.", "..."]}
    replies["model_eval_agent_1_1"] = [tiny.fenced(faults.broken_on_full_data(tiny.solution()))]
    with pytest.raises(MleError, match="failed on the full data"):
        await solve(replies, **ONE, max_debug_round=0)
    ended = read_journal(tmp_path / "run")[-1]
    assert isinstance(ended, RunEnded)
    assert ended.status == "failed"
