"""Output that several subcommands print, and the place of the log."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hubbub.errors import reason
from hubbub.storage.sqlite.schema import COPY, FILE
from hubbub.storage.sqlite.store import Size
from hubbub.storage.sqlite.upkeep.backup import Progress
from hubbub.subcommands.options import Sentence


def log_folder(folder: Path) -> Path:
    """Return where the log is: a node of a cluster has a copy of it, to search in."""
    copy = folder / COPY
    try:
        return copy if (copy / FILE).exists() and not (folder / FILE).exists() else folder
    except OSError as error:  # of another user, say
        raise Sentence(f"The data folder {folder} cannot be read: {reason(error)}.") from None


def sized(size: Size) -> str:
    """Return the size of a log in words."""
    rooms = f"{size.rooms:,} {'room' if size.rooms == 1 else 'rooms'}"
    return f"{counted(size.entries)} in {rooms}, {size.bytes / 1e6:,.1f} MB"


def counted(count: int) -> str:
    """Return how many entries there are in words."""
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show a bar on standard error if that is a terminal, as soon as it is known how much there is to do."""
    with contextlib.ExitStack() as shown:
        bars: list[Any] = []

        def progress(done: int, whole: int) -> None:
            if not bars and whole and sys.stderr.isatty():
                bars.append(shown.enter_context(click.progressbar(length=whole, label=label, file=sys.stderr)))
            for bar in bars:
                bar.update(done - bar.pos)
                if done >= whole:
                    shown.close()  # its line ends, so that another bar can follow

        yield progress
