"""The options that several commands of `mle` share, and the settings that they stand for."""

from typing import Annotated, Any

import typer

TASK, SEARCH, OUTPUT = "The task", "The search", "Where it goes and what is shown"
EXAMPLES = """mle run glucose-progression

mle run my-folder --minutes 20 --rounds 3

mle run sales.csv --target price --metric rmse --test new.csv --out sales-run

`mle config` shows every setting with its default."""

Model = Annotated[
    str | None,
    typer.Option(
        help="offline (no key needed), a Gemini name, or <provider>/<model> of LiteLLM.", rich_help_panel=SEARCH
    ),
]
ApiBase = Annotated[
    str | None, typer.Option(help="Base URL of an OpenAI-compatible server of yours.", rich_help_panel=SEARCH)
]
Solutions = Annotated[int | None, typer.Option(help="Solutions developed side by side.", rich_help_panel=SEARCH)]
Candidates = Annotated[int | None, typer.Option(help="Models tried for each solution.", rich_help_panel=SEARCH)]
Rounds = Annotated[int | None, typer.Option(help="Refinement steps of each solution.", rich_help_panel=SEARCH)]
Folds = Annotated[
    int | None,
    typer.Option(help="Folds that score a script on up to 10,000 rows; 1 is quickest.", rich_help_panel=SEARCH),
]
Minutes = Annotated[
    float | None,
    typer.Option(help="Wall-clock minutes for the whole run; without it, no limit.", rich_help_panel=SEARCH),
]
Timeout = Annotated[int | None, typer.Option(help="Seconds that one script may take.", rich_help_panel=SEARCH)]
Seed = Annotated[int | None, typer.Option(help="Seed of splits and scripts.", rich_help_panel=SEARCH)]
SandboxName = Annotated[
    str | None, typer.Option(help="warm (Linux: preloaded, fenced) or subprocess.", rich_help_panel=SEARCH)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Debug = Annotated[bool, typer.Option("--debug", help="On an error, show the traceback too.")]

# The flag of each setting that `mle run` has one for.
FLAGS = {
    "agent_model": "--model",
    "api_base": "--api-base",
    "num_solutions": "--solutions",
    "num_model_candidates": "--candidates",
    "outer_loop_round": "--rounds",
    "folds": "--folds",
    "minutes": "--minutes",
    "exec_timeout": "--timeout",
    "seed": "--seed",
    "sandbox": "--sandbox",
}


def settings_of(*values: Any) -> dict[str, Any]:
    """The settings that these options stand for, given in the order of FLAGS; None: the option was not given."""
    return dict(zip(FLAGS, values, strict=True))
