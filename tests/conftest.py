"""Rules for every test: no network beyond this machine, no keys, no settings of the person who runs it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, and how long it takes to draw one, depends on what else the machine does.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")


class _Guard:
    on = True


class NetworkRefused(RuntimeError):
    """A test tried to reach another machine."""


def _refuse_network(event: str, args: tuple[Any, ...]) -> None:
    if not _Guard.on or event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        return
    target = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
    host = target[0] if isinstance(target, tuple) else target
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    is_unix_socket = event in ("socket.connect", "socket.sendto") and not isinstance(target, tuple)
    if is_unix_socket or not host or str(host).startswith(_LOOPBACK):
        return
    raise NetworkRefused(f"{event} to {host!r}: tests stay on this machine")


# An audit hook sees every connection that this interpreter opens, from C as from Python, and replaces no function.
sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each test a data folder of its own and takes keys and settings out of the environment."""
    for name in list(os.environ):
        if name.startswith("MLE_") or name.endswith("_API_KEY") or name in ("ROOT_AGENT_MODEL", "ANTHROPIC_AUTH_TOKEN"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLE_HOME", str(tmp_path_factory.mktemp("mle-home")))


@pytest.fixture(autouse=True)
def _live_may_connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("live"):
        monkeypatch.setattr(_Guard, "on", False)


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's temporary folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
