"""What the commands besides `mle run` print: tables for people."""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from machine_learning_engineering.shared_libraries.monitoring.doctor import Finding
from machine_learning_engineering.shared_libraries.monitoring.runs import Difference, RunLine
from machine_learning_engineering.shared_libraries.monitoring.settings import Setting
from machine_learning_engineering.shared_libraries.monitoring.words import counted, duration, figure, near
from machine_learning_engineering.shared_libraries.tasks.bundled import BundledTask

_STATUS = {"finished": "green", "going on": "cyan", "stopped": "yellow", "interrupted": "yellow"}
_WIDE = 150  # columns from which there is room for everything
_IN_A_PIPE = 1_000  # columns
_MARKS = {"ok": ("ok", "green"), "missing": ("MISSING", "bold red"), "note": ("-", "dim")}


def show_tasks(tasks: Iterable[BundledTask]) -> None:
    """The bundled tasks."""
    table = _table("name", "problem", "metric", "rows", "what")
    for task in tasks:
        table.add_row(task.name, task.problem, task.metric, str(task.rows), task.title)
    _print(table, "\nRun one: mle run NAME")


def show_runs(lines: Sequence[RunLine], place: str) -> None:
    """Runs, the latest last; those that lie elsewhere than in `place` with their folder."""
    if not lines:
        _print("No runs yet. Start one: mle run NAME (`mle tasks` lists names)")
        return
    wide = _console().width >= _WIDE
    table = _table(
        "run", "status", "search score", "audit (95 %)", "time", *(("scripts", "task", "begun") if wide else ())
    )
    for line in lines:
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(line.started))
        table.add_row(
            Text(line.run if str(line.folder.parent) == place else near(line.folder), overflow="fold"),
            Text(line.status, _STATUS.get(line.status, "red")),
            f"{figure(line.best)} {line.metric}",
            line.audited or "-",
            duration(line.seconds),
            *((str(line.scripts), line.task, begun) if wide else ()),
        )
    _print(table, "\nCompare two: mle runs A B     Read one: mle report RUN")


def show_comparison(lines: Sequence[RunLine], differences: Iterable[Difference], spelt: Mapping[str, str]) -> None:
    """Two runs side by side: their results, then the settings and versions in which they differ.

    `spelt` names the flag of a setting.
    """
    first, second = lines
    table = _table("", Text(first.run, overflow="fold"), Text(second.run, overflow="fold"))
    rows = {
        "task": [line.task for line in lines],
        "status": [line.status for line in lines],
        "search score": [f"{figure(line.best)} {line.metric}" for line in lines],
        "audit (95 %)": [line.audited or "-" for line in lines],
        "time": [duration(line.seconds) for line in lines],
        "scripts": [str(line.scripts) for line in lines],
    }
    for what, values in rows.items():
        table.add_row(Text(what, "bold"), *values)
    found = list(differences)
    for difference in found:
        name = Text(spelt.get(difference.what, difference.what), "dim")
        table.add_row(name, Text(difference.first), Text(difference.second))
    _print(table, "" if found else "\nSame data, settings and versions.")


def show_settings(settings: Iterable[Setting], warnings: Sequence[str]) -> None:
    """The effective settings, those that have a flag first; those that are not defaults stand out."""
    table = _table("set by", "value", "from", "what it is")
    for setting in sorted(settings, key=lambda one: not one.flag):
        style = "dim" if setting.source == "default" else "bold"
        value = "-" if setting.value in (None, "", {}) else str(setting.value)
        by = Text(f"{setting.flag}\n" if setting.flag else "", overflow="fold").append(setting.variable, "dim")
        table.add_row(by, Text(value, style, overflow="fold"), Text(setting.source, style), Text(setting.about))
    _print(table, *(f"\nnote: {warning}" for warning in warnings))


def show_findings(findings: Iterable[Finding]) -> bool:
    """Each finding as soon as it is known, area by area; whether nothing is missing."""
    console = Console(highlight=False, soft_wrap=True)
    area, missing = "", 0
    for finding in findings:
        if finding.area != area:
            area = finding.area
            console.print(Text(f"\n{area}", "bold"))
        word, style = _MARKS[finding.verdict]
        line = Text("  ").append(f"{word:8}", style).append(f"{finding.name:22} ").append(finding.found)
        console.print(line)
        if finding.verdict != "ok" and finding.advice:
            console.print(Text(f"{'':10}{finding.advice}", "dim"))
        missing += finding.verdict == "missing"
    told = f"{counted(missing, 'thing')} missing: see the lines above." if missing else "Nothing is missing."
    console.print(Text(f"\n{told}", "bold"))
    return not missing


def _table(*columns: str | Text) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _console() -> Console:
    """As wide as the terminal; into a pipe no cell is folded, so that a name can be searched for and cut out."""
    return Console(highlight=False, width=shutil.get_terminal_size((_IN_A_PIPE, 25)).columns)


def _print(*parts: Table | str) -> None:
    console = _console()
    for part in parts:
        if part:
            console.print(part, markup=False, soft_wrap=isinstance(part, str))
