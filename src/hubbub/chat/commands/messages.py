"""The slash commands for messages that were said: rows of the table of commands (chat/commands/slash.py)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hubbub.chat import messages
from hubbub.chat.commands.moderation import SlashCommand
from hubbub.chat.messages import LOOKED_AT, Which
from hubbub.model.events import Notice
from hubbub.text import refusals
from hubbub.text.cleaning import clean, is_blank

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

THUMB = "👍"  # the reaction of /+ and /+1
_SEQ_DIGITS = 18  # of the longest number of an entry


def _split(argument: str) -> tuple[Which | None, str]:
    """Return the message that the first word of an argument names, and the rest; None if it may be a part of a text.

    The word is the number of a message after a `#`, or the nick of its author.
    """
    first, _, rest = argument.partition(" ")
    number = first.removeprefix("#")
    if number != first and number.isdecimal() and len(number) <= _SEQ_DIGITS:
        return Which(seq=int(number)), rest.strip()
    name = clean(first).removeprefix("@").rstrip(":,")
    return (Which(name=name) if name else None), rest.strip()


def _where(hub: Hub, session: Session, name: str) -> messages.Place:
    """Return the private conversation with `@` and a name, or the current room for "". Raises Refused."""
    return hub.private_history.room_with(session, name) if name else hub.rooms.of(session)


def _answer(hub: Hub, session: Session, argument: str) -> None:
    first, _, text = argument.partition(" ")
    # With a colon it is the way in which a text mentions somebody in the room.
    if first.startswith("@") and not first.endswith((":", ",")):
        if is_blank(text):
            raise refusals.ARGUMENT_MISSING(synopsis=ROWS[0].synopsis)
        messages.answer(session, _where(hub, session, first), Which(own=False), text.strip())
        return
    room = hub.rooms.of(session)
    which, rest = _split(argument)
    if which is None or not rest:
        messages.answer(session, room, Which(own=False), argument)
    else:
        # The first word is a part of the text if nobody of that name has said anything.
        messages.answer(session, room, which, rest, argument if which.name else "")


def _correct(hub: Hub, session: Session, argument: str) -> None:
    private = argument.split(" ")[0] if argument.startswith("@") else ""
    which, rest = _split(argument)
    if private or which is None or not which.seq or not rest:
        which, rest = Which(own=True), argument.removeprefix(private).strip()
    messages.correct(session, _where(hub, session, private), which, rest)


def _delete(hub: Hub, session: Session, argument: str) -> None:
    words = argument.split()
    number = words.pop() if words and words[-1].isdecimal() else "1"
    private = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) > (0 if private else 1):
        raise refusals.ARGUMENT_INVALID(synopsis=ROWS[2].synopsis)
    if not (len(number) < 5 and 1 <= int(number) <= LOOKED_AT):
        raise refusals.NUMBER_INVALID(command="delete", limit=LOOKED_AT)
    room = _where(hub, session, private)
    name = "".join(words)
    which = Which(name=name, own=None if name else True, number=int(number))
    messages.redact(session, room, which)


def _react(on: bool, hub: Hub, session: Session, argument: str) -> None:
    reaction, _, rest = ("" if argument.startswith("@") else argument).partition(" ")
    rest = rest.strip() or argument.removeprefix(reaction).strip()
    private = rest if rest.startswith("@") else ""
    which = (_split(rest)[0] if rest and not private else None) or Which(own=False)
    if reaction in ("", "1"):
        reaction = THUMB
    messages.react(session, _where(hub, session, private), which, reaction, on)


def _pin(hub: Hub, session: Session, argument: str) -> None:
    which = (_split(argument)[0] if argument else None) or Which()
    messages.pin(session, hub.rooms.of(session), which)


def _unpin(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    pins = list(reversed(room.state.pins))
    if not (argument or "1").isdecimal() or not 1 <= int((argument or "1")[:9]) <= len(pins):
        raise refusals.NOT_PINNED()
    messages.unpin(hub, session, room, pins[int(argument or "1") - 1])


def _pins(hub: Hub, session: Session, _: str) -> None:
    pins = hub.rooms.of(session).state.pins.values()
    lines = [f"{number}. {pin.text}" for number, pin in enumerate(reversed(pins), 1)]
    hub.reply(session, Notice(tuple(lines or ["No message is pinned here"])))


ROWS = (
    SlashCommand("re", "[NAME] TEXT", "Answer the last message of others, or NAME; @NAME in private.", _answer),
    SlashCommand("fix", "TEXT", "Correct your last message; @NAME TEXT the last one to NAME.", _correct),
    SlashCommand("delete", "[@NAME] [N]", "Delete your last or Nth last message, or one to NAME.", _delete),
    SlashCommand(
        "+",
        "[EMOJI] [NAME]",
        f"React ({THUMB}) to somebody's last message; @NAME in private.",
        partial(_react, True),
    ),
    SlashCommand("-", "[EMOJI] [NAME]", "Take a reaction back.", partial(_react, False), "messages"),
    SlashCommand("pins", "", "List the pinned messages of the room.", _pins, "messages"),
    SlashCommand("pin", "[NAME]", "Pin the last message, or that of NAME.", _pin, "messages"),
    SlashCommand("unpin", "[N]", "Take the newest pin away, or the Nth of /pins.", _unpin, "messages"),
)
