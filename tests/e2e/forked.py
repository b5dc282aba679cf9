"""Servers that start at once: a process that has loaded hubbub, and forks for each.

To load all of hubbub takes a second of CPU, most of what a short scene takes, and there are hundreds of scenes. What is
forked is a process of its own like any other: it has its own output, takes signals, and can be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import IO

REQUEST = 1 << 18  # bytes at most


class Forked:
    """A program that runs: of subprocess.Popen what the scenes use."""

    def __init__(self, pid: int, stdout: IO[bytes], ended: int) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = ended  # a pipe out of which its exit code comes

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("hubbub", timeout or 0)
            self.returncode = int(os.read(self._ended, 16))
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Parent:
    """The process that forks; it ends when its own parent does."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def start(self, arguments: list[str], env: dict[str, str]) -> Forked:
        """Run `hubbub` with arguments."""
        output, its_output = os.pipe()
        ended, end = os.pipe()
        try:
            request = json.dumps([arguments, env, os.getcwd()]).encode()
            socket.send_fds(self._ours, [request], [its_output, end])
            pid = int(self._ours.recv(16))
        finally:
            os.close(its_output)
            os.close(end)
        return Forked(pid, open(output, "rb"), ended)


_parent: Parent | None = None


def start(arguments: list[str], env: dict[str, str]) -> Forked:
    """Run `hubbub` with arguments, from a process that is started for the first of them."""
    global _parent
    _parent = _parent or Parent()
    return _parent.start(arguments, env)


# --- the process that forks -----------------------------------------------------------------------------------


def _become(request: bytes, output: int) -> None:
    """Be a process as if it had been started anew with what was asked for."""
    arguments, env, folder = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number in (1, 2):
        os.dup2(output, number)
    os.closerange(3, 256)
    sys.stdout = open(1, "w", closefd=False)
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.argv = ["hubbub", *arguments]


def _reap(ends: dict[int, int]) -> None:
    """Tell the exit codes of those that have ended."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        with contextlib.suppress(BrokenPipeError):
            os.write(ends[pid], b"%d" % os.waitstatus_to_exitcode(status))
        os.close(ends.pop(pid))


def _serve(control: socket.socket) -> bool:
    """Fork for each request; return whether this is a forked process, or False at the end."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    ends: dict[int, int] = {}  # by pid: where its exit code is told
    while True:
        readable, _, _ = select.select([control, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _reap(ends)
        if control in readable:
            request, files, _, _ = socket.recv_fds(control, REQUEST, 2)
            if not request:
                return False
            output, end = files
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.detach()
                _become(request, output)
                return True
            os.close(output)
            ends[pid] = end
            control.send(b"%d" % pid)


if __name__ == "__main__":
    import hubbub.serve.web.site
    import hubbub.server  # noqa: F401
    from hubbub.cli import main

    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401

    if _serve(socket.socket(fileno=int(sys.argv[1]))):
        main()
