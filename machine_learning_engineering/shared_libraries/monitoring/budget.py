"""What `--minutes` has room for: said before a run that cannot keep to it, and after one that did not."""

from collections.abc import Mapping
from typing import Any

from machine_learning_engineering.shared_libraries.monitoring.words import duration
from machine_learning_engineering.shared_libraries.report.lineage import left_out
from machine_learning_engineering.shared_libraries.report.story import Story
from machine_learning_engineering.shared_libraries.runs.run import LEAST_SECONDS

_MOST = 6  # pieces of work that are named
_EARLY = 0.5  # a run that took less than this share of its limit had more time than it was asked to use
_TOLERANCE = 1.05  # a run that took so many times its limit has kept it


def warning(config: Mapping[str, Any]) -> str:
    """What to expect of a time limit that the first scripts alone may break; empty where there is room for them."""
    minutes = config.get("minutes")
    if minutes is None:
        return ""
    first = config["num_solutions"] * config["num_model_candidates"]
    waves = -(-first // config["parallel_scripts"]) + 1  # and the final run
    least = waves * LEAST_SECONDS
    if minutes * 60 >= least:
        return ""
    return (
        f"A limit of {duration(minutes * 60)} cannot be kept: the first {first} scripts and the final run may take "
        f"{LEAST_SECONDS:.0f} s each, about {duration(least)} in all. Ask for less with --solutions 1 --candidates 1."
    )


def kept(story: Story) -> tuple[str, ...]:
    """What a time limit left out, and how far a run went over it; else, if much of it was left, how to use it."""
    config = story.started.config if story.started else {}
    minutes = config.get("minutes")
    if minutes is None:
        return ()
    told = []
    if work := [title for decision in story.decisions if (title := left_out(decision))]:
        rest = f" and {len(work) - _MOST} more" if len(work) > _MOST else ""
        told.append(f"The limit of {duration(minutes * 60)} left no time for {', '.join(work[:_MOST])}{rest}.")
    if story.seconds > minutes * 60 * _TOLERANCE:
        told.append(
            f"The run took {duration(story.seconds)} of {duration(minutes * 60)}: "
            f"its first scripts and its final run are given at least {LEAST_SECONDS:.0f} s each."
        )
    if not told and story.status == "finished" and story.seconds < minutes * 60 * _EARLY:
        more = f"--rounds {config['outer_loop_round'] + 1}"
        done = f"Done with all that was asked for after {duration(story.seconds)} of {duration(minutes * 60)}"
        told.append(f"{done}; {more} asks for more.")
    return tuple(told)
