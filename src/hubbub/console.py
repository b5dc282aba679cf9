"""The server's console: log lines that never block the server.

If the reader of the console stops (Ctrl-S, a full pipe), lines are dropped and counted, and the chat goes on.
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import threading
import time

KEPT = 10_000  # maximum lines that wait to be written


class Console(logging.Handler):
    """Writes log records to a file descriptor from a thread of its own.

    The attribute `times` says whether each line begins with the time; it is true at first if the target is a file.

    Args:
        fd: the file descriptor.

    """

    def __init__(self, fd: int = 1) -> None:
        super().__init__()
        self.times = _is_file(fd)
        self._fd = fd
        self._lines: queue.Queue[str] = queue.Queue(KEPT)
        self._dropped = 0
        # A daemon thread, because a blocked console must not keep the server from ending.
        threading.Thread(target=self._write, name="hubbub-console", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record for the thread; drop it if KEPT lines are waiting."""
        try:
            text = self.format(record)
            if record.levelno != logging.INFO:
                text = f"{record.levelname}: {text}"
            if self.times:
                text = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(record.created))} {text}"
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        except Exception:
            self.handleError(record)

    def drain(self, seconds: float) -> None:
        """Wait until all queued lines are written, at most `seconds` seconds."""
        end = time.monotonic() + seconds
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.005)

    def _write(self) -> None:
        while True:
            text = self._lines.get()
            if self._dropped:
                text = f"WARNING: {self._dropped} lines were not shown, because nobody read the console\n{text}"
                self._dropped = 0
            data = (text + "\n").encode("utf-8", "replace")
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                pass  # the reader is gone
            self._lines.task_done()


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def set_up(level: str, times: bool = False) -> Console:
    """Send the log of the whole program to a new console on standard output, and return the console.

    Args:
        level: the name of the lowest level that is shown.
        times: whether each line begins with the time even if the output is no file.

    """
    console = Console()
    console.times |= times
    logging.basicConfig(level=level.upper(), format="%(message)s", handlers=[console], force=True)
    for name in ("asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return console
