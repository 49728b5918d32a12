"""The `mle` command. Only what a command needs is imported, and only when it runs."""

import atexit
import gc
import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from machine_learning_engineering import __version__
from machine_learning_engineering._cli_looks import config, doctor, report, runs, tasks
from machine_learning_engineering._cli_options import (
    EXAMPLES,
    FLAGS,
    OUTPUT,
    TASK,
    ApiBase,
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
from machine_learning_engineering._cli_watch import Stopped, Watch

app = typer.Typer(
    name="mle",
    help="A machine-learning engineer: give it data and a target, get a scored submission and the script that made it."
    "\n\nStart with: mle run glucose-progression",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The entry point: failures that a person can act on end as one sentence on stderr and exit code 2."""
    from machine_learning_engineering.shared_libraries.errors import MleError

    gc.set_threshold(50_000, 20, 20)  # by default a run spends a tenth of its own time looking for garbage
    # To take the interpreter apart at the end takes 0.8 s. What is left open then, if anything, is neither flushed nor
    # finalised; ours is closed.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 gets every message, spelt out
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_repeated(sys.argv[1:])
        app()
    except (MleError, OSError) as exc:
        sentence = _sentence(exc)
        if sentence is None:
            raise
        _end(sentence, exc)
    except Stopped as exc:
        sys.stderr.write(f"mle: {exc}\n")
        sys.exit(130)


def _refuse_repeated(arguments: list[str]) -> None:
    """Raises: ConfigError for an option that is given twice, of which only the last would count."""
    from machine_learning_engineering.shared_libraries.errors import ConfigError

    options = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    if repeated := [option for option in options if options.count(option) > 1]:
        raise ConfigError(f"{repeated[0]} is given more than once. Give it once.")


def _end(sentence: str, exc: Exception) -> None:
    if "--debug" in sys.argv:
        import traceback

        traceback.print_exception(exc)
    sys.stderr.write(f"mle: {sentence}\n")
    sys.exit(2)


def _sentence(exc: Exception) -> str | None:
    """What to tell of a failure; None for one that only a programmer can act on."""
    import errno

    if not isinstance(exc, OSError):
        return str(exc)
    where = f" ({exc.filename})" if exc.filename else ""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full{where}. Free some space and repeat the command: it goes on from where it stopped. "
            "Or choose a folder on another disk with --out."
        )
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{exc.filename or 'a file'} cannot be used ({exc.strerror}). Check its permissions, or choose another."
    return None


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Options that every command has."""


@app.command(epilog=EXAMPLES)
def run(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A bundled task's name, a task folder, or a CSV file with --target.")
    ],
    target: Annotated[str | None, typer.Option(help="Column to predict.", rich_help_panel=TASK)] = None,
    metric: Annotated[
        str | None, typer.Option(help="How predictions are judged, for example rmse or auc.", rich_help_panel=TASK)
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="CSV with the rows to predict, for a CSV source.", rich_help_panel=TASK)
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="Column that names the rows.", rich_help_panel=TASK)
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose groups must not be split.", rich_help_panel=TASK)
    ] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", help="Column to split by time.", rich_help_panel=TASK)
    ] = None,
    description: Annotated[str | None, typer.Option(help="A sentence about the task.", rich_help_panel=TASK)] = None,
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
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder, mle-runs/<task>-<time> if not said; a run that lies there is taken up.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only where the submission lies.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object a line: what happens, at last the result.", rich_help_panel=OUTPUT
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error, show the traceback too.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Run a task from data to submission.

    A terminal shows progress live; a pipe or a file gets one line for each thing that happened.

    Ctrl-C once finishes up: scripts end, the best submission stays, and the same command goes on later.

    Ctrl-C twice stops at once.
    """
    watch = Watch(out, quiet, as_json)
    try:
        from machine_learning_engineering.client import find_request, solve
        from machine_learning_engineering.shared_libraries.monitoring.settings import configure

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
        flags = settings_of(model, api_base, solutions, candidates, rounds, folds, minutes, timeout, seed, sandbox)
        config = configure(flags, FLAGS)
        result = watch.until_stopped(solve(request, config, out, listener=watch.take))
        watch.finish(result)
    finally:
        watch.view.close()


@app.command()
def predict(
    run: Annotated[str, typer.Argument(help="A run's folder, its name, or the beginning of its name.")],
    rows: Annotated[Path, typer.Argument(help="CSV with rows to predict: the columns of the run's test file.")],
    out: Annotated[
        Path | None, typer.Option(help="The CSV to write; in the run's folder, predictions/<ROWS>.csv, if not said.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Predict new rows with the script that a run handed in.

    The script trains again, in the sandbox, on all rows of the run's data that have a label.
    """
    import asyncio

    from machine_learning_engineering import client

    typer.echo(asyncio.run(client.predict(run, rows, out)))


for command in (config, doctor, report, runs, tasks):
    app.command()(command)


if __name__ == "__main__":
    main()
