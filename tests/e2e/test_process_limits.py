"""What a process needs of memory and files when somebody sends too much, or too many come."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable

from scene import PROMPT, Server

Serve = Callable[..., Server]


def test_over_the_rate_its_socket_is_not_read(serve: Serve) -> None:
    """What it sends stays with it, once the kernel's buffers are full: that is what bounds the memory."""
    server = serve("--rate", "0.2", "--burst", "10")
    alice = server.join("Alice")
    before = server.rss()
    alice.sock.settimeout(1)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 64 << 20:
            sent += alice.sock.send(b"x" * 999 + b"\n")
    assert sent < 64 << 20
    assert server.rss() - before < 8 << 20


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))


def test_running_out_of_file_descriptors_is_survived_and_said_in_the_log(serve: Serve) -> None:
    server = serve(before=few_files)
    alice, bob = server.join_all("Alice", "Bob")
    crowd = [server.connect() for _ in range(60)]
    server.logs("^WARNING: .*Too many open files")
    alice.say("still here")
    bob.sees(b"Alice: still here\n")
    assert server.log.count("Too many open files") == 1  # not a line for each of them
    for client in crowd[:-1]:  # so that their places are free: not all of them fit
        client.close()
    last = crowd[-1]  # who waited in the kernel's queue gets in
    last.sees(PROMPT)
    last.say("Zoe")
    alice.sees(b"*** Zoe has joined the chat ***\n")
    bob.say("welcome")
    last.skips_to(b"Bob: welcome\n")
