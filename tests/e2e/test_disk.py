"""What a server keeps on the disk: whether it survives a power cut, whom it is shown to, and disks that fail."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scene import Server

from hubbub.brokers.store import FILE, Store

Serve = Callable[..., Server]
SHIM = Path(__file__).parent.parent / "faulty_disk.c"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that is preloaded into a server: see faulty_disk.c."""
    library = tmp_path_factory.mktemp("shim") / "faulty_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True)
    return library


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def hubbub(*arguments: object, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubbub", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, umask=umask, check=False, timeout=60)


# --- power cuts -------------------------------------------------------------------------------------------------


def test_everything_that_a_first_start_makes_is_synced_before_anybody_comes(
    serve: Serve, shim: Path, tmp_path: Path
) -> None:
    noted = tmp_path / "noted"
    data = tmp_path / "new" / "data"
    server = serve("--tls", "self-signed", data=data, variables={"LD_PRELOAD": str(shim), "DISK_LOG": str(noted)})
    server.join("Alice")
    events = noted.read_text().splitlines()
    assert f"sync {data.parent.parent}" in events and f"sync {data.parent}" in events  # the folders' own names
    for name in ("secret", "tls-key.pem", "tls-cert.pem"):
        (rename,) = (at for at, event in enumerate(events) if re.fullmatch(rf"rename .* {data}/{name}", event))
        beside = events[rename].split()[1]
        assert events[rename - 1] == f"sync {beside}" and events[rename + 1] == f"sync {data}"
        assert Path(beside).parent == data
    assert f"sync {data}/{FILE}-wal" in events


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_secret_that_was_cut_off_is_not_used(tmp_path: Path, content: bytes) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret").write_bytes(content)
    result = hubbub("serve", "--data", data, "--listen", "127.0.0.1:0")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert f"The file {data}/secret is damaged: it has {len(content)} bytes instead of 32." in result.stderr
    assert (data / "secret").read_bytes() == content


def test_secret_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "secret").mkdir(parents=True)
    result = hubbub("serve", "--data", data, "--listen", "127.0.0.1:0")
    assert result.returncode == 2 and f"The file {data}/secret cannot be read or written" in result.stderr


# --- other users of the machine -----------------------------------------------------------------------------------


@pytest.mark.parametrize("existing", [False, True])
def test_log_is_its_owners_alone_even_in_a_folder_that_is_open(serve: Serve, tmp_path: Path, existing: bool) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    if existing:  # as an older version left it
        Store(data, write=True).close()
        (data / FILE).chmod(0o644)
    server = serve("--tls", "self-signed", before=lambda: os.umask(0o022) and None)
    server.join("Alice")
    assert {f"{FILE}-wal", f"{FILE}-shm", "secret", "tls-key.pem"} < set(modes(data))
    assert set(modes(data).values()) == {0o600}
    warnings = [line for line in server.lines if "Other users" in line]
    assert len(warnings) == 1 and str(data) in warnings[0] and "chmod 700" in warnings[0]


def test_nothing_is_said_of_a_folder_that_is_closed(serve: Serve) -> None:
    server = serve()
    server.join("Alice")
    assert "Other users" not in server.log


def test_imports_and_exports_are_their_owners_alone(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    server.join("Alice").say("hello")
    server.disconnect()
    assert server.stop() == 0
    data, copy = tmp_path / "data", tmp_path / "copy"
    copy.mkdir(mode=0o755)
    assert hubbub("export", "--data", data, tmp_path / "all.jsonl").returncode == 0
    assert hubbub("import", "--data", copy, tmp_path / "all.jsonl").returncode == 0
    assert modes(tmp_path)["all.jsonl"] == 0o600 and set(modes(copy).values()) == {0o600}
