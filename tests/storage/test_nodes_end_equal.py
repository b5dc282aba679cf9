"""Corrections, deletions, reactions, pins and votes in random order end equal on two nodes, and on every wire.

A sequence has 3 messages and a poll, and 1 to 10 acts on them by 3 people, in the order in which a log may have them: a
correction and a deletion that two nodes publish at once come in either order. Each node gets the entries as bytes, in
batches of its own; one of them is restarted in between. A page of the log that was read before the last acts is
compared, too. What all of them have is compared with a plain model of the acts, in case all are wrong alike. There are
SEQUENCES sequences, from seeds that do not change. A wire shows an entry by its fields alone, so equal entries look
equal; every SHOWN-th sequence is encoded for each wire all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from itertools import takewhile
from random import Random

from hubbub.chat.rooms.loaded_room import LoadedRoom
from hubbub.cluster.nats.log import batches
from hubbub.cluster.nats.log.batches import EntryBatch
from hubbub.model.entries import (
    HISTORY,
    Body,
    Edited,
    Entry,
    Erased,
    Pinned,
    PollClosed,
    Polled,
    Reacted,
    Redacted,
    Said,
    Unpinned,
    Unreacted,
    Voted,
)
from hubbub.model.messages import polls, reactions
from hubbub.model.messages.quotes import with_quotes
from hubbub.model.messages.redactions import Redactions
from hubbub.model.queries import OpenedRoom
from hubbub.model.room.state import RoomState, overlaid, pin_text
from hubbub.wire.irc.encoder import form_of
from hubbub.wire.line.encoder import stamped
from hubbub.wire.transcript import Transcript
from hubbub.wire.web.frames import FORM

SEQUENCES = 10_000
SHOWN = 100
PEOPLE = ("Ann", "Bo", "Cy")
TEXTS = ("tea", "cake", "tea at 4\nor 5", "Zoë")
IRC = form_of(frozenset({"message-tags", "server-time"}))


def act(random: Random) -> Body:
    target = f"x.{random.randint(1, 4)}"
    text, reaction = random.choice(TEXTS), random.choice("👍x")
    kind = random.randrange(12)
    if kind < 3:
        return Edited(target, text)
    if kind < 6:
        return Reacted(target, reaction)
    if kind == 6:
        return Unreacted(target, reaction)
    if kind == 7:
        return Redacted(target)
    if kind == 8:
        return Pinned(target, pin_text("Ann", text))
    if kind == 9:
        return Unpinned(target)
    return (
        PollClosed("x.4")
        if random.random() < 0.1
        else Voted("x.4", random.randint(0, 2), f"{random.randint(0, 2):010}")
    )


def log(random: Random) -> list[Entry]:
    """Return the entries of a random sequence."""
    said: list[Body] = [Said(text) for text in TEXTS[:3]]
    bodies = [*said, Polled("tea?", ("yes", "no"))]
    for _ in range(random.randint(1, 10)):
        body = act(random)
        # A pin of a deleted message is refused, and a node drops one that was on its way (RoomState.redacted).
        if not (isinstance(body, Pinned) and Redacted(body.target) in bodies):
            bodies.append(body)
    return [
        Entry("ops", seq, seq - 1, float(seq), random.choice(PEOPLE), f"x.{seq}", body, "~nc@a.nc", "", "ops")
        for seq, body in enumerate(bodies, 1)
    ]


def over_the_wire(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries as another node reads them."""
    data = batches.encode(EntryBatch([batches.line(one, one.time) for one in entries]))
    packed = batches.decode(data, 1, 0.0).entries
    return [batches.entry("ops", one.seq, one.prev, line, "ops") for one, line in zip(entries, packed, strict=True)]


def given(room: LoadedRoom, random: Random, entries: Sequence[Entry]) -> None:  # type: ignore[type-arg]
    """Append entries to a room in batches of random size."""
    while entries:
        size = random.randint(1, 5)
        room.append(entries[:size])
        entries = entries[size:]


def stored(entries: Sequence[Entry]) -> list[Entry]:
    """Return the messages and the poll as a storage has them, which changes them in place."""
    kept: list[Entry] = []
    for by in entries:
        kept = [overlaid(one, by) for one in kept]
        if isinstance(by.body, Said | Polled):
            kept.append(by)
    return kept


def shown(entries: Sequence[Entry]) -> list[object]:
    """Return entries as every wire shows them in a history."""
    transcript = Transcript("html", "ops", UTC)
    quoted = with_quotes(entries)
    seen = [one for one in quoted if type(one.body) is not Erased]
    return [
        *(stamped(one, 100.0, UTC) for one in quoted),
        *(IRC.lines(one) for one in seen),
        *(FORM.encode(one) for one in quoted),
        transcript.entries(quoted),
    ]


def expected(entries: Sequence[Entry]) -> list[object]:
    """Return for each message its last text and reactions, for the poll its votes, as they follow from the acts alone.

    None stands for one that was deleted.
    """
    found: list[object] = []
    for one in entries:
        acts = [by for by in entries if getattr(by.body, "target", "") == one.id]
        if not isinstance(one.body, Said | Polled):
            continue
        if any(isinstance(by.body, Redacted) for by in acts):
            found.append(None)
        elif isinstance(one.body, Said):
            *_, text = [one.body.text, *(by.body.text for by in acts if isinstance(by.body, Edited))]
            given: dict[tuple[str, str], bool] = {}
            for by in acts:
                if isinstance(by.body, Reacted | Unreacted):
                    given[by.body.reaction, by.nick] = isinstance(by.body, Reacted)
            found.append((text, {key for key, on in given.items() if on}))
        else:
            open_acts = takewhile(lambda by: not isinstance(by.body, PollClosed), acts)
            voted = {by.body.voter: by.body.choice for by in open_acts if isinstance(by.body, Voted)}
            found.append({voter: choice for voter, choice in voted.items() if choice})
    return found


def summary(entry: Entry) -> object:
    """Return what `expected` says of an entry."""
    if isinstance(entry.body, Said):
        all_of_them = reactions.read(entry.tags)
        return entry.body.text, {(reaction, nick) for reaction, nicks in all_of_them.items() for nick in nicks}
    if isinstance(entry.body, Polled):
        answers = enumerate(polls.votes(entry, entry.body), 1)
        return {voter: number for number, voters in answers for voter in voters}
    return None


def pinned(entries: Sequence[Entry]) -> set[str]:
    """Return the ids of the messages that are pinned at the end, as they follow from the acts alone."""
    found: set[str] = set()
    for one in entries:
        if isinstance(one.body, Pinned):
            found.add(one.body.target)
        elif isinstance(one.body, Unpinned | Redacted):
            found.discard(one.body.target)
    return found


def of_state(state: RoomState) -> object:
    open_polls = {id: polls.votes(one, one.body) for id, one in state.polls.items() if isinstance(one.body, Polled)}
    return state.pins, open_polls


def check(seed: int) -> None:
    random = Random(seed)
    entries = over_the_wire(log(random))
    final = stored(entries)
    said = [one for one in final if isinstance(one.body, HISTORY)]
    assert [summary(one) for one in final] == expected(entries)

    one = LoadedRoom("ops", OpenedRoom(0, [], [], (), "ops"), 20)  # type: ignore[var-annotated]
    given(one, random, entries)
    start = random.randint(4, len(entries))
    before = stored(entries[:start])
    opened = OpenedRoom(
        start,
        RoomState("ops", entries[:start], "ops").snapshot(),
        [b for b in before if isinstance(b.body, HISTORY)],
        (),
        "ops",
    )
    two = LoadedRoom("ops", opened, 20)  # type: ignore[var-annotated]
    given(two, random, entries[start:])

    state = of_state(whole := RoomState("ops", entries, "ops"))
    assert set(whole.pins) == pinned(entries)
    for room in (one, two):
        assert [*room.latest] == said and of_state(room.state) == state
        assert seed % SHOWN or shown([*room.latest]) == shown(said)
    late = Redactions()
    for entry in entries[start:]:
        late.note(entry)
    assert [*late.apply(before)] == final, "a page that was read before"


def test_random_sequences_end_equal_on_two_nodes_and_every_wire() -> None:
    for seed in range(SEQUENCES):
        try:
            check(seed)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}: {error}") from error
