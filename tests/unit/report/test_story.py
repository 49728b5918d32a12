"""What a run's journal tells: where scripts came from, which is best, and how long all of it took."""

from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.code_util import STAGES
from machine_learning_engineering.shared_libraries.entries import Decision, RunEnded
from machine_learning_engineering.shared_libraries.records import Slot
from machine_learning_engineering.shared_libraries.report.lineage import address, decided, left_out
from machine_learning_engineering.shared_libraries.report.story import read_story, tell
from machine_learning_engineering.shared_libraries.report.timing import bars, from_cache, wall
from machine_learning_engineering.shared_libraries.scoring.blend_script import blend_script
from tests.unit.report.journals import AUC, RMSE, Diary
from tests.unit.scoring.conftest import build_task


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    one = Diary(tmp_path)
    one.begin(100)
    return one


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_every_stage_of_the_table_has_an_address_of_its_own(stage) -> None:  # type: ignore[no-untyped-def]
    slot = Slot(stage, solution=2, step=3, attempt=4)
    found = address(slot.code_key)
    assert found.kind != "script"
    for name in ("solution", "step", "attempt"):
        assert getattr(found, name) in (0, getattr(slot, name))
    assert all(str(number) in found.title for number in (found.solution, found.step, found.attempt) if number)


@pytest.mark.parametrize(
    ("what", "work"),
    [
        ("merge 2 1", "Merge 2.1"),
        ("refine 0 1", "Refinement 1.0"),
        ("plan 1 0 2", "Refinement 2.0.1"),
        ("ablation 1 2", "Ablation 2.1"),
        ("ensemble 1", "Ensemble 1"),
        ("candidate 1 2", "Candidate 1.2"),
        ("fix init_code_1_2 3", "mending Candidate 1.2"),
        ("work of tomorrow", "work of tomorrow"),
    ],
)
def test_what_there_was_no_time_for_has_the_name_of_its_scripts(what: str, work: str) -> None:
    refused = Decision(at=1, what=f"budget:{what}", chosen=False, why="9 s are spent")
    assert left_out(refused) == work
    assert decided(refused) == f"no time left for {work}: 9 s are spent"
    assert decided(refused.model_copy(update={"chosen": True})) == ""


def test_folds_stand_in_their_order_whichever_ends_first(diary: Diary) -> None:
    for at, fold in enumerate((0, 3, 1, 10, 2), 101):
        diary.ran(at, "init_code_1_1", view=f"search-{fold}", seconds=fold + 1)
    (node,) = read_story(diary.save()).nodes
    assert node.views == ("search-0", "search-1", "search-2", "search-3", "search-10")
    assert [one.execution_time for one in node.folds] == [1, 2, 3, 4, 11]


def test_how_many_rows_the_final_script_has_is_told_with_its_name() -> None:
    for chosen, rows in ((None, "all"), (5000, "5,000")):
        one = Decision(at=1, what="final rows init_code_1_2 0", chosen=chosen, why="9 s expected")
        assert decided(one) == f"Candidate 1.2 is trained on {rows} rows: 9 s expected"


def test_the_folds_that_a_script_was_spared_are_told_with_its_score() -> None:
    assert decided(Decision(at=1, what="budget:folds init_code_1_2 0", chosen=False, why="9 s are spent")) == ""


def test_other_decisions_are_told_as_they_are() -> None:
    one = Decision(at=1, what="ensemble", chosen=False, why="1 distinct solution")
    assert (left_out(one), decided(one)) == ("", "ensemble: 1 distinct solution")


def test_a_script_of_an_unknown_flow_keeps_its_name() -> None:
    assert address("star_code_3").title == "star_code_3"


@pytest.mark.parametrize(("metric", "order"), [(RMSE, ["init_code_1_2", "init_code_1_1"]),
                                               (AUC, ["init_code_1_1", "init_code_1_2"])])  # fmt: skip
def test_the_leaderboard_goes_by_the_direction_of_the_metric(diary: Diary, metric, order) -> None:  # type: ignore[no-untyped-def]
    for slot, value in (("init_code_1_1", 0.9), ("init_code_1_2", 0.4)):
        diary.ran(101, slot)
        diary.scored(101, slot, value)
    assert [node.slot for node in tell(diary.folder, diary.entries, metric).leaderboard] == order


def test_a_failed_script_has_no_rank_and_a_reason(diary: Diary) -> None:
    diary.ran(101, "init_code_1_1", outcome="timeout")
    diary.scored(101, "init_code_1_1", None)
    story = tell(diary.folder, diary.entries, RMSE)
    assert story.leaderboard == ()
    assert story.nodes[0].problem == "It failed."


def test_of_equal_scores_the_oldest_is_best(diary: Diary) -> None:
    for slot in ("init_code_2_1", "init_code_1_1"):
        diary.ran(101, slot)
        diary.scored(101, slot, 1.0)
    best = tell(diary.folder, diary.entries, RMSE).best
    assert best is not None
    assert best.slot == "init_code_2_1"


def test_time_between_two_sessions_does_not_count(diary: Diary) -> None:
    diary.ran(110, "init_code_1_1")
    diary.begin(5000)
    diary.ran(5007, "init_code_1_2")
    story = tell(diary.folder, diary.entries, RMSE)
    assert story.seconds == 17
    assert [node.ended for node in story.nodes] == [10, 17]
    assert story.sessions == 2


def test_a_session_that_tells_a_finished_run_again_adds_nothing(diary: Diary) -> None:
    diary.ran(110, "init_code_1_1")
    diary.ended(112)
    before = tell(diary.folder, diary.entries, RMSE)
    for killed in (True, False):
        diary.begin(5000)
        if not killed:
            diary.ended(5009)
        story = tell(diary.folder, diary.entries, RMSE)
        assert (story.seconds, story.sessions, story.status) == (before.seconds, 1, "finished")


def test_a_session_that_does_more_to_a_finished_run_counts(diary: Diary) -> None:
    diary.ended(110)
    diary.begin(5000)
    diary.ran(5003, "init_code_1_1")
    story = tell(diary.folder, diary.entries, RMSE)
    assert (story.seconds, story.sessions, story.status) == (13, 2, "interrupted")


def test_results_from_the_cache_are_counted_among_all(diary: Diary) -> None:
    diary.asked(101, "model_eval_agent_1_1")
    for view in ("search-0", "final", "audit"):
        diary.ran(102, "init_code_1_1", view=view, cached=view != "audit")
    assert from_cache(tell(diary.folder, diary.entries, RMSE)).startswith("2 of 3 script results came from the cache")
    assert from_cache(tell(diary.folder, diary.entries[:2], RMSE)) == ""


def test_a_merge_comes_from_the_base_and_the_candidate_of_its_rank(diary: Diary) -> None:
    for number in (1, 2):
        diary.ran(101, f"init_code_1_{number}", code=f"code {number}")
    diary.wrote(102, "rank_agent_1", base_solution_1="code 2",
                performance_results_1=[[1.0, "code 2", {}], [2.0, "code 1", {}]])  # fmt: skip
    diary.ran(103, "merger_code_1_1")
    edges = {(edge.source, edge.kind) for edge in tell(diary.folder, diary.entries, RMSE).edges}
    assert edges == {("init_code_1_2.0", "base"), ("init_code_1_1.0", "reference")}


def test_a_refinement_comes_from_the_solution_and_its_ablation(diary: Diary) -> None:
    diary.ran(101, "merger_code_1_1", code="merged")
    diary.wrote(102, "selection_agent_1", train_code_0_1="merged")
    diary.ran(103, "ablation_code_0_1")
    diary.wrote(104, "init_plan_agent_1", refine_plans_0_1=["first", "second"])
    diary.ran(105, "train_code_improve_1_0_1")
    story = tell(diary.folder, diary.entries, RMSE)
    edges = {(edge.source, edge.kind) for edge in story.edges if edge.target == "train_code_improve_1_0_1.0"}
    assert edges == {("merger_code_1_1.0", "base"), ("ablation_code_0_1.0", "guide")}
    assert story.nodes[-1].plan == "second"


def test_equal_code_of_two_solutions_is_told_apart(diary: Diary) -> None:
    for solution in (1, 2):
        diary.ran(101, f"merger_code_{solution}_1", code="the same")
        diary.wrote(101, f"selection_agent_{solution}", **{f"train_code_0_{solution}": "the same"})
    diary.ran(103, "ablation_code_0_2")
    assert tell(diary.folder, diary.entries, RMSE).edges[0].source == "merger_code_2_1.0"


@pytest.mark.parametrize(
    ("author", "kind"), [("model_eval_debug_agent_1_1", "fix"), ("model_eval_agent_1_1", "rewrite")]
)
def test_a_second_version_is_mended_or_written_anew(diary: Diary, author: str, kind: str) -> None:
    diary.ran(101, "init_code_1_1", outcome="error")
    diary.wrote(101, "model_eval_agent_1_1", init_code_1_1="a")
    diary.wrote(102, "model_eval_bug_summary_agent_1_1", model_eval_bug_summary_1_1="A typing error.")
    diary.ran(103, "init_code_1_1", ordinal=1)
    diary.wrote(103, author, init_code_1_1="b")
    story = tell(diary.folder, diary.entries, RMSE)
    assert [edge.kind for edge in story.edges] == [kind]
    assert story.nodes[1].bug == ("A typing error." if kind == "fix" else None)


def test_the_lineage_of_a_script_leaves_out_what_only_guided_it(diary: Diary) -> None:
    diary.ran(101, "merger_code_1_1", code="merged")
    diary.wrote(102, "selection_agent_1", train_code_0_1="merged")
    diary.ran(103, "ablation_code_0_1")
    diary.ran(105, "train_code_improve_0_0_1")
    story = tell(diary.folder, diary.entries, RMSE)
    assert story.lineage(story.nodes[-1]) == {"merger_code_1_1.0", "train_code_improve_0_0_1.0"}


def test_the_run_on_all_data_is_no_script_of_its_own(diary: Diary) -> None:
    diary.ran(105, "init_code_1_1")
    diary.scored(105, "init_code_1_1", 1.0)
    diary.ran(109, "init_code_1_1", view="final")
    diary.published(109, "init_code_1_1", 1.0)
    story = tell(diary.folder, diary.entries, RMSE)
    assert len(story.nodes) == 1
    assert (story.nodes[0].ended, story.nodes[0].final is not None, story.nodes[0].published) == (5, True, True)
    assert story.winner == story.nodes[0]


def test_a_run_without_an_end_was_interrupted_unless_someone_writes(diary: Diary) -> None:
    assert tell(diary.folder, diary.entries, RMSE).status == "interrupted"
    assert tell(diary.folder, diary.entries, RMSE, going_on=True).status == "going on"
    diary.entries.append(RunEnded(at=101, status="failed", reason="no model"))
    story = tell(diary.folder, diary.entries, RMSE)
    assert (story.status, story.reason) == ("failed", "no model")


def test_a_missing_blob_is_told_in_its_place(diary: Diary) -> None:
    story = tell(diary.folder, diary.entries, RMSE)
    assert story.text({"$blob": "0" * 64}).startswith("(not available")


def test_the_direction_of_an_unnamed_metric_is_that_of_the_state(diary: Diary) -> None:
    diary.wrote(101, "initialization_agent", lower=True)
    assert read_story(diary.save()).metric.maximize is False


def test_the_wall_clock_is_divided_without_counting_anything_twice(diary: Diary) -> None:
    diary.asked(104, "a", seconds=4)  # 0 to 4
    diary.ran(106, "init_code_1_1", seconds=4)  # 2 to 6
    diary.ran(107, "init_code_1_2", seconds=2)  # 5 to 7
    diary.wrote(110, "a", x=1)
    split = wall(tell(diary.folder, diary.entries, RMSE))
    assert (split.models, split.both, split.scripts, split.neither) == (2, 2, 3, 3)


def test_spans_of_one_lane_that_overlap_stand_in_rows(diary: Diary) -> None:
    diary.ran(106, "init_code_1_1", seconds=4)
    diary.ran(107, "init_code_1_2", seconds=3)
    diary.ran(109, "init_code_1_3", seconds=2)
    placed = bars(tell(diary.folder, diary.entries, RMSE).spans)
    assert [(bar.span.name, bar.row) for bar in placed] == [
        ("init_code_1_1", 0), ("init_code_1_2", 1), ("init_code_1_3", 0),
    ]  # fmt: skip


def test_a_blend_comes_from_its_members(diary: Diary, tmp_path: Path) -> None:
    """As the script of a blend names them, a mended one by its later version."""
    task = build_task(tmp_path / "task")
    parts = {"init_code_1_1_0": (0.7, "one = 1"), "merger_code_1_1_1": (0.3, "print({'a': 2})")}
    diary.ran(101, "init_code_1_1")
    diary.ran(102, "merger_code_1_1", outcome="error")
    diary.ran(103, "merger_code_1_1", ordinal=1)
    diary.ran(104, "init_code_1_2")
    diary.scored(105, "blend_code", 0.5)
    diary.ran(106, "blend_code", blend_script(task, "raw", parts), view="final")
    story = tell(diary.folder, diary.entries, RMSE)
    made = [(edge.source, edge.kind) for edge in story.edges if edge.target == "blend_code.0"]
    assert made == [("init_code_1_1.0", "member"), ("merger_code_1_1.1", "member")]
    assert story.base_of(story.by_key["blend_code.0"]) is None
    assert "merger_code_1_1.1" in story.lineage(story.by_key["blend_code.0"])
