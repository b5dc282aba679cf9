"""What a server keeps on the disk: whether it survives a power cut, whom it is shown to, and disks that fail."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from programs import hubbub
from scene import PATIENCE, Server, stored

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


# --- a disk that does not confirm ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def syncs_at_start(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a first start syncs the write-ahead log."""
    folder = tmp_path_factory.mktemp("start")
    server = Server(folder / "data", variables={"LD_PRELOAD": str(shim), "DISK_LOG": str(folder / "noted")})
    count = (folder / "noted").read_text().splitlines().count(f"sync {folder}/data/{FILE}-wal")
    server.check_end()
    return count


@pytest.fixture
def on_a_bad_disk(serve: Serve, shim: Path, syncs_at_start: int) -> Serve:
    """Start a server for which some syncs of the write-ahead log fail: so many, from such a one after its start on."""

    def start(first: int, count: int, *flags: str) -> Server:
        start = str(syncs_at_start + first)
        fault = {"LD_PRELOAD": str(shim), "DISK_FAIL": f"{FILE}-wal", "DISK_FROM": start, "DISK_COUNT": str(count)}
        return serve(*flags, variables=fault)

    return start


@pytest.mark.parametrize("first", [2, 3, 6])  # the first is that of the join
def test_sync_that_fails_once_is_told_as_it_ended(
    serve: Serve, on_a_bad_disk: Serve, tmp_path: Path, first: int
) -> None:
    """Whatever sync it is: what was refused never turns up, and what was not refused is there."""
    server = on_a_bad_disk(first, 1)
    alice = server.join("Alice")
    answer, number = b"", 0
    while not answer and number < 10:
        alice.say(f"line {number}")
        answer = alice.barrier()
        number += not answer
    server.kill()  # before anything else is written over it
    assert answer == b"" or re.fullmatch(rb"Not sent: [^\n/]+\.\n", answer), answer
    told = [row["text"] for row in stored(tmp_path / "data", "--kind", "said")]
    assert told == [f"line {one}" for one in range(number)]
    again = serve()
    assert again.join("Bob")
    again.disconnect()
    assert again.stop() == 0
    assert [row["text"] for row in stored(tmp_path / "data", "--kind", "said")] == told


def test_disk_that_confirms_nothing_any_more_ends_the_server(
    serve: Serve, on_a_bad_disk: Serve, tmp_path: Path
) -> None:
    server = on_a_bad_disk(6, 0)
    alice = server.join("Alice")
    said: list[int] = []
    for number in range(20):
        alice.say(f"line {number}")
        try:
            answer = alice.barrier()
        except (AssertionError, OSError):
            break
        if answer:
            break
        said.append(number)
    assert server.wait() != 0
    assert "The server stops, because the disk does not confirm what is written to it." in server.log
    assert re.search(rb"Not confirmed|Not sent", alice.seen + answer)
    told = [row["text"] for row in stored(tmp_path / "data", "--kind", "said")]
    assert told[: len(said)] == [f"line {number}" for number in said]
    server.process.stdout.close()  # type: ignore[union-attr]


# --- a log that is not what it was --------------------------------------------------------------------------------


def test_log_that_lost_its_end_is_said_at_the_start_and_by_check(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = serve()
    alice = server.join("Alice")
    for number in range(50):
        alice.say(f"line {number}")
        assert alice.barrier() == b""
    server.kill()
    wal = data / f"{FILE}-wal"
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 0x10
    wal.write_bytes(content)
    result = hubbub("check", "--data", data)
    assert result.returncode == 1
    fault = re.search(r"The log has lost its end: (\d+) entries after number (\d+) are missing", result.stderr)
    assert fault
    server = serve()
    assert fault[0] in server.log
    bob = server.join("Bob")
    bob.say("hello")
    bob.barrier()
    lost, last = int(fault[1]), int(fault[2])
    numbers = [row["seq"] for row in stored(data)]
    assert [number for number in numbers if number <= last + lost] == list(range(1, last + 1))
    assert hubbub("check", "--data", data).returncode == 0


def test_damaged_file_is_told_in_healthz(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = serve()
    alice = server.join("Alice")
    alice.say(*(f"line {number} " + "x" * 2000 for number in range(60)))
    alice.barrier()
    server.disconnect()
    assert server.stop() == 0
    content = bytearray((data / FILE).read_bytes())
    page = content.index(b"line 30 ") // 4096 * 4096
    content[page : page + 4096] = b"\xa5" * 4096
    (data / FILE).write_bytes(content)
    server = serve("--listen", "http:127.0.0.1:0")
    server.logs("The log is damaged: ")
    port = int(server.logs(r"running on 127\.0\.0\.1:(\d+) \(http only\)")[1])
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE)
    assert caught.value.code == 503 and b"the log is damaged" in caught.value.read()
    caught.value.close()
    bob = server.join("Bob")
    bob.say("still here")
    bob.barrier()
    assert stored(data, "--kind", "said")[-1]["text"] == "still here"


# --- backups ------------------------------------------------------------------------------------------------------


def test_backup_of_a_server_under_load_is_whole_and_starts(serve: Serve, tmp_path: Path) -> None:
    server = serve("--no-limits")
    alice = server.join("Alice")
    alice.say(*(f"line {number}" for number in range(500)))
    alice.barrier()
    alice.say(*(f"meanwhile {number}" for number in range(3000)))
    result = hubbub("backup", "--data", tmp_path / "data", tmp_path / "copy")
    assert result.returncode == 0 and re.match(r"[\d,]+ entries in 1 room, ", result.stdout), result.stderr
    alice.barrier()
    copied, all_said = (stored(tmp_path / folder, "--kind", "said") for folder in ("copy", "data"))
    assert len(copied) >= 500 and copied == all_said[: len(copied)]
    assert "whole" in hubbub("check", "--data", tmp_path / "copy").stdout
    again = serve(data=tmp_path / "copy")
    again.join("Bob")
    assert "damaged" not in again.log and "lost" not in again.log
