"""The commands of `mle` that only look: at runs, reports, tasks, settings and the machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from machine_learning_engineering._cli_options import (
    FLAGS,
    ApiBase,
    AsJson,
    Candidates,
    Debug,
    Folds,
    Minutes,
    Model,
    Rounds,
    SandboxName,
    Seed,
    Solutions,
    Timeout,
    settings_of,
)


def runs(
    compare: Annotated[
        list[str] | None,
        typer.Argument(metavar="[A B]", help="Two runs to compare: names, their beginnings, or folders."),
    ] = None,
    place: Annotated[
        Path | None, typer.Option("--in", help="List only the runs in this folder, for example mle-runs.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List your runs, wherever they lie, or compare two: their results, and the settings in which they differ."""
    from machine_learning_engineering.shared_libraries.monitoring import runs as known
    from machine_learning_engineering.shared_libraries.monitoring import tables
    from machine_learning_engineering.shared_libraries.runs.registry import RUNS, find

    if not compare:
        lines, usual = known.list_runs(place), str((place or RUNS).absolute())
        _print_json([asdict(line) for line in lines]) if as_json else tables.show_runs(lines, usual)
        return
    if len(compare) != 2:
        raise typer.BadParameter("name two runs to compare, or none to list them all", param_hint="A B")
    lines, differences = known.compare(*map(find, compare))
    if as_json:
        _print_json({"runs": [asdict(line) for line in lines], "differences": [asdict(one) for one in differences]})
    else:
        tables.show_comparison(lines, differences, FLAGS)


def report(
    run: Annotated[str, typer.Argument(help="A run's folder, its name, or the beginning of its name.")],
    live: Annotated[bool, typer.Option(help="Write it anew, and have the page reload, until the run ends.")] = False,
    debug: Debug = False,
) -> None:
    """Write a run's report.html: its search, scores, scripts and plots in one file."""
    from machine_learning_engineering.shared_libraries.report.page import build_report, keep_report
    from machine_learning_engineering.shared_libraries.runs.registry import find

    folder = find(run)
    typer.echo(keep_report(folder) if live else build_report(folder))


def tasks(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the bundled tasks."""
    from machine_learning_engineering.shared_libraries.monitoring import tables
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_tasks

    found = bundled_tasks()
    _print_json([asdict(task) for task in found]) if as_json else tables.show_tasks(found)


def config(
    model: Model = None,
    api_base: ApiBase = None,
    solutions: Solutions = None,
    candidates: Candidates = None,
    rounds: Rounds = None,
    folds: Folds = None,
    minutes: Minutes = None,
    timeout: Timeout = None,
    seed: Seed = None,
    sandbox: SandboxName = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show every setting, its effective value, and where that came from.

    Flags win over environment variables MLE_<SETTING>, and these over defaults. Give the flags of `mle run` to see
    what they change.
    """
    from machine_learning_engineering.shared_libraries.monitoring import settings, tables

    flags = settings_of(model, api_base, solutions, candidates, rounds, folds, minutes, timeout, seed, sandbox)
    found = settings.settings(settings.configure(flags, FLAGS), flags, FLAGS)
    warnings = settings.misspelt()
    if as_json:
        _print_json({"settings": [asdict(one) for one in found], "warnings": warnings})
    else:
        tables.show_settings(found, warnings)


def doctor(as_json: AsJson = False, debug: Debug = False) -> None:
    """Look at what this machine has for a run, what it lacks, and how to get it.

    Looks at Python, packages, the sandbox's kernel layers, GPU, keys (present or not, never their values), disk and
    memory. The exit code is 1 if something is missing that runs need.
    """
    from machine_learning_engineering.shared_libraries.monitoring import tables
    from machine_learning_engineering.shared_libraries.monitoring.doctor import examine

    if as_json:
        findings = list(examine())
        _print_json([asdict(finding) for finding in findings])
        healthy = not any(finding.verdict == "missing" for finding in findings)
    else:
        healthy = tables.show_findings(examine())
    raise typer.Exit(0 if healthy else 1)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, default=str))
