"""What this machine has for a run and what it lacks, with how to get it. Looks only; changes nothing."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from machine_learning_engineering.shared_libraries.config import RunConfig, data_home
from machine_learning_engineering.shared_libraries.errors import ConfigError, MleError
from machine_learning_engineering.shared_libraries.monitoring.words import size

Verdict = Literal["ok", "missing", "note"]
_PACKAGE = "machine_learning_engineering.shared_libraries.execution"
_DISTRIBUTION = "machine-learning-engineering"
_SECONDS = 60.0  # that one look may take
_LEAST_DISK, _LEAST_MEMORY = 2 * 10**9, 2 * 10**9
_LEAST_SCRIPT_MEMORY = 200 * 10**6  # that one script needs to import the libraries of `boost`

_GET_LAYER = {
    "user-namespace": "allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1` (Debian), "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu 24), or in Docker "
    "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined`",
    "network": "needs user namespaces, and a kernel with network namespaces",
    "mounts": "needs user namespaces and Linux 5.12; in Docker, `--security-opt apparmor=unconfined`",
    "landlock": "needs Linux 5.13 with `landlock` among the modules of /sys/kernel/security/lsm "
    "(boot with `lsm=landlock,...`)",
    "seccomp": "needs a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
    "memory-cgroup": "only root on control groups v1 has it; elsewhere the sandbox watches memory itself",
    "pids-cgroup": "only root on control groups v1 has it; elsewhere the sandbox watches processes itself",
}
_PRELOADS = """
import sys
from importlib.util import find_spec
from {package}.fork_server import PROFILES, preload
done = preload({profile!r})
broken = [name for name in PROFILES[{profile!r}] if name not in done and find_spec(name.partition(".")[0])]
sys.exit("installed, but it does not load: " + ", ".join(broken)) if broken else print(len(done), "modules")
"""
_OPTIONAL_LAYERS = ("memory-cgroup", "pids-cgroup")
_FENCE = ("user-namespace", "network", "landlock")  # without one of them scripts are not fenced


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `advice` says how to get it where it is missing."""

    area: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, area by area, each as soon as it is known."""
    for look in (_python, _packages, _libraries, _layers, _gpu, _keys, _settings, _machine):
        yield from look()


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Finding("Python", "interpreter", "ok" if good else "missing", f"{version}, {sys.executable}", "use 3.11+")
    yield Finding("Python", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")


# --- packages ---------------------------------------------------------------------------------------------------------


def _packages() -> Iterator[Finding]:
    try:
        wanted = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Finding("Packages", _DISTRIBUTION, "missing", "not installed", "pip install -e .")
        return
    for requirement in wanted:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]
        yield _package(name)
    yield from (_optional(name) for name in ("torch", "xgboost", "catboost"))


def _package(name: str) -> Finding:
    try:
        return Finding("Packages", name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding("Packages", name, "missing", "not installed", f"pip install {name}")


def _optional(name: str) -> Finding:
    found = _package(name)
    return found if found.verdict == "ok" else Finding("Packages", name, "note", "not installed; scripts do without it")


def _libraries() -> Iterator[Finding]:
    """Whether what is installed also loads, each tried in a process of its own."""
    advice = "apt-get install libgomp1 (Linux) or brew install libomp (macOS)"
    yield _loads("LightGBM loads", "import lightgbm; print(lightgbm.__version__)", advice)
    listing = f"from {_PACKAGE}.fork_server import PROFILES; print(*PROFILES)"
    for profile in _output(listing)[1].split() if sys.platform == "linux" else ():
        if profile == "torch" and importlib.util.find_spec("torch") is None:
            continue
        script = _PRELOADS.format(package=_PACKAGE, profile=profile)
        yield _loads(f"profile {profile}", script, "see the message; `pip install -e .` installs what it needs")


def _loads(name: str, script: str, advice: str) -> Finding:
    good, told = _output(script)
    return Finding("Libraries", name, "ok" if good else "missing", told.splitlines()[-1] if told else "", advice)


def _output(script: str) -> tuple[bool, str]:
    """Whether a script of ours ended well, and what it printed, or its last words."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return False, str(exc)
    return done.returncode == 0, (done.stdout if done.returncode == 0 else done.stderr).strip()


# --- the sandbox ------------------------------------------------------------------------------------------------------


def _layers() -> Iterator[Finding]:
    """The kernel's layers around a script. Probed in a process of its own: the probe forks."""
    if sys.platform != "linux":
        yield Finding("Sandbox", "warm", "note", "needs Linux; scripts run in plain processes here")
        return
    script = (
        f"import json; from {_PACKAGE} import cgroups, fence, kernel; lacking = fence.probe(); "
        "lacking |= {n + '-cgroup': '' if cgroups.usable(n) else 'not ours to make' for n in ('memory', 'pids')}; "
        "print(json.dumps([kernel.landlock_version(), lacking]))"
    )
    good, told = _output(script)
    if not good:
        yield Finding("Sandbox", "probe", "missing", told.splitlines()[-1] if told else "no answer", "report this")
        return
    version, lacking = json.loads(told.splitlines()[-1])
    for layer, why in lacking.items():
        yield _layer(layer, why, f"ABI {version}" if layer == "landlock" else "works")
    open_layers = [layer for layer in _FENCE if lacking.get(layer)]
    if open_layers:
        advice = f"see {' and '.join(open_layers)}; until then MLE_CONTAINMENT=fenced refuses to run"
        yield Finding("Sandbox", "containment", "note", "process: files or network cannot be closed", advice)
    else:
        yield Finding("Sandbox", "containment", "ok", "fenced; MLE_CONTAINMENT=fenced refuses to run with less")


def _layer(layer: str, why: str, works: str) -> Finding:
    if not why:
        return Finding("Sandbox", layer, "ok", works)
    verdict: Verdict = "note" if layer in _OPTIONAL_LAYERS else "missing"
    return Finding("Sandbox", layer, verdict, why, _GET_LAYER.get(layer, ""))


# --- accelerator, keys, machine ---------------------------------------------------------------------------------------


def _gpu() -> Iterator[Finding]:
    command = shutil.which("nvidia-smi")
    if command is None:
        yield Finding("GPU", "nvidia-smi", "note", "not found; everything runs on the processor")
        return
    query = [command, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        yield Finding("GPU", "nvidia-smi", "missing", str(exc), "see the driver's own log")
        return
    if done.returncode != 0:
        yield Finding("GPU", "nvidia-smi", "missing", (done.stdout + done.stderr).strip()[-200:], "check the driver")
    for number, gpu in enumerate(done.stdout.splitlines() if done.returncode == 0 else ()):
        yield Finding("GPU", f"device {number}", "ok", gpu)


def _gpu_count() -> int:
    return sum(one.verdict == "ok" for one in _gpu())


def _keys() -> Iterator[Finding]:
    """Which providers have a key in the environment; never what it is."""
    from machine_learning_engineering.shared_libraries.models import gemini, lite

    for provider, names in {"gemini": gemini.KEYS, **lite.KEYS}.items():
        present = [name for name in names if os.environ.get(name)]
        if present:
            yield Finding("Keys", provider, "ok", f"{' and '.join(present)} is set")
        else:
            yield Finding("Keys", provider, "note", f"no {' or '.join(names)}")
    yield Finding("Keys", "offline", "ok", "needs none")


def _settings() -> Iterator[Finding]:
    """Whether the variables of the environment make a configuration."""
    from machine_learning_engineering.shared_libraries.monitoring.settings import misspelt

    try:
        yield from _effects(RunConfig.from_env())
    except ConfigError as exc:
        yield Finding("Settings", "variables", "missing", str(exc), "correct or unset it")
    for sentence in misspelt():
        yield Finding("Settings", "variables", "missing", sentence, "correct or unset it")


def _effects(config: RunConfig) -> Iterator[Finding]:
    """What the settings in force make of this machine, where that is less than it has or more than it has."""
    import psutil

    from machine_learning_engineering.shared_libraries.runs.sandboxes import sandbox_of

    try:
        sandbox_of(config)
    except MleError as exc:
        yield Finding("Settings", "sandbox", "missing", str(exc), "until then no run begins")
    if config.sandbox == "subprocess" and sys.platform == "linux":
        found = "subprocess: files and network stay open to scripts, and scores say so"
        yield Finding("Settings", "sandbox", "note", found, "unset MLE_SANDBOX for the fence above")
    if config.gpus and config.gpus > (there := _gpu_count()):  # nvidia-smi is asked again only where it matters
        found = f"MLE_GPUS={config.gpus}, and nvidia-smi finds {there}"
        yield Finding("Settings", "gpus", "missing", found, "lower MLE_GPUS, or see the driver")
    if config.memory_gb is not None and config.memory_gb * 2**30 < _LEAST_SCRIPT_MEMORY:
        found = (
            f"MLE_MEMORY_GB={config.memory_gb:g}, and to import the libraries takes about {size(_LEAST_SCRIPT_MEMORY)}"
        )
        yield Finding("Settings", "memory", "missing", found, "raise it")
    elif config.memory_gb is not None and config.memory_gb * 2**30 > (total := psutil.virtual_memory().total):
        found = f"MLE_MEMORY_GB={config.memory_gb:g}, and this machine has {size(total)}"
        yield Finding("Settings", "memory", "note", found, "lower it, so that a script ends before the machine is full")


def _machine() -> Iterator[Finding]:
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("Machine", "cores", "ok", f"{cores} to use")
    free = psutil.virtual_memory().available
    verdict: Verdict = "ok" if free >= _LEAST_MEMORY else "missing"
    yield Finding("Machine", "memory", verdict, f"{size(free)} free", "close other programs; 2 GB is little")
    places = {"runs, here": Path.cwd(), "temporary": Path(tempfile.gettempdir()), "bundled tasks": data_home()}
    for name, place in places.items():
        yield _disk(name, place)


def _disk(name: str, place: Path) -> Finding:
    existing = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        advice = "set MLE_HOME to a folder of yours" if place == data_home() else "use another folder"
        return Finding("Machine", f"disk ({name})", "missing", f"{existing} cannot be written", advice)
    free = shutil.disk_usage(existing).free
    verdict: Verdict = "ok" if free >= _LEAST_DISK else "missing"
    return Finding("Machine", f"disk ({name})", verdict, f"{size(free)} free at {existing}", "free some space")
