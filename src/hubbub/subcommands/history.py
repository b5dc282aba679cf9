"""`hubbub history` and `hubbub search`: they read a log, beside a running server or without one."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import click
from msgspec import structs

from hubbub import config
from hubbub.errors import Refused
from hubbub.model import searching
from hubbub.model.codec import shown_record
from hubbub.model.conversation import is_conversation
from hubbub.model.entries import RULING, Entry, RoomRenamed
from hubbub.model.queries import Latest, Search
from hubbub.model.room.modes import without_secrets
from hubbub.model.viewer import SYSTEM
from hubbub.storage.sqlite.store import Store
from hubbub.subcommands.options import Command, Sentence, data_option, format_option
from hubbub.subcommands.output import counted, log_folder
from hubbub.text.names import LOBBY, check_room
from hubbub.wire.line.encoder import stamped


@click.command(cls=Command, epilog="hubbub history --room lobby --last 100 --format json")
@data_option
@click.option("--room", default="lobby", show_default=True, help="Room to print.")
@click.option("--last", type=click.IntRange(0), default=20, show_default=True, help="Number of entries (0: all).")
@click.option("--all", "every", is_flag=True, help="Also print joins, leaves, renames and topics.")
@click.option(
    "--kind",
    type=click.Choice(["said", "moderation"]),
    default="said",
    show_default=True,
    help="Messages and polls, or the acts of operators.",
)
@format_option
def history(data: str | None, room: str, last: int, every: bool, kind: str, style: str) -> None:
    """Print the messages and polls of a room, oldest first."""
    name = room_named(room)
    kinds = tuple(sorted(RULING)) if kind == "moderation" else ()
    with opened_log(data) as store:
        check_known(store, name)
        found = _newest(store, Latest(name, 1000, every=every, kinds=kinds, viewer=SYSTEM), last)
        renames = [entry for entry in found if isinstance(entry.body, RoomRenamed)]
        _print(found, style, {entry.seq: store.called_before(entry) for entry in renames})


@click.command(cls=Command, epilog="hubbub search --room ops deploy failed")
@data_option
@click.option("--room", help="Search only this room.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="Number of messages.")
@format_option
@click.argument("words", nargs=-1, required=True)
def search(data: str | None, room: str | None, last: int, style: str, words: tuple[str, ...]) -> None:
    """Search the log for messages and polls with all of WORDS.

    The newest matches are printed, oldest first. Only whole words match, but page* also finds pages. Symbols and emoji
    match literally: 'C++', '->'. Filters stand among the words: from:NAME, in:ROOM, before:TIME, after:TIME, as in
    from:ann after:2026-11-24.
    """
    where = room_named(room) if room else None
    try:
        query = searching.parse(" ".join(words), time.time()).query(1000, where, SYSTEM)
    except Refused as refusal:
        raise Sentence(refusal.text) from None
    with opened_log(data) as store:
        if query.room:
            check_known(store, query.room)
        _print(_newest(store, query, last), style)


def check_known(store: Store, room: str) -> None:
    """Raise a sentence if the log has no such room; every room is there once somebody has joined it."""
    if room != LOBBY and not store.answer(Latest(room, 1, every=True, viewer=SYSTEM)).entries:
        raise Sentence(f"There is no room {room} in the log.", exit_code=1)


def room_named(room: str) -> str:
    """Return the canonical name of a room as it was typed. Raises Sentence."""
    try:
        return check_room(room)
    except Refused as refusal:
        raise Sentence(refusal.text) from None


@contextlib.contextmanager
def opened_log(data: str | None) -> Iterator[Store]:
    """Open the log in a data folder to read it, and say afterwards whether damaged entries were left out."""
    with contextlib.closing(Store(log_folder(Path(config.read({"data": data}, None).data)))) as store:
        yield store
        if store.left_out:
            click.echo(
                f"hubbub: {counted(store.left_out)} left out because of damage. Run hubbub check for details.",
                err=True,
            )


def _newest(store: Store, query: Latest | Search, count: int) -> list[Entry]:
    """Return the newest `count` entries (0: all) that a query finds, oldest first: a page at a time."""
    pages: list[Sequence[Entry]] = []
    got = 0
    while not count or got < count:
        page = store.answer(structs.replace(query, limit=min(query.limit, count - got)) if count else query)
        if page.entries:
            # Private messages are for the two people alone; `hubbub export --private` is the one way to them.
            pages.append([entry for entry in page.entries if not is_conversation(entry.room)])
            got += len(pages[-1])
            query = structs.replace(query, before=page.entries[0].seq)
        if not page.more:
            if page.note and not store.left_out:
                click.echo(f"hubbub: {page.note}.", err=True)
            break
    return [entry for page in reversed(pages) for entry in page]


def _print(entries: Sequence[Entry], style: str, former: Mapping[int, str] = MappingProxyType({})) -> None:
    """Print entries; `former` has what rooms were called before those that rename them."""
    now = time.time()
    rooms = {entry.room for entry in entries}
    for entry in without_secrets(entries):
        if style == "json":
            fields = structs.asdict(shown_record(entry))
            line = json.dumps(fields, ensure_ascii=False)
            click.echo(line if _is_shown(line) else json.dumps(fields))
        else:
            click.echo(
                (f"[{entry.room}] " if len(rooms) > 1 else "")
                + stamped(structs.replace(entry, room=former.get(entry.seq, entry.room)), now)
            )


def _is_shown(text: str) -> bool:
    """Return whether the output has a byte sequence for each character of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
