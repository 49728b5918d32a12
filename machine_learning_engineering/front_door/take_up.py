"""`python -m machine_learning_engineering.front_door.take_up FOLDER`: a run goes on as it was begun.

Task and settings are those of the run's own journal, not of today's command line or environment.
"""

import sys
from pathlib import Path

from machine_learning_engineering._cli_watch import Stopped, Watch
from machine_learning_engineering.client import solve
from machine_learning_engineering.shared_libraries.config import make_config
from machine_learning_engineering.shared_libraries.entries import RunStarted
from machine_learning_engineering.shared_libraries.errors import JournalError, MleError
from machine_learning_engineering.shared_libraries.records import TaskRequest
from machine_learning_engineering.shared_libraries.runs.journal import read_journal


def main(folder: Path) -> None:
    """Drives the run in `folder` to its end. Raises: MleError if it cannot go on; Stopped if it was asked to stop."""
    begun = next((entry for entry in read_journal(folder) if isinstance(entry, RunStarted)), None)
    if begun is None:
        raise JournalError(f"the run in {folder} never began, so there is nothing to take up.")
    watch = Watch(folder, quiet=True, as_json=False)
    request = TaskRequest.model_validate(begun.request)
    watch.finish(watch.until_stopped(solve(request, make_config(**begun.config), folder, listener=watch.take)))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (MleError, Stopped) as exc:
        sys.stderr.write(f"mle: {exc}\n")
        sys.exit(2)
