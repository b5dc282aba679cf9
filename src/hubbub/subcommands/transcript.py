"""The transcripts of `hubbub export --to`: the messages of one room, from a log in a data folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from hubbub.errors import reason
from hubbub.model.messages.quotes import with_quotes
from hubbub.model.queries import LAST, After
from hubbub.model.viewer import SYSTEM
from hubbub.storage.sqlite.store import Store
from hubbub.subcommands.history import check_known, opened_log, room_named
from hubbub.subcommands.options import Sentence
from hubbub.wire.transcript import Transcript

PIECE = 1000  # entries that are read at a time


def write_transcript(data: str | None, room: str, form: str, target: str) -> None:
    """Write the transcript of a room to a file, `-` for standard output; a file gets its name when it is complete.

    Raises:
        Sentence: there is no such room, or the file cannot be written.

    """
    name = room_named(room)
    with opened_log(data) as store:
        check_known(store, name)
        pieces = _pieces(store, name, form)
        if target == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        part = f"{target}.part"
        try:
            # Only the owner may read it: the room may be closed.
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for piece in pieces:
                    file.write(piece)
            os.replace(part, target)
        except OSError as error:
            raise Sentence(f"{target} cannot be written: {reason(error)}.") from None


def _pieces(store: Store, room: str, form: str) -> Iterator[bytes]:
    transcript = Transcript(form, room)
    yield transcript.begin.encode()
    seq, more = 0, True
    while more:
        page = store.answer(After(room, seq, LAST, PIECE, viewer=SYSTEM))
        yield transcript.entries(with_quotes(page.entries)).encode("utf-8", "replace")
        more = page.more and bool(page.entries)
        seq = page.entries[-1].seq if page.entries else seq
    yield transcript.end.encode()
