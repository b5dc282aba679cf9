"""Programs that start at once: a process that has loaded hubbub, and forks for each.

To load all of hubbub takes a second of CPU, most of what a short scene or a command takes, and there are hundreds of
them. What is forked is a process of its own like any other: it has its own output, takes signals, and can be killed.
Standard input is empty.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

REQUEST = 1 << 18  # bytes at most
UMASK = 0o022

Where = tuple[str, int, dict[str, int]]  # the folder in which it runs, its umask, and other values of constants


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
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Parent:
    """The process that forks; it ends when its own parent does."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-X", "utf8", __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        atexit.register(self.stop)

    def stop(self) -> None:
        self._ours.close()
        self._process.kill()
        self._process.wait()

    def start(
        self, arguments: list[str], env: dict[str, str], output: int, errors: int, where: Where
    ) -> tuple[int, int]:
        """Run `hubbub`; return its process id, and a pipe out of which its exit code comes."""
        ended, end = os.pipe()
        try:
            request = json.dumps([arguments, env, *where]).encode()
            socket.send_fds(self._ours, [request], [output, errors, end])
            return int(self._ours.recv(16)), ended
        finally:
            os.close(end)


_parent: Parent | None = None


def _start(arguments: Sequence[object], env: dict[str, str], output: int, errors: int, where: Where) -> tuple[int, int]:
    global _parent
    _parent = _parent or Parent()
    return _parent.start([str(argument) for argument in arguments], env, output, errors, where)


def start(arguments: Sequence[object], env: dict[str, str], **constants: int) -> Forked:
    """Run `hubbub` with arguments; what it prints, on either output, is read from the pipe `stdout`.

    Constants are given other values in it: `**{"hubbub.tools.exported_lines.STEP": 100}`.
    """
    output, its_output = os.pipe()
    try:
        pid, ended = _start(arguments, env, its_output, its_output, (os.getcwd(), UMASK, constants))
    finally:
        os.close(its_output)
    return Forked(pid, open(output, "rb"), ended)


def run(
    arguments: Sequence[object],
    env: dict[str, str],
    *,
    cwd: Path | None = None,
    umask: int = UMASK,
    timeout: float = 90.0,
) -> subprocess.CompletedProcess[str]:
    """Run `hubbub` with arguments to its end."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        where = (str(cwd or os.getcwd()), umask, {})
        pid, ended = _start(arguments, env, output.fileno(), errors.fileno(), where)
        program = Forked(pid, output, ended)
        try:
            code = program.wait(timeout)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            raise
        shown = []
        for file in (output, errors):
            file.seek(0)
            shown.append(file.read().decode(errors="surrogateescape"))
    return subprocess.CompletedProcess(list(arguments), code, *shown)


# --- the process that forks -----------------------------------------------------------------------------------


def _become(request: bytes, output: int, errors: int) -> None:
    """Be a process as if it had been started anew with what was asked for."""
    arguments, env, folder, umask, constants = json.loads(request)
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        setattr(sys.modules[module], constant, value)
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.dup2(output, 1)
    os.dup2(errors, 2)
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
            request, files, _, _ = socket.recv_fds(control, REQUEST, 3)
            if not request:
                return False
            output, errors, end = files
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.detach()
                _become(request, output, errors)
                return True
            os.close(output)
            os.close(errors)
            ends[pid] = end
            control.send(b"%d" % pid)


if __name__ == "__main__":
    import hubbub.serve.web.site  # noqa: F401
    from hubbub.cli import SUBCOMMANDS, main

    for module, _ in SUBCOMMANDS.values():
        importlib.import_module(f"hubbub.subcommands.{module}")

    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401

    gc.freeze()  # else a collection in a forked process would copy all that was loaded
    if _serve(socket.socket(fileno=int(sys.argv[1]))):
        main()
