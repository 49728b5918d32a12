"""The page: readable whatever the journal holds, small, in colours that can be told apart, and safe."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import machine_learning_engineering.shared_libraries.report as package
from machine_learning_engineering.shared_libraries.errors import JournalError
from machine_learning_engineering.shared_libraries.report import page
from machine_learning_engineering.shared_libraries.report.evidence import Predictions, Spread
from machine_learning_engineering.shared_libraries.report.graph import HEIGHT, WIDTH, arrange
from machine_learning_engineering.shared_libraries.report.listing import code, cut, difference, prose, visible
from machine_learning_engineering.shared_libraries.report.plots import ablation, score_over_time, small, target
from machine_learning_engineering.shared_libraries.report.prediction_plots import prediction_figures
from machine_learning_engineering.shared_libraries.report.reproduce import command
from machine_learning_engineering.shared_libraries.report.story import read_story, tell
from machine_learning_engineering.shared_libraries.report.svg import clean
from tests.unit.report.journals import AUC, RMSE, Diary

HOSTILE = "</script><img src=x onerror=alert(1)>"


# --- whole pages ------------------------------------------------------------------------------------------------------


def test_an_empty_journal_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"kind":"run_sta')
    html = page.build_report(tmp_path).read_text()
    assert "No script has run yet." in html
    assert "The run ended before it wrote down its settings." in html


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="holds no run"):
        page.build_report(tmp_path)


def test_the_score_of_a_winner_that_was_repaired_is_not_claimed(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(101, "init_code_1_1", 0.25)
    diary.ran(102, "submission_code", view="final")
    diary.scored(102, "submission_code", None)
    diary.published(102, "submission_code", None)
    html = page.build_report(diary.save()).read_text()
    assert "the winner was repaired for the full data and has no score of its own" in html


def test_a_run_of_a_thousand_scripts_stays_small(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    for number in range(1, 1001):
        slot, text = f"init_code_{number % 16 + 1}_{number}", f"x = '<<<<&&&&' * {number}\n" * 400
        diary.ran(100 + number, slot, code=text, stdout="<" * 5000)
        diary.scored(100 + number, slot, float(number))
    path = page.build_report(diary.save())
    assert path.stat().st_size <= page.MAX_BYTES
    assert "Candidate 2.1" in path.read_text()


def test_a_page_names_no_other_machine(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    html = page.build_report(diary.save()).read_text()
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", html)


def test_a_journal_from_a_newer_version_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100, setting_of_tomorrow=1)
    diary.ran(101, "flow_of_tomorrow_7")
    html = page.build_report(diary.save()).read_text()
    assert "flow_of_tomorrow_7" in html


# --- colours ----------------------------------------------------------------------------------------------------------


def palettes() -> list[dict[str, str]]:
    css = (Path(package.__file__).parent / "templates" / "report.css").read_text()
    found = [dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", block)) for block in re.findall(r"\{([^{}]*)\}", css)]
    return [one for one in found if "bg" in one]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", palettes())
def test_texts_and_marks_can_be_told_from_their_ground(palette: dict[str, str]) -> None:
    """WCAG AA: 4.5 for text, 3 for shapes; print, light and dark, the latter chosen by the system or by hand."""
    for ground in ("bg", "panel"):
        for text in ("ink", "muted", "link", "good", "bad"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    assert all(contrast(palette[f"c{n}"], palette["bg"]) >= 3 for n in range(1, 8))


def test_all_four_palettes_are_looked_at() -> None:
    assert len(palettes()) == 4


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_an_svg_keeps_shapes_only() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="alert(1)">'
        '<script>alert(1)</script><a xlink:href="javascript:alert(1)"><rect/></a><image href="http://x"/>'
        '<foreignObject/><style>*{}</style><rect fill="url(http://x)" style="x" width="3"/></svg>'
    )
    assert clean(svg, HOSTILE) == (
        '<svg role="img" aria-label="&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"><rect width="3" /></svg>'
    )


@pytest.mark.parametrize(
    "picture",
    [
        lambda: small(Spread((1, 2), labels=(HOSTILE, "b")), HOSTILE),
        lambda: target(Spread((1, 2), labels=(HOSTILE, "b")), HOSTILE).svg,
        lambda: target(Spread((1, 2), edges=(0.0, 1.0, 2.0)), HOSTILE).svg,
        lambda: prediction_figures(Predictions((1.0, 2.0), (1.5, 2.0)), HOSTILE)[0].svg,
        lambda: prediction_figures(Predictions((HOSTILE, "b"), ("b", "b"), ("b", HOSTILE)), "y")[0].svg,
    ],
    ids=["small", "labels", "numbers", "predictions", "confusion"],
)
def test_hostile_names_in_pictures_are_escaped(picture) -> None:  # type: ignore[no-untyped-def]
    svg = picture()
    assert "<img" not in svg
    assert "</script" not in svg
    assert "&lt;/script&gt;" in svg


def test_pictures_take_their_colours_from_the_page() -> None:
    svg = target(Spread((1, 2), labels=("a", "b")), "y").svg
    assert "var(--c1)" in svg
    assert not re.search(r'(?:fill|stroke)="#', svg)


@pytest.mark.parametrize(
    ("found", "titles"),
    [
        (Predictions((1.0, 2.0, 3.0), (1.5, 2.0, 2.0)), ["Predicted against true", "Residuals"]),
        (Predictions(("a", "b"), ("a", "a"), ("a", "b"), ((0.9, 0.1), (0.8, 0.2))), ["Confusion", "Calibration"]),
        (Predictions(("a", "b"), ("a", "a"), ("a", "b")), ["Confusion", "Recall by class"]),
    ],
)
def test_each_kind_of_problem_has_its_pictures(found: Predictions, titles: list[str]) -> None:
    assert [figure.title for figure in prediction_figures(found, "y")] == titles


def test_calibration_says_how_far_chances_are_off() -> None:
    chances = ((0.75, 0.25),) * 4
    figure = prediction_figures(Predictions(("a", "a", "a", "b"), ("a",) * 4, ("a", "b"), chances), "y")[1]
    assert "0.0% off" in figure.caption


def test_rare_classes_share_a_row_of_the_confusion() -> None:
    labels = tuple(f"c{n:02}" for n in range(30))
    figure = prediction_figures(Predictions(labels, labels, labels), "y")[0]
    assert "(others)" in figure.svg


@pytest.mark.parametrize(
    ("metric", "values", "worst", "sign"),
    [
        (RMSE, (1.0, 1.1, 0.9, 1.05, 90.0), "90", "90, beyond the axis"),
        (AUC, (0.9, 0.91, 0.92, 0.93, 0.1), "0.1", "0.1,"),
    ],
)
def test_a_score_beyond_the_axis_is_marked_and_told(tmp_path: Path, metric, values, worst: str, sign: str) -> None:  # type: ignore[no-untyped-def]
    """A triangle is a path of three corners; the circles of Vega are arcs."""
    diary = Diary(tmp_path)
    diary.begin(100)
    for number, value in enumerate(values, 1):
        diary.ran(100 + number, f"init_code_1_{number}")
        diary.scored(100 + number, f"init_code_1_{number}", value)
    figure = score_over_time(tell(tmp_path, diary.entries, metric))
    assert figure is not None
    assert f"Triangles lie beyond the axis, the farthest at {worst}." in figure.caption
    (far,) = re.findall(rf'<path[^>]*data-tip="Candidate 1.5: {sign}[^>]*>', figure.svg)
    (near,) = re.findall(r'<path[^>]*data-tip="Candidate 1.1: [^>]*>', figure.svg)
    assert "A" not in re.findall(r' d="([^"]*)"', far)[0]
    assert "A" in re.findall(r' d="([^"]*)"', near)[0]


def test_a_first_score_far_off_does_not_stretch_the_picture(tmp_path: Path) -> None:
    """The line of the best so far ends at the edge, as the points do."""
    heights = []
    for first in (1.2, 90.0):
        diary = Diary(tmp_path / str(first))
        diary.begin(100)
        for number, value in enumerate((first, 1.0, 1.1, 0.9, 1.05), 1):
            diary.ran(100 + number, f"init_code_1_{number}")
            diary.scored(100 + number, f"init_code_1_{number}", value)
        figure = score_over_time(tell(diary.folder, diary.entries, RMSE))
        assert figure is not None
        heights += [int(height) for height in re.findall(r'^<svg[^>]* height="(\d+)"', figure.svg)]
    within, beyond = heights
    assert beyond - within < 10  # what the triangle takes


def test_a_score_of_the_first_fold_alone_is_told_from_the_others(tmp_path: Path) -> None:
    """It may be better than the published one, so its point is hollow and its box has it in brackets."""
    diary = Diary(tmp_path)
    diary.begin(100)
    for slot, stopped in (("init_code_1_1", ""), ("init_code_1_2", "clearly behind")):
        diary.ran(101, slot)
        diary.scored(101, slot, 0.5, stopped=stopped)
    html = page.build_report(diary.save()).read_text()
    assert "Hollow points stand on their first fold alone" in html
    assert "A score in brackets is that of the first fold alone" in html
    assert re.findall(r">(\(?0\.5\)?)</text>", html)[-2:] == ["0.5", "(0.5)"]
    filled = set(re.findall(r'fill-opacity="(\d)"[^>]*data-tip="(Candidate 1..):', html))
    assert filled == {("1", "Candidate 1.1"), ("0", "Candidate 1.2")}


def test_scores_within_the_axis_need_no_triangle(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    diary.ran(101, "init_code_1_1")
    diary.scored(101, "init_code_1_1", 0.5)
    figure = score_over_time(tell(tmp_path, diary.entries, RMSE))
    assert figure is not None
    assert figure.caption == "0.5 from the first script on; lower is better. The line is the best so far."


@pytest.mark.parametrize(
    ("classes", "rule"), [(("a", "b"), "above a chance of 0.5"), (("a", "b", "c"), "highest chance")]
)
def test_a_confusion_of_chances_names_its_threshold(classes: tuple[str, ...], rule: str) -> None:
    even = (tuple(1 / len(classes) for _ in classes),)
    figure = prediction_figures(Predictions(("a",), ("a",), classes, even), "y")[0]
    assert rule in figure.caption
    assert rule not in prediction_figures(Predictions(("a",), ("a",), classes), "y")[0].caption


@pytest.mark.parametrize(("metric", "most"), [(RMSE, "model, +1.5"), (AUC, "data, +0.5")])
def test_an_ablation_tells_what_helps_in_the_direction_of_the_metric(tmp_path: Path, metric, most: str) -> None:  # type: ignore[no-untyped-def]
    diary = Diary(tmp_path)
    lines = ("[baseline]: 1.0", "[model]: 2.5", "[data]: 0.5")
    diary.ran(101, "ablation_code_0_1", stdout="\n".join(f"Ablation Performance {line}" for line in lines))
    figure = ablation(tell(tmp_path, diary.entries, metric).nodes[0], metric)
    assert figure is not None
    assert figure.caption.startswith(f"Most: {most}.")


def test_an_ablation_without_figures_has_no_picture(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.ran(101, "ablation_code_0_1", stdout="nothing")
    assert ablation(tell(tmp_path, diary.entries, RMSE).nodes[0], RMSE) is None


def test_boxes_stand_below_their_sources_and_clear_of_each_other(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    for number in range(1, 6):
        diary.ran(101, f"init_code_1_{number}", code=f"code {number}")
    diary.wrote(102, "rank_agent_1", base_solution_1="code 2", performance_results_1=[[1, "code 2"], [2, "code 5"]])
    diary.ran(103, "merger_code_1_1")
    drawing = arrange(tell(tmp_path, diary.entries, RMSE))
    places = {box.node.key: (box.x, box.y) for box in drawing.boxes}
    assert all(places[way.edge.source][1] + HEIGHT < places[way.edge.target][1] for way in drawing.ways)
    tops = sorted(x for x, y in places.values() if y < HEIGHT)
    assert all(right - left >= WIDTH for left, right in pairwise(tops))
    assert tops[0] >= 0
    assert tops[-1] + WIDTH <= drawing.width


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, 60, 10_000])
def test_code_is_escaped_with_and_without_colour(budget: int) -> None:
    shown = code(f"x = '{HOSTILE}'  # {HOSTILE}\n", budget)
    assert "<img" not in shown
    assert "</script" not in shown


def test_what_cannot_be_seen_is_shown() -> None:
    assert visible("a\x00b\u202ec\ud800\n\t") == "a\ufffdb\ufffdc\ufffd\n\t"


def test_a_long_text_keeps_its_head_and_tail() -> None:
    assert cut("a" * 50 + "b" * 50, 10) == "aaaaa\n[... 90 characters left out ...]\nbbbbb"


def test_a_difference_shows_what_changed() -> None:
    lines = [(line.kind, line.text) for line in difference("a\nb\nc\n", "a\nB\nc\n", 1000)]
    assert lines == [("place", "@@ -1,3 +1,3 @@"), ("same", " a"), ("old", "-b"), ("new", "+B"), ("same", " c")]


def test_a_description_cannot_bring_html_pictures_or_scripts() -> None:
    html = prose(f"# Task\n\n{HOSTILE}\n\n![x](http://example.org/x.png) [y](javascript:alert(1))\n")
    assert "<h3>Task</h3>" in html
    assert "<img" not in html
    assert "</script" not in html
    assert 'href="javascript' not in html


def test_the_command_repeats_what_was_said_and_quotes_it(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    settings = {"agent_model": "openai/x y", "inner_loop_round": 3, "threads": 1, "outer_loop_round": 1}
    diary.begin(100, **settings, sandbox="elsewhere")
    started = read_story(diary.save()).started
    assert started is not None
    words = f"mle run {tmp_path}/no-such-data.csv --target y --model 'openai/x y' --sandbox elsewhere --seed 1"
    assert command(started) == f"MLE_INNER_LOOP_ROUND=3 {words}"


def test_the_command_names_a_bundled_task_by_its_name(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.begin(100)
    started = read_story(diary.save()).started
    assert started is not None
    request = {"source": "/somewhere/tasks/parcel-sorting", "name": "parcel-sorting"}
    assert command(started.model_copy(update={"request": request})) == "mle run parcel-sorting --seed 1"
