"""The stage table both ways, and the specified functions."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.code_util import (
    STAGES,
    evaluate_code,
    extract_performance_from_text,
    get_code_execution_result_state_key,
    get_code_state_key,
    get_run_code_condition,
    get_updated_suffix,
    parse,
    run_python_code,
)
from machine_learning_engineering.shared_libraries.records import Slot

ROLES = ("agent", "debug_agent", "bug_summary_agent", "check_leakage_agent", "refine_leakage_agent")
MARK = "print('Final Validation Performance: 0.5')"

# name, state, suffix, code key, result key, file, folder: the specified rows
ROWS = [
    ("model_eval_agent_1_2", {}, "1_2", "init_code_1_2", "init_code_exec_result_1_2", "init_code_2.py", "1"),
    ("merger_agent_2_1", {}, "2_1", "merger_code_2_1", "merger_code_exec_result_2_1", "train0_1.py", "2"),
    ("check_data_use_agent_3", {}, "3", "train_code_0_3", "train_code_exec_result_0_3", "train0.py", "3"),
    (
        "ablation_agent_1",
        {"refine_step_1": 4},
        "4_1",
        "ablation_code_4_1",
        "ablation_code_exec_result_4_1",
        "ablation_4.py",
        "1",
    ),
    (
        "plan_implement_initial_agent_2",
        {"refine_step_2": 1, "inner_iter_2": 0},
        "0_1_2",
        "train_code_improve_0_1_2",
        "train_code_improve_exec_result_0_1_2",
        "train1_improve0.py",
        "2",
    ),
    (
        "plan_implement_debug_agent_2",
        {"refine_step_2": 1, "inner_iter_2": 3},
        "3_1_2",
        "train_code_improve_3_1_2",
        "train_code_improve_exec_result_3_1_2",
        "train1_improve3.py",
        "2",
    ),
    (
        "ensemble_plan_implement_initial_agent",
        {"ensemble_iter": 0},
        "0",
        "ensemble_code_0",
        "ensemble_code_exec_result_0",
        "ensemble0.py",
        "ensemble",
    ),
    (
        "ensemble_plan_implement_agent",
        {"ensemble_iter": 2},
        "2",
        "ensemble_code_2",
        "ensemble_code_exec_result_2",
        "ensemble2.py",
        "ensemble",
    ),
    ("submission_agent", {}, "", "submission_code", "submission_code_exec_result", "final_solution.py", "ensemble"),
]


def context(agent_name: str, **state: object) -> SimpleNamespace:
    return SimpleNamespace(agent_name=agent_name, state=dict(state))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_specified_row(row: tuple) -> None:
    name, state, suffix, code_key, result_key, *_ = row
    slot, _ = parse(name, state)
    assert (slot.suffix, slot.code_key, slot.result_key, slot.filename, slot.folder) == row[2:]
    assert get_updated_suffix(context(name, **state)) == suffix
    assert get_code_state_key(name, suffix) == code_key
    assert get_code_execution_result_state_key(name, suffix) == result_key


@given(
    st.sampled_from(sorted(STAGES)), st.sampled_from(ROLES), st.integers(1, 99), st.integers(0, 99), st.integers(0, 99)
)
def test_a_name_leads_back_to_its_slot(stage: str, role: str, solution: int, step: int, attempt: int) -> None:
    row = STAGES[stage]
    used = {*row.ids, *(name for name, _ in row.counters)}
    numbers = {"solution": solution, "step": step, "attempt": attempt}
    slot = Slot(row, **{name: number for name, number in numbers.items() if name in used})
    counters = {key.format(solution=solution): getattr(slot, name) for name, key in row.counters}
    assert parse(slot.agent(role), counters) == (slot, role)
    assert get_code_state_key(slot.agent(role), slot.suffix) == slot.code_key


def test_no_two_slots_share_a_key_or_a_name() -> None:
    slots = [
        Slot(row, **dict.fromkeys({*row.ids, *(name for name, _ in row.counters)}, n))
        for row in STAGES.values()
        for n in (1, 2)
    ]
    for seen in ({s.code_key for s in slots}, {s.result_key for s in slots}):
        assert len(seen) == len({(s.stage.name, s.suffix) for s in slots})


@pytest.mark.parametrize("name", ["nobody_agent_1", "model_eval_agent_1", "rank_agent_1", "submission_agent_1", ""])
def test_a_name_of_no_script_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"names no script|must end with"):
        parse(name, {})


def test_a_missing_counter_is_named() -> None:
    with pytest.raises(ValueError, match="refine_step_1"):
        parse("ablation_agent_1", {})


# The specified table of conditions: (agent, code, whether it runs)
CONDITIONS = [
    ("ensemble_plan_implement_initial_agent", "exit()", True),
    ("ensemble_plan_implement_agent", "x = 1", True),
    ("ensemble_plan_implement_debug_agent", "x = 1", False),
    ("ensemble_plan_implement_debug_agent", MARK, True),
    ("ensemble_plan_implement_debug_agent", f"{MARK}\nexit()", False),
    ("ablation_agent_1", "exit()", True),
    ("ablation_debug_agent_1", "exit()", False),
    ("ablation_debug_agent_1", "x = 1", True),
    ("submission_agent", "x = 1", False),
    ("submission_agent", "open('./final/submission.csv', 'w')", True),
    ("submission_agent", "open('./final/submission.csv', 'w')\nexit()", False),
    ("submission_debug_agent", "x = 1", True),
    ("submission_debug_agent", "exit()", False),
    ("model_eval_agent_1_1", MARK, True),
    ("model_eval_agent_1_1", "x = 1", False),
    ("model_eval_debug_agent_1_1", f"{MARK}\nquit(1)", False),
    ("merger_agent_1_1", f"{MARK}\nexit(0)", False),
    ("check_data_use_agent_1", MARK, True),
    ("plan_implement_initial_agent_1", MARK, True),
    ("plan_implement_agent_1", "x = 1", False),
]


@pytest.mark.parametrize(("agent", "code", "runs"), CONDITIONS)
def test_the_specified_run_conditions(agent: str, code: str, runs: bool) -> None:
    assert get_run_code_condition(agent, code) is runs


@pytest.mark.parametrize(
    "code", [f"{MARK}\nimport sys\nif False:\n    sys.exit()", f"{MARK}\n# never call exit()", f"{MARK}\ns = 'exit()'"]
)
def test_only_a_call_of_exit_counts_as_exit(code: str) -> None:
    """A comment, a string and sys.exit() do not stop a script from being run."""
    assert get_run_code_condition("model_eval_agent_1_1", code)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Final Validation Performance: 0.25", 0.25),
        ("epoch 1\nFinal Validation Performance: 3\nFinal Validation Performance: 4.5\n", 4.5),
        ("Final Validation Performance: nan", None),
        ("Final Validation Performance: inf", None),
        ("Final Validation Performance: oops", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_extracting_the_reported_performance(text: str, score: float | None) -> None:
    assert extract_performance_from_text(text) == score


async def test_run_python_code_gives_the_specified_keys(tmp_path) -> None:
    result = await run_python_code("print('hi')", str(tmp_path), str(tmp_path / "a.py"), 30)
    assert set(result) == {"returncode", "stdout", "stderr", "execution_time"}
    assert (result["returncode"], result["stdout"]) == (0, "hi\n")
    assert (tmp_path / "a.py").read_text() == "print('hi')"


@pytest.mark.parametrize(("lower", "fail"), [(True, 1e9), (False, 0.0)])
async def test_evaluate_code_without_a_run_scores_as_specified(tmp_path, lower: bool, fail: float) -> None:
    base = {"workspace_dir": str(tmp_path), "task_name": "t", "exec_timeout": 30, "lower": lower}
    good = context("model_eval_agent_1_1", **base, init_code_1_1=MARK)
    await evaluate_code(good)
    result = good.state["init_code_exec_result_1_1"]
    assert (result["returncode"], result["score"], result["score_source"]) == (0, 0.5, "reported")
    bad = context("model_eval_agent_1_2", **base, init_code_1_2=f"{MARK}\nraise SystemExit(3)")
    await evaluate_code(bad)
    assert (bad.state["init_code_exec_result_1_2"]["returncode"]) == 3
    assert bad.state["init_code_exec_result_1_2"]["score"] == fail
    silent = context("model_eval_agent_1_3", **base, init_code_1_3="print(1)")
    await evaluate_code(silent)
    assert silent.state["init_code_exec_result_1_3"] == {}
    assert "Final Validation Performance" in silent.state["init_code_exec_result_1_3_reason"]


async def test_an_ablation_result_is_what_it_printed(tmp_path) -> None:
    base = {"workspace_dir": str(tmp_path), "task_name": "t", "exec_timeout": 30, "lower": True, "refine_step_1": 0}
    one = context("ablation_agent_1", **base, ablation_code_0_1="print('part A matters')")
    await evaluate_code(one)
    assert one.state["ablation_code_exec_result_0_1"]["ablation_result"] == "part A matters\n"
    assert "score" not in one.state["ablation_code_exec_result_0_1"]
    two = context("ablation_agent_1", **base, ablation_code_0_1="print(1)\n1/0")
    await evaluate_code(two)
    assert two.state["ablation_code_exec_result_0_1"]["ablation_result"] == "None"
