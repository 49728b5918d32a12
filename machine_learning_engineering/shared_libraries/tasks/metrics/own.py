"""A metric of the user's own: a Python function, named `module:function`, that the harness calls and no script sees.

The function takes the true and the predicted values and returns a number, as those of `sklearn.metrics` do. Attributes
of it tell what its signature cannot: `greater_is_better` and `needs_proba`.
"""

import hashlib
import inspect
import math
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from machine_learning_engineering.shared_libraries.errors import ConfigError, SubmissionError
from machine_learning_engineering.shared_libraries.records import Metric, Predicts

if TYPE_CHECKING:
    from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import Array, Kernel

Direction = Literal["maximize", "minimize"]
Function = Callable[[Any, Any], Any]
MAX_DESCRIPTION = 2_000  # characters of a docstring that prompts show
_SPEC = re.compile(r"(?P<module>.*[^:]):(?P<function>\w+)")
_UP, _DOWN = ("_score",), ("_error", "_loss", "_deviance")  # as the names in sklearn.metrics end


class OwnMetric(Metric):
    """A metric that is a function: where its source lies and what it is, so that equal records mean equal figures.

    Cards, prompts and run.json have the fields of `Metric` alone.
    """

    file: Path | None = Field(exclude=True)
    module: str = Field(exclude=True)
    function: str = Field(exclude=True)
    digest: str = Field(exclude=True)

    def kernel(self) -> "Kernel":
        return _OwnKernel(self, _function(self.file, self.module, self.digest, self.function))


def is_own(name: str) -> bool:
    """Whether a metric's name is of the form `module:function`."""
    return _SPEC.fullmatch(name.strip()) is not None


def own_metric(spec: str, folders: Sequence[Path], direction: Direction | None, is_classes: bool) -> OwnMetric:
    """The metric of a function; its module lies in one of the folders, the first that has it, or can be imported.

    `is_classes` tells whether the function judges labels where it does not ask for probabilities.

    Raises: ConfigError for a module or function that is not there, cannot be used, or does not tell its direction.
    """
    found = _SPEC.fullmatch(spec.strip())
    if found is None:
        raise ConfigError(f"{spec!r} is no metric of your own; write it as module:function.")
    name = found["function"]
    file = _file(found["module"], folders)
    module = file.stem if file else found["module"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file else _digest(_imported(module, spec, folders))
    function = _function(file, module, digest, name)
    return OwnMetric(
        name=f"{module}:{name}",
        title=name.replace("_", " "),
        maximize=_maximize(f"{module}:{name}", function, direction),
        predicts=_predicts(function, is_classes),
        about=(inspect.getdoc(function) or "")[:MAX_DESCRIPTION],
        file=file,
        module=module,
        function=name,
        digest=digest,
    )


def identity(metric: Metric) -> str:
    """What a task's digest covers of its metric: the name, and the source where it is a function."""
    return f"{metric.name} {metric.digest}" if isinstance(metric, OwnMetric) else metric.name


def try_out(metric: OwnMetric, truth: "Array", classes: Sequence[str]) -> None:
    """Calls the function once on up to 200 true values and predictions that are wrong in part.

    Raises: ConfigError where that gives no finite number, so that a run need not find out.
    """
    import numpy as np

    rows = np.asarray(truth)[:200]
    given = np.roll(rows, 1)
    if metric.predicts == "probability":
        hits = given[:, None] == np.asarray(classes, dtype=object)[None, :]
        given = 0.5 * hits + 0.5 / len(classes)
        given = given[:, 1] if len(classes) == 2 else given
    try:
        value = metric.kernel().value(rows, given, classes)
    except SubmissionError as exc:
        raise ConfigError(f"{str(exc).rstrip('.')}, when it was tried out on true values.") from exc
    if not math.isfinite(value):
        raise ConfigError(
            f"the metric {metric.name} gave {value} when it was tried out on true values; make it finite."
        )


# --- Calling it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OwnKernel:
    """The function on what users expect: numbers where labels are numbers, probability columns in their order."""

    metric: OwnMetric
    function: Function

    def value(self, truth: "Array", predictions: "Array", classes: Sequence[str]) -> float:
        return self._call(*self._natural(truth, predictions, classes))

    def contributions(self, truth: "Array", predictions: "Array", classes: Sequence[str]) -> "Array":
        import numpy as np

        from machine_learning_engineering.shared_libraries.tasks.metrics.kernels import jackknife

        wanted, given = self._natural(truth, predictions, classes)
        spread = jackknife(lambda rows: self._call(wanted[rows], given[rows]), len(wanted))
        return np.asarray(spread - spread.mean() + self._call(wanted, given))

    def _natural(self, truth: "Array", predictions: "Array", classes: Sequence[str]) -> tuple["Array", "Array"]:
        import numpy as np

        if self.metric.predicts == "value":
            return truth, predictions
        read = _reader(classes)
        wanted = np.array([read(str(label)) for label in truth])
        if self.metric.predicts == "label":
            return wanted, np.array([read(str(label)) for label in predictions])
        if predictions.ndim == 2:
            predictions = predictions[:, np.argsort([read(label) for label in classes])]
        return wanted, predictions

    def _call(self, truth: "Array", predictions: "Array") -> float:
        """Raises: SubmissionError for whatever the function raises, and for a result that is no number."""
        name = self.metric.name
        try:
            result = self.function(truth.copy(), predictions.copy())
        except (Exception, SystemExit) as exc:  # the user's code may raise anything
            raise SubmissionError(f"the metric {name} failed with {_told(exc, self.metric.file)}") from exc
        try:
            return float(result)
        except (TypeError, ValueError):
            raise SubmissionError(f"the metric {name} returned {str(result)[:80]!r} instead of a number.") from None


def _reader(classes: Sequence[str]) -> Callable[[str], Any]:
    """How pandas would read these labels: as booleans, whole numbers, numbers or text."""
    if set(classes) <= {"True", "False"}:
        return lambda label: label == "True"
    for kind in (int, float):
        try:
            if len({kind(label) for label in classes}) == len(classes):
                return kind
        except ValueError:
            continue
    return str


# --- Finding it -------------------------------------------------------------------------------------------------------


def _file(module: str, folders: Sequence[Path]) -> Path | None:
    """The file that is named itself, or that lies as `module.py` in the first of the folders that has it."""
    if module.endswith(".py"):
        named = [Path(module).expanduser(), *(folder / module for folder in folders)]
        found = next((path.resolve() for path in named if path.is_file()), None)
        if found is None:
            raise ConfigError(f"there is no file {module}. Check the path before the colon in --metric.")
        return found
    path = Path(*module.split(".")).with_suffix(".py")
    return next(((folder / path).resolve() for folder in folders if (folder / path).is_file()), None)


def _imported(module: str, spec: str, folders: Sequence[Path]) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if not (exc.name and f"{module}.".startswith(f"{exc.name}.")):
            raise ConfigError(f"the module of the metric {spec} needs {exc.name!r}, which is not installed.") from exc
        near = " or ".join(str(folder) for folder in folders)
        raise ConfigError(
            f"there is no metric {spec!r}: no {module.replace('.', '/')}.py in {near}, and no installed module "
            f"{module!r}. Check the name before the colon."
        ) from exc
    except (Exception, SystemExit) as exc:  # the user's code may raise anything
        raise ConfigError(f"the module of the metric {spec} cannot be imported: {_told(exc, None)}") from exc


def _digest(module: ModuleType) -> str:
    source = getattr(module, "__file__", None)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""


@cache
def _module(file: Path, digest: str) -> ModuleType:
    """The module of a file, under a name of its own, so that two files of one name do not meet."""
    module = ModuleType(f"mle_metric_{digest[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    sys.path.insert(0, str(file.parent))
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # what the user asked for by name
    except (Exception, SystemExit) as exc:  # the user's code may raise anything
        raise ConfigError(f"{file} cannot be imported: {_told(exc, file)}") from exc
    finally:
        sys.path.remove(str(file.parent))
    return module


def _function(file: Path | None, name: str, digest: str, function: str) -> Function:
    """Raises: ConfigError for a function that is not there or does not take two arrays."""
    module = _module(file, digest) if file else import_module(name)
    found = getattr(module, function, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise ConfigError(f"{file or name} has no function {function!r}. It has: {', '.join(sorted(known)) or 'none'}.")
    try:
        inspect.signature(found).bind(0, 0)
    except TypeError as exc:
        raise ConfigError(f"{name}:{function} must take two arguments, y_true and y_pred: {exc}.") from exc
    except ValueError:  # a builtin that does not tell its signature
        pass
    return found  # type: ignore[no-any-return]


def _maximize(name: str, function: Function, direction: Direction | None) -> bool:
    said = getattr(function, "greater_is_better", None)
    if said is None:
        ending = name.endswith(_UP) or (False if name.endswith(_DOWN) else None)
        said = ending if direction is None else direction == "maximize"
    if said is None:
        short = name.rpartition(":")[2]
        raise ConfigError(
            f"is a higher {name} better or a lower one? Write `{short}.greater_is_better = True` (or False) below "
            f"the function."
        )
    if direction is not None and bool(said) != (direction == "maximize"):
        raise ConfigError(f"{name} is to be {'maximized' if said else 'minimized'}, not {direction}d.")
    return bool(said)


def _predicts(function: Function, is_classes: bool) -> Predicts:
    if getattr(function, "needs_proba", False):
        return "probability"
    return "label" if is_classes else "value"


def _told(exc: BaseException, file: Path | None) -> str:
    """An exception in half a sentence, with the last line of the user's file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if file and frame.filename == str(file)]
    line = exc.lineno if isinstance(exc, SyntaxError) else lines[-1] if lines else None
    where = f" in line {line} of {file.name}" if file and line else ""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}{where}."
