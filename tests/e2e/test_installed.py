"""Hubbub where it is installed: without a network, and as a service of systemd."""

from __future__ import annotations

import configparser
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scene import PATIENCE, Server

TOP = Path(__file__).parent.parent.parent
UNIT = TOP / "packaging" / "hubbub.service"
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1

Serve = Callable[..., Server]


def test_bundle_is_installed_without_a_network(tmp_path: Path) -> None:
    """A registry that answers nothing stands for none; no source package is built."""
    bundled = subprocess.run(
        [TOP / "scripts" / "bundle.sh"],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert bundled.returncode == 0, bundled.stderr
    with tarfile.open(TOP / bundled.stdout.strip()) as bundle:
        bundle.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    assert not [file.name for file in (top / "wheels").iterdir() if file.suffix != ".whl"]
    target = tmp_path / "hubbub"
    offline = {"PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "1"}
    offline["PIP_NO_COMPILE"] = "1"  # most of it is never run here
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))} | offline
    installed = subprocess.run(
        ["sh", top / "install.sh", target], env=env, capture_output=True, text=True, timeout=600, cwd=tmp_path
    )
    assert re.fullmatch(r"hubbub \d+\.\d+\.\d+\n", installed.stdout), installed.stderr
    checked = [target / "bin" / "hubbub", "check", "--ephemeral", "--config", top / "hubbub.toml"]
    assert "listen" in subprocess.run(checked, env=env, capture_output=True, text=True, timeout=60, check=True).stdout
    subprocess.run([target / "bin" / "python", "-c", "import asyncssh"], env=env, timeout=60, check=True)


# --- the unit -------------------------------------------------------------------------------------------------


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def test_unit_starts_at_boot_and_waits_until_the_server_listens() -> None:
    assert unit()["Install"]["WantedBy"] == "multi-user.target"
    assert unit()["Service"]["Type"] == "notify"


def test_unit_is_confined() -> None:
    if shutil.which("systemd-analyze") is None:
        assert os.environ.get("CI") != "true", "systemd-analyze is not installed"
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    exposure = re.search(r"Overall exposure level for hubbub\.service: ([\d.]+)", shown.stdout)
    assert exposure and float(exposure[1]) <= 1.5, shown.stdout + shown.stderr


def test_service_manager_is_told_when_the_server_listens_and_when_it_stops(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = serve()
        assert manager.recv(100) == b"READY=1"
        server.join("Alice")
        server.stop()
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens-here", "strange"])
def test_service_manager_that_is_not_there_is_no_fault(
    serve: Serve, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    serve().join("Alice")


def refuse_new_code() -> None:
    """Do what MemoryDenyWriteExecute does: memory that was written to is never run."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
        os._exit(99)


def test_server_runs_where_memory_is_never_both_written_and_run(serve: Serve) -> None:
    server = serve("--tls", "self-signed", before=refuse_new_code)
    alice, bob = server.join_all("Alice", "Bob")
    alice.say("hello")
    bob.sees(b"Alice: hello\n")
    hashed = subprocess.run(
        [sys.executable, "-m", "hubbub", "password"],
        input=b"x", preexec_fn=refuse_new_code, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert hashed.stdout.startswith(b"$argon2id$")
