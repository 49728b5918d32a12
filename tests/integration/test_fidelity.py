"""A script cannot tell a sandbox from `python script.py`: the corpus in tests/fixtures/fidelity, run both ways.

A script of the corpus may open with comments that the test reads:

    # exit: 1             how plain Python must end it, a negative number being a signal; 0 if not given
    # stdin: one\\ntwo\\n   what it can read, Python escapes included; nothing if not given
    # argv: a b           its arguments
    # view: yes           it gets `./input`, the view of `self_check.make_view`
    # compare: bytes      stdout is compared byte for byte too, beyond what an execution shows
    # compare: differs    stdout must be another one in each run
    # slow: yes           it takes seconds
    # warm: because       how the warm sandbox is known to differ, which docs/sandbox.md tells too
"""

import asyncio
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytest_asyncio

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.errors import SandboxUnavailable
from machine_learning_engineering.shared_libraries.execution.environment import script_environment
from machine_learning_engineering.shared_libraries.execution.output import Normaliser, cut
from machine_learning_engineering.shared_libraries.execution.process import in_thread, new_token
from machine_learning_engineering.shared_libraries.execution.sandbox import BACKENDS, Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scratch import collect, fill, make_scratch, remove
from machine_learning_engineering.shared_libraries.execution.self_check import make_job, make_view
from machine_learning_engineering.shared_libraries.execution.warm_sandbox import profile_of
from machine_learning_engineering.shared_libraries.records import SEARCH, Job, Limits, StagedView

CORPUS = Path(__file__).parents[1] / "fixtures" / "fidelity"
HEADER = re.compile(r"# (exit|stdin|argv|view|compare|slow|warm): (.*)\n")
WALL_SECONDS = 300  # no script comes near it, also where a machine is slow
THREADS = Limits().threads


@dataclass(frozen=True)
class Case:
    """One script of the corpus and what its opening comments say."""

    name: str
    source: str
    header: dict[str, str]

    def job(self, tmp: Path, folder: str) -> Job:
        stdin = self.header.get("stdin", "").encode().decode("unicode_escape").encode("latin-1")
        view = make_view(tmp / f"{folder}-data") if "view" in self.header else None
        fields = {"stdin": stdin, "argv": tuple(self.header.get("argv", "").split()), "view": view}
        return make_job(tmp, self.source, folder=tmp / folder, limits={"wall_seconds": WALL_SECONDS}, **fields)


@dataclass(frozen=True)
class Seen:
    """What one run of a script showed."""

    returncode: int
    stdout: str
    stderr: str
    files: dict[str, bytes | None]  # None for a folder
    output: bytes = b""  # stdout as it came


def read_case(path: Path) -> Case:
    source = path.read_bytes().decode()  # with the line ends that it has
    header, position = {}, 0
    while match := HEADER.match(source, position):
        header[match[1]] = match[2]
        position = match.end()
    return Case(path.stem, source, header)


CASES = [read_case(path) for path in sorted(CORPUS.glob("*.py"))]
PARAMS = [pytest.param(case, id=case.name, marks=pytest.mark.slow if "slow" in case.header else ()) for case in CASES]
WITH_LIBRARIES = [one for one in PARAMS if profile_of(Job(one.values[0].source, "", Path())) in ("core", "boost")]


def seen(case: Case, returncode: int, stdout: str, stderr: str, folder: Path) -> Seen:
    """A run in the form in which runs of this script are compared."""
    output = (folder / "stdout.txt").read_bytes() if case.header.get("compare") == "bytes" else b""
    left = [path for path in folder.rglob("*") if path.name not in ("stdout.txt", "stderr.txt")]
    files = {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in left}
    return Seen(returncode, stdout, stderr, files, output)


def run_plain(case: Case, tmp: Path) -> Seen:
    """The script under `python script.py`, in a new folder with a script's environment."""
    job = case.job(tmp, "plain")
    scratch = make_scratch(job)
    try:
        fill(scratch, job)
        environment = script_environment(job, scratch.home, scratch.temp, new_token(), os.environ)
        with tempfile.TemporaryFile() as stdin:
            stdin.write(job.stdin)
            stdin.seek(0)
            done = subprocess.run(
                [sys.executable, job.name, *job.argv],
                cwd=scratch.work,
                env=environment,
                stdin=stdin,
                capture_output=True,
                start_new_session=True,
                timeout=WALL_SECONDS,
            )
        normalise = Normaliser(scratch.work, (scratch.temp, scratch.home, scratch.root.parent), Path(sys.executable))
        collect(scratch, job.folder, done.stdout, done.stderr)
        return seen(case, done.returncode, cut(normalise(done.stdout)), cut(normalise(done.stderr)), job.folder)
    finally:
        remove(scratch.root)


async def run_sandboxed(case: Case, sandbox: Sandbox, tmp: Path, folder: str) -> Seen:
    done = await sandbox.run(case.job(tmp, folder))
    return seen(case, done.returncode, done.stdout, done.stderr, done.folder)


async def run_twice(case: Case, sandbox: Sandbox, tmp: Path) -> list[Seen]:
    return [await run_sandboxed(case, sandbox, tmp, folder) for folder in ("first", "second")]


@pytest.fixture(scope="module")
def plain_runs() -> dict[str, Seen]:
    """What plain Python did, by the script's name: it is asked once, whatever the number of backends."""
    return {}


@pytest.fixture(scope="module", autouse=True)
def _no_core_files() -> Iterator[None]:
    """A sandbox allows none, so plain Python shall leave none either."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest_asyncio.fixture(params=sorted(BACKENDS), scope="module", loop_scope="module")
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """One sandbox for the whole corpus: what a script leaves in it must not reach the next."""
    try:
        made = make_sandbox(request.param)
    except SandboxUnavailable as exc:
        pytest.skip(str(exc))
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started_ahead() -> AsyncIterator[Sandbox]:
    """The sandbox of a run, whose largest server is there before the first script and serves nearly all of them."""
    made = make_sandbox("warm")
    await made.warm_up(THREADS)
    yield made
    await made.close()


def without_stdout(one: Seen) -> dict[str, Any]:
    return {name: value for name, value in vars(one).items() if name != "stdout"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", PARAMS)
async def test_a_script_behaves_as_under_plain_python(
    case: Case, sandbox: Sandbox, plain_runs: dict[str, Seen], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if known := case.header.get(sandbox.name):
        request.applymarker(pytest.mark.xfail(reason=known, strict=True))
    twice = asyncio.create_task(run_twice(case, sandbox, tmp_path))
    try:
        if case.name not in plain_runs:
            plain_runs[case.name] = await in_thread(run_plain, case, tmp_path)
    finally:
        first, second = await twice
    plain = plain_runs[case.name]
    if case.header.get("compare") == "differs":
        assert len({plain.stdout, first.stdout, second.stdout}) == 3
        assert without_stdout(first) == without_stdout(second) == without_stdout(plain)
    else:
        assert first == plain
        assert second == plain


@pytest.mark.skipif("warm" not in BACKENDS, reason="needs the warm backend")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", WITH_LIBRARIES)
async def test_a_script_with_libraries_behaves_so_among_more_of_them(
    case: Case, started_ahead: Sandbox, plain_runs: dict[str, Seen], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if known := case.header.get("warm"):
        request.applymarker(pytest.mark.xfail(reason=known, strict=True))
    if case.name not in plain_runs:
        plain_runs[case.name] = await in_thread(run_plain, case, tmp_path)
    done, plain = await run_sandboxed(case, started_ahead, tmp_path, "ahead"), plain_runs[case.name]
    if case.header.get("compare") == "differs":
        assert without_stdout(done) == without_stdout(plain)
    else:
        assert done == plain


@pytest.mark.parametrize("case", PARAMS)
def test_plain_python_ends_a_script_as_its_header_says(case: Case, plain_runs: dict[str, Seen], tmp_path: Path) -> None:
    """So a script that fails by mistake, in the same way everywhere, is no proof."""
    if case.name not in plain_runs:
        plain_runs[case.name] = run_plain(case, tmp_path)
    assert plain_runs[case.name].returncode == int(case.header.get("exit", "0")), plain_runs[case.name].stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> client.Result:
    """A run of the offline model on a small table, from whose journal the scripts are taken."""
    tmp = tmp_path_factory.mktemp("recorded")
    draws = np.random.default_rng(0)
    table = pd.DataFrame(draws.normal(size=(200, 4)), columns=list("abcd"))
    table["price"] = table.a * table.b + table.c + draws.normal(size=200) / 5
    table.to_csv(tmp / "prices.csv", index=False)
    request = client.find_request(tmp / "prices.csv", target="price", metric="rmse")
    config = RunConfig(outer_loop_round=1, ensemble_loop_round=0, cache_gb=0)
    return asyncio.run(client.solve(request, config, tmp / "run"))


@dataclass(frozen=True)
class OnView(Case):
    """A script of a run, with the search view that it had there."""

    view: StagedView

    def job(self, tmp: Path, folder: str) -> Job:
        limits = {"wall_seconds": 300, "threads": 1}
        return make_job(tmp, self.source, folder=tmp / folder, view=self.view, limits=limits, seed=42)


@pytest.mark.slow
def test_the_scripts_of_a_recorded_run_do_the_same(recorded: client.Result, tmp_path: Path) -> None:
    """Each under plain Python and twice in one fork server: the same output, code and files."""
    link = recorded.folder / recorded.task.name / "1" / "input"
    view = StagedView(view=SEARCH, path=link.resolve(), digest="")
    found = dict.fromkeys(one.script for one in recorded.attempts if one.slot.stage.kind != "submission")
    cases = [OnView(f"script {n}", script, {}, view) for n, script in enumerate(found)]
    assert len(cases) > 8

    async def in_one_server() -> list[list[Seen]]:
        sandbox = make_sandbox("warm")
        try:
            return [await run_twice(case, sandbox, tmp_path / case.name) for case in cases]
        finally:
            await sandbox.close()

    for case, runs in zip(cases, asyncio.run(in_one_server()), strict=True):
        assert runs == [run_plain(case, tmp_path / case.name)] * 2, case.name
