"""What goes wrong in the world: kill -9, a full disk, readers that stall, resets, garbage, a dead console."""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scene import PATIENCE, PROMPT, Client, Server, stored, wait_until

Serve = Callable[..., Server]
SKIPPED = re.compile(rb"\*\*\* (\d+) messages skipped; /history shows the latest \*\*\*\n")


# --- kill -9 --------------------------------------------------------------------------------------------------


def talk(client: Client, name: str, stop: threading.Event) -> None:
    """Say numbered lines, as fast as they are taken, and read what comes, until the connection breaks."""
    count = 0
    client.sock.settimeout(0.005)
    while not client.ended:
        try:
            if not stop.is_set():
                client.sock.send("".join(f"{name} {count + i}\n" for i in range(20)).encode())
                count += 20
            data = client.sock.recv(1 << 16)
            client.ended = not data
            client.seen += data
        except TimeoutError:
            pass
        except OSError:
            client.ended = True


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_under_load_loses_nothing_that_anybody_was_shown(serve: Serve, tmp_path: Path, seed: int) -> None:
    moment = random.Random(seed).uniform(0.05, 0.6)
    server = serve("--no-limits")
    people = {name: server.join(name) for name in ("Alice", "Bob", "Carol")}
    for client in people.values():
        client.barrier()
    stop = threading.Event()
    threads = [threading.Thread(target=talk, args=(client, name, stop)) for name, client in people.items()]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(client.seen.count(b"\n") for client in people.values()) > 150, what="talk")
    threading.Event().wait(moment)  # at any moment: that is what is tested
    server.kill()
    for thread in threads:
        thread.join(PATIENCE)
    serve().join("After")
    log = [f"{row['nick']}: {row['text']}" for row in stored(tmp_path / "data") if row["kind"] == "message"]
    assert len(log) == len(set(log))
    place = {line: i for i, line in enumerate(log)}
    total = 0
    for name, client in people.items():
        whole = client.seen[: client.seen.rfind(b"\n") + 1].decode()
        shown = [line for line in whole.splitlines() if not line.startswith("***")]
        total += len(shown)
        places = [place[line] for line in shown]  # each of them is in the log,
        assert places == sorted(set(places))  # once, and in this order
        others = [line for line in log if not line.startswith(f"{name}:")]
        assert shown == others[: len(shown)]  # and between them is nothing that was not shown
    assert total > 100


# --- a full disk ----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, if this machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "hubbub-test", str(disk)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted; the limit on the size of a file stands for it")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def say_until_refused(alice: Client) -> list[str]:
    """Return what was said and not refused, once something is."""
    said: list[str] = []
    for i in range(5000):
        alice.say(f"{i} " + "x" * 3000)
        answer = alice.barrier()
        if b"Not sent: " in answer:
            assert re.fullmatch(rb"Not sent: [^\n/]+\.\n", answer)  # a sentence, no path
            return said
        assert answer == b""
        said.append(f"{i} ")
    raise AssertionError("the disk is never full")


def test_full_disk_is_told_to_the_sender_and_recovered_from(serve: Serve, small_disk: Path) -> None:
    server = serve("--no-limits", data=small_disk / "data")
    ballast = small_disk / "ballast"
    alice, bob = server.join_all("Alice", "Bob")
    ballast.write_bytes(b"x" * 900_000)
    said = say_until_refused(alice)
    for start in said:
        bob.sees(re.compile(f"Alice: {start}x+\n".encode()))
    fill(small_disk, alice, "y" * 100)
    assert set(bob.barrier().splitlines()) <= {b"Alice: " + b"y" * 100}  # what is not stored is shown to nobody
    late = server.connect()
    late.sees(PROMPT)
    ballast.unlink()
    (small_disk / "rest").unlink()

    def accepted() -> bool:
        alice.say("room again")
        return alice.barrier() == b""

    wait_until(accepted, what="recovery")
    bob.sees(b"Alice: room again\n")
    carol = server.join("Carol")
    bob.sees(b"*** Carol has joined the chat ***\n")
    carol.close()
    bob.sees(b"*** Carol has left the chat ***\n")
    log = [row["text"] for row in stored(small_disk / "data", "--room", "lobby")]
    assert [text.split()[0] for text in log if "y" not in text] == [*(start.strip() for start in said), "room"]


def test_who_leaves_while_the_disk_is_full_has_left_when_it_is_not(serve: Serve, small_disk: Path) -> None:
    server = serve("--no-limits", data=small_disk / "data")
    ballast = small_disk / "ballast"
    alice, bob = server.join_all("Alice", "Bob")
    ballast.write_bytes(b"x" * 900_000)
    for _ in say_until_refused(alice):
        bob.sees(re.compile(rb"Alice: \d+ x+\n"))
    fill(small_disk, alice, "/nick A{}")  # an entry as small as a leave
    bob.barrier()
    alice.close()
    wait_until(lambda: bob.say("/who") or b"*** In lobby: 1 ***" in bob.barrier(), what="her leave")
    bob.sees_nothing()
    ballast.unlink()
    (small_disk / "rest").unlink()
    bob.skips_to(re.compile(rb"\*\*\* A\w+ has left the chat \*\*\*\n"))


def fill(disk: Path, alice: Client, line: str) -> None:
    """Take what is left of the disk, and of the log's own last pages: this line finds no place any more."""
    with contextlib.suppress(OSError), (disk / "rest").open("wb", 0) as rest:
        while True:
            rest.write(b"x" * 4096)
    refused = 0
    for i in range(1000):
        alice.say(line.format(i))
        refused = refused + 1 if b"Not sent: " in alice.barrier() else 0
        if refused == 3:
            return
    raise AssertionError("the disk is never full")


def small_files() -> None:
    """No file grows over 300 kB; the signal about it is ignored, so writing fails."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))


def test_file_that_cannot_grow_is_told_to_the_sender_and_recovered_from(serve: Serve) -> None:
    server = serve("--no-limits", before=small_files)
    alice, bob = server.join_all("Alice", "Bob")
    for start in say_until_refused(alice):
        bob.sees(re.compile(f"Alice: {start}x+\n".encode()))
    bob.sees_nothing()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def accepted() -> bool:
        alice.say("room again")
        return alice.barrier() == b""

    wait_until(accepted, what="recovery")
    bob.sees(b"Alice: room again\n")


# --- readers that stall ---------------------------------------------------------------------------------------

LINES, WIDTH = 4000, 3000  # 12 MB: more than the kernel keeps


def flood(alice: Client, others: list[Client]) -> None:
    """Say numbered lines, and let the others read all of them."""
    for first in range(0, LINES, 200):
        alice.say(*(f"{i:05} ".ljust(WIDTH, "x") for i in range(first, first + 200)))
        for client in others:
            client.skips_to(re.compile(rf"Alice: {first + 199:05} x+\n".encode()))


def test_reader_that_stalls_costs_nobody_anything_and_misses_nothing(serve: Serve) -> None:
    server = serve("--no-limits", "--memory", "1", "--history", "0")
    alice, bob, deaf = server.join_all("Alice", "Bob", "Deaf")
    flood(alice, [bob])  # once before, so that what it grows to anyway is no matter
    deaf.skips_to(re.compile(rf"Alice: {LINES - 1:05} x+\n".encode()))
    before = server.rss()
    flood(alice, [bob])
    assert server.rss() - before < 8 << 20  # of 12 MB, it keeps one buffer
    bob.say("hello")
    alice.sees(b"Bob: hello\n")
    numbers: list[int] = []
    while len(numbers) < LINES:
        numbers.append(int(deaf.sees(re.compile(rb"Alice: (\d{5}) x+\n"))[7:12]))
    assert numbers == list(range(LINES))
    deaf.sees(b"Bob: hello\n")
    alice.say("live again")
    deaf.sees(b"Alice: live again\n")


def test_too_far_behind_is_told_how_many_are_skipped(serve: Serve) -> None:
    server = serve("--no-limits", "--max-behind", "500", "--history", "0")
    alice, bob = server.join_all("Alice", "Bob")
    deaf = server.join("Deaf", buffer=4096)
    flood(alice, [bob])
    alice.say("/join elsewhere")  # so that nothing more of hers is in the lobby
    alice.barrier()
    bob.say("the end")
    shown = deaf.skips_to(SKIPPED)
    numbers = [int(number) for number in re.findall(rb"Alice: (\d{5})", shown)]
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < LINES - 500
    bob.say("and now")
    deaf.skips_to(b"Bob: and now\n")


def test_reader_that_takes_no_byte_is_disconnected_in_time(serve: Serve) -> None:
    server = serve("--no-limits", "--stall-timeout", "1")
    alice, bob = server.join_all("Alice", "Bob")
    deaf = server.join("Deaf", buffer=4096)
    flood(alice, [bob])
    server.logs("^Deaf .* has left$")
    alice.skips_to(b"*** Deaf has left the chat ***\n")  # it may be among what Bob has read already
    with contextlib.suppress(ConnectionResetError):
        deaf.rest()


# --- the network ----------------------------------------------------------------------------------------------


def test_reset_discards_the_last_unfinished_line_and_half_close_marks_it(server: Server) -> None:
    alice, bob, carol = server.join_all("Alice", "Bob", "Carol")
    bob.send(b"half a li")
    bob.reset()
    alice.sees(b"*** Bob has left the chat ***\n")
    carol.send(b"half a li")
    carol.half_close()
    alice.sees(re.compile(rb"Carol: half a li \[[^\n]+\]\n"))
    alice.sees(b"*** Carol has left the chat ***\n")


def test_command_that_was_cut_off_is_not_run(server: Server) -> None:
    alice, bob = server.join_all("Alice", "Bob")
    bob.send(b"/msg Alice rm -r")
    bob.half_close()
    assert b"Not done" in bob.rest()
    alice.sees(b"*** Bob has left the chat ***\n")


def test_half_closed_gets_its_answers(server: Server) -> None:
    bob = server.connect()
    bob.send(b"Bob\n/who\n/history\n/time\n")
    bob.half_close()
    rest = bob.rest()
    assert b"In lobby: 1" in rest and rest.endswith(b" ***\n")


def garbage(chance: random.Random) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 3000))
    if kind == 1:  # telnet, more or less
        return bytes(chance.choice(b"\xff\xff\xfa\xf0\xfb\xfd\xfe\xfc\x18\x1f\x00a\n") for _ in range(300))
    words = [
        b"/nick ",
        b"/msg ",
        b"/join ",
        b"/leave",
        b"/history 9",
        b"\x1b[",
        b"\n",
        b"\r",
        b"\x00",
        b"x" * 500,
        b"\xc3",
    ]
    name = f"G{chance.randrange(10**9)}\n".encode() if kind == 2 else b""
    return name + b"".join(chance.choice(words) for _ in range(60))


def test_a_thousand_garbage_streams_do_no_harm(serve: Serve) -> None:
    server = serve("--no-limits", "--history", "0")
    chance = random.Random(2)
    for _ in range(20):
        crowd = [server.connect() for _ in range(50)]
        for client in crowd:
            with contextlib.suppress(OSError):
                client.send(garbage(chance))
        for client in crowd:
            chance.choice((client.close, client.reset, client.half_close))()
        for client in crowd:
            client.close()
        server.clients.clear()
    alice = server.join("Alice")
    wait_until(lambda: alice.say("/who") or b"In lobby: 1 " in alice.barrier(), what="an empty room")
    bob = server.join("Bob")
    alice.skips_to(b"*** Bob has joined the chat ***\n")
    alice.say("hello")
    bob.skips_to(b"Alice: hello\n")  # and the fixture looks for a traceback
