"""The environment of a script: an allow-list, so that no key, home or path of the user reaches it."""

import os
from collections.abc import Mapping
from pathlib import Path

from machine_learning_engineering.shared_libraries.records import Job

# What libraries and GPUs need to be found; everything else is set below or left out.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "SYSTEMROOT")
_THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
_GPUS = "CUDA_VISIBLE_DEVICES"
_FIXED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",  # what a killed script printed is not lost
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads of scripts that run side by side do not spin against each other
    _GPUS: "",  # a script that may use GPUs is told of its own
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}
TOKEN = "MLE_JOB"


def script_environment(job: Job, home: Path, temp: Path, token: str, outer: Mapping[str, str]) -> dict[str, str]:
    """All variables that a script gets; `outer` is the sandbox's own environment.

    `token` marks the processes of this job. A job with a seed has it as MLE_SEED.
    """
    places = {"HOME": str(home), "JOBLIB_TEMP_FOLDER": str(temp)}
    places |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temp))
    seed = {} if job.seed is None else {"MLE_SEED": str(job.seed)}
    environment = {**common_environment(job.limits.threads, outer), **places, **seed, TOKEN: token}
    if job.limits.gpus:  # where no scheduler gave it any, it has those of the sandbox
        del environment[_GPUS]
        if named := ",".join(job.devices) or outer.get(_GPUS):
            environment[_GPUS] = named
    return environment


def common_environment(threads: int, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables that are the same for all scripts of so many threads."""
    passed_on = {name: outer[name] for name in _PASSED_ON if name in outer}
    return {"PATH": os.defpath, **passed_on, **_FIXED, **dict.fromkeys(_THREAD_COUNTS, str(threads))}
