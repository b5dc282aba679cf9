"""The console never makes the server wait, and says what it left out."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubbub import console as module
from hubbub.console import KEPT, Console

SECONDS = 90.0


class Pipe:
    """A pipe with a logger on its one end; on the other nobody reads until the test does."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.console = Console(write_end)
        self.write_end = write_end
        self.console.setFormatter(logging.Formatter("%(message)s"))
        self.log = logging.Logger("test")
        self.log.addHandler(self.console)
        self._rest = b""

    def line(self) -> str:
        while b"\n" not in self._rest:
            data = os.read(self.read_end, 65536)
            assert data
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def lines_until(self, last: Callable[[str], bool]) -> list[str]:
        lines = [self.line()]
        while not last(lines[-1]):
            lines.append(self.line())
        return lines

    def close(self) -> None:
        self.console.drain(SECONDS)
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_lines_come_in_order(pipe: Pipe) -> None:
    for number in range(2000):
        pipe.log.info("line %d", number)
        assert pipe.line() == f"line {number}"
    for number in range(50):
        pipe.log.info("more %d", number)
    assert [pipe.line() for _ in range(50)] == [f"more {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("level", "shown"),
    [(logging.INFO, "Ann: hi"), (logging.WARNING, "WARNING: Ann: hi"), (logging.ERROR, "ERROR: Ann: hi")],
)
def test_only_what_is_no_information_names_its_level(pipe: Pipe, level: int, shown: str) -> None:
    pipe.log.log(level, "%s: %s", "Ann", "hi")
    assert pipe.line() == shown


def test_any_text_can_be_shown(pipe: Pipe) -> None:
    pipe.log.info("Zoë 日本 \udcff")
    assert pipe.line() == "Zoë 日本 ?"


def test_a_record_that_cannot_be_formatted_is_no_error_of_the_caller(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    pipe.log.info("%d", "not a number")
    pipe.log.info("after")
    assert pipe.lines_until(lambda line: line == "after")


def test_a_reader_that_stops_does_not_stop_the_writer(pipe: Pipe) -> None:
    """All lines are said in far less time than the pipe's reader gives; the rest are counted."""
    text = "x" * 100
    said = KEPT + 5000  # the pipe itself takes 64 KiB
    for number in range(said):
        pipe.log.info("%d %s", number, text)
    pipe_full = pipe.line()
    assert pipe_full.startswith("0 ")
    shown, dropped = [pipe_full], 0
    while len(shown) + dropped < said:
        line = pipe.line()
        if line.startswith("WARNING: "):
            dropped += int(line.split()[1])
        else:
            shown.append(line)
    assert dropped > 0
    numbers = [int(line.split()[0]) for line in shown]
    assert numbers == sorted(set(numbers))
    pipe.log.info("after")
    assert pipe.line() == "after", "it is said once how many lines are missing"


def test_dropped_lines_are_said_once(pipe: Pipe) -> None:
    long = "x" * 200_000  # more than a pipe takes: the thread waits with it
    pipe.log.info(long)
    for number in range(KEPT + 7):
        pipe.log.info("%d", number)
    assert pipe.line() == long
    lines = pipe.lines_until(lambda line: line in (str(KEPT - 1), str(KEPT)))
    warnings = [line for line in lines if "not shown" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("WARNING: ") and "nobody read the console" in warnings[0]


def test_drain_waits_until_all_is_written(pipe: Pipe) -> None:
    for number in range(100):
        pipe.log.info("%d", number)
    pipe.console.drain(SECONDS)
    os.set_blocking(pipe.read_end, False)
    assert os.read(pipe.read_end, 65536).decode().split() == [str(number) for number in range(100)]


def test_drain_gives_up_when_nobody_reads(pipe: Pipe) -> None:
    pipe.log.info("x" * 200_000)
    start = time.monotonic()
    pipe.console.drain(0.05)
    assert time.monotonic() - start < SECONDS
    assert pipe.line() == "x" * 200_000


def test_a_reader_that_went_away_is_survived() -> None:
    pipe = Pipe()
    os.close(pipe.read_end)
    for number in range(100):
        pipe.log.info("%d", number)
    pipe.console.drain(SECONDS)
    pipe.read_end, other_end = os.pipe()
    os.dup2(other_end, pipe.write_end)  # as if somebody came back: the thread is still there
    os.close(other_end)
    pipe.log.info("after")
    assert pipe.line() == "after"
    pipe.close()


def test_a_closed_descriptor_is_survived() -> None:
    console = Console(-1)
    log = logging.Logger("test")
    log.addHandler(console)
    for number in range(100):
        log.info("%d", number)
    console.drain(SECONDS)
    assert not console._lines.unfinished_tasks


def test_set_up_shows_from_a_level_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()
    monkeypatch.setattr(module, "Console", lambda: pipe.console)
    root = logging.getLogger()
    before, level, asyncio_level = root.handlers[:], root.level, logging.getLogger("asyncio").level
    root.handlers[:] = []
    try:
        assert module.set_up("warning") is pipe.console
        logging.getLogger("hubbub").info("too quiet")
        logging.getLogger("hubbub").warning("loud")
        assert pipe.line() == "WARNING: loud"
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.getLogger("asyncio").setLevel(asyncio_level)
        pipe.close()


def test_lines_in_a_file_have_a_time(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as file:
        console = Console(file.fileno())
        console.setFormatter(logging.Formatter("%(message)s"))
        log = logging.Logger("test")
        log.addHandler(console)
        log.info("Ann has joined")
        log.warning("the disk is full")
        console.drain(SECONDS)
    first, second = (tmp_path / "log").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Ann has joined", first)
    assert second[20:] == "WARNING: the disk is full"


def test_lines_have_a_time_where_it_is_asked_for() -> None:
    read_end, write_end = os.pipe()
    console = Console(write_end)
    console.times = True
    console.emit(logging.makeLogRecord({"msg": "hi", "levelno": logging.INFO, "created": 0.0}))
    console.drain(SECONDS)
    assert re.fullmatch(rb"(1970-01-01|1969-12-31) \d\d:\d\d:\d\d hi\n", os.read(read_end, 100))
    os.close(read_end)
    os.close(write_end)
