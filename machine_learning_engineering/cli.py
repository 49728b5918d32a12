"""The `mle` command. Only what a command needs is imported, and only when it runs."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from machine_learning_engineering import __version__

T = TypeVar("T")

app = typer.Typer(
    name="mle",
    help="A machine-learning engineer: give it data and a target, get a scored submission and the script that made it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Stopped(Exception):
    """The user asked a run to stop, and it has."""


def main() -> None:
    """The entry point: failures that a person can act on end as one sentence on stderr and exit code 2."""
    from machine_learning_engineering.shared_libraries.errors import MleError

    try:
        app()
    except MleError as exc:
        sys.stderr.write(f"mle: {exc}\n")
        sys.exit(2)
    except Stopped:
        sys.stderr.write("mle: stopped. Everything finished so far is kept; the same command takes the run up again.\n")
        sys.exit(130)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options that every command has."""


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="A bundled task's name, a task folder, or a CSV file with --target.")],
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    metric: Annotated[str | None, typer.Option(help="How predictions are judged, for example rmse or auc.")] = None,
    test: Annotated[Path | None, typer.Option(help="CSV with the rows to predict, for a CSV source.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column that names the rows.")] = None,
    group: Annotated[str | None, typer.Option(help="Column whose groups must not be split.")] = None,
    time_column: Annotated[str | None, typer.Option("--time", help="Column to split by time.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence about the task.")] = None,
    model: Annotated[
        str | None, typer.Option(help="offline (no key needed), a Gemini name, or <provider>/<model> of LiteLLM.")
    ] = None,
    api_base: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server.")] = None,
    solutions: Annotated[int | None, typer.Option(help="Solutions developed side by side.")] = None,
    candidates: Annotated[int | None, typer.Option(help="Models tried for each solution.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Refinement steps of each solution.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall-clock minutes for the whole run.")] = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds that one script may take.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of splits and scripts.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="warm (Linux: preloaded, fenced) or subprocess.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; the same command takes up a run that lies there.")
    ] = None,
) -> None:
    """Run a task from data to submission."""
    from machine_learning_engineering.client import find_request, solve
    from machine_learning_engineering.shared_libraries.config import RunConfig
    from machine_learning_engineering.shared_libraries.monitoring.console import Console

    request = find_request(
        source,
        target=target,
        metric=metric,
        test=test,
        id=id_column,
        group=group,
        time=time_column,
        description=description,
    )
    settings: dict[str, Any] = {
        "agent_model": model,
        "api_base": api_base,
        "num_solutions": solutions,
        "num_model_candidates": candidates,
        "outer_loop_round": rounds,
        "minutes": minutes,
        "exec_timeout": timeout,
        "seed": seed,
        "sandbox": sandbox,
    }
    config = RunConfig.from_env(**{name: value for name, value in settings.items() if value is not None})
    console = Console()
    result = _until_stopped(solve(request, config, out, listener=console.show))
    console.finish(result.task, result.winner, result.files)


def _until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; Ctrl-C or a termination signal cancels it in order, a second one ends it at once.

    Raises: Stopped once the cancelled work has ended.
    """

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            task.cancel()

        if os.name == "posix":  # set here, so that it works too where a parent has told us to ignore Ctrl-C
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
        return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        raise Stopped from None


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    live: Annotated[bool, typer.Option(help="Write it anew, and have the page reload, until the run ends.")] = False,
) -> None:
    """Write a run's report.html: its search, scores, scripts and plots in one file."""
    from machine_learning_engineering.shared_libraries.report.page import build_report, keep_report

    typer.echo(keep_report(run) if live else build_report(run))


@app.command()
def tasks() -> None:
    """List the bundled tasks."""
    from machine_learning_engineering.shared_libraries.monitoring.console import Console
    from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_tasks

    Console().list_tasks(bundled_tasks())


if __name__ == "__main__":
    main()
