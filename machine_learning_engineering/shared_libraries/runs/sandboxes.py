"""What runs the scripts of a run. A module of its own, since the sandbox is to start before pandas is imported."""

import os

from machine_learning_engineering.shared_libraries.config import RunConfig, data_home
from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.execution.cache import CachedSandbox
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox, make_sandbox
from machine_learning_engineering.shared_libraries.execution.scheduler import Capacity, ScheduledSandbox


def sandbox_of(config: RunConfig) -> Sandbox:
    """The sandbox of a run: answered from the cache, else queued for the processors, else run by the backend.

    Raises: ConfigError for settings that contradict each other, SandboxUnavailable for what this machine cannot give.
    """
    if config.containment == "fenced" and config.allow_network:
        raise ConfigError(
            "containment `fenced` keeps scripts from the network, and allow_network opens it: leave out either "
            "MLE_CONTAINMENT or MLE_ALLOW_NETWORK."
        )
    cpus = config.parallel_scripts * config.threads
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if config.memory_gb else None
    capacity = Capacity(cpus=cpus, memory_bytes=memory, spare_cpus=config.threads, gpus=config.gpus)
    queued = ScheduledSandbox(make_sandbox(config.sandbox, config.containment), capacity)
    if config.cache_gb == 0:
        return queued
    return CachedSandbox(queued, data_home() / "cache", int(config.cache_gb * 2**30))
