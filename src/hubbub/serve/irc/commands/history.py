"""IRC history: CHATHISTORY, read markers, the replay for clients without CHATHISTORY, and multi-line messages.

Sources: ircv3.net: draft/chathistory, draft/event-playback, draft/read-marker, draft/multiline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from hubbub.chat.operations.asking import LogQuestion, client_question
from hubbub.chat.turns import OperationKind
from hubbub.chat.users.read_markers import of_person, of_room
from hubbub.errors import BrokerError, Refused
from hubbub.model.entries import Kind
from hubbub.model.events import HistoryShown, PrivateShown
from hubbub.model.queries import Around, LogPage
from hubbub.model.viewer import ASKER
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import messages
from hubbub.serve.irc.commands.channels import find_room, shown_marker
from hubbub.text import bounds
from hubbub.text.bounds import FOLDED_CHARS
from hubbub.text.cleaning import clean_exactly, is_blank
from hubbub.text.formatting import CUT
from hubbub.text.names import is_name, is_room, key_of
from hubbub.text.typed.times import shown_time
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import MULTILINE, channel, stamp

HISTORY = 100  # maximum number of entries in an answer to CHATHISTORY
# The kinds that no answer to CHATHISTORY shows: the messages and polls in it are as they made them. If they counted, an
# answer could be empty, which means to clients that there is nothing earlier.
UNSHOWN = (Kind.EDIT, Kind.VOTE)
_TIME = re.compile(r"timestamp=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")


def gets_replay(client: IrcClient) -> bool:
    """Return whether a client is sent earlier messages without a request.

    Clients with CHATHISTORY are not, because they ask for it; nor are bots, because they would act on old messages.
    """
    return not ("draft/chathistory" in client.caps or (client.user and "B" in client.user.modes))


def replay(client: IrcClient, past: HistoryShown) -> list[bytes]:
    """Return the lines that replay earlier messages to a client that has joined, if it gets any.

    The lines are marked as old by a batch of the type chathistory, by the tag server-time, or by the time in the text.
    """
    if not gets_replay(client):
        return []
    lines: list[bytes] = []
    ref = client.new_ref() if "batch" in client.caps else ""
    for entry in past.entries:
        clock = "" if "server-time" in client.caps else shown_time(entry.time, past.now)
        lines += client.form.lines(entry, ref, clock=clock)
    return in_batch(client, ref, channel(past.entries[0].room), lines) if lines else []


def replay_private(client: IrcClient, past: PrivateShown) -> list[bytes]:
    """Return the lines that replay the private messages that a client's user has missed."""
    lines: list[bytes] = []
    ref = client.new_ref() if "batch" in client.caps else ""
    for entry in past.entries:
        clock = "" if "server-time" in client.caps else shown_time(entry.time, past.now)
        lines += client.form.lines(entry, ref, clock=clock)
    return in_batch(client, ref, past.other, lines)


def catch_up(client: IrcClient) -> None:
    """Show a client the private messages that its user has missed, unless it asks for them itself or is a bot."""
    if gets_replay(client):
        client.hub.private_history.catch_up(client.session)


def in_batch(
    client: IrcClient, ref: str, target: str, lines: Sequence[bytes], kind: str = "chathistory"
) -> list[bytes]:
    """Return history lines between the start and the end of their batch; without a reference, the lines alone."""
    if not ref:
        return list(lines)
    server = client.network.name
    begin = wire.line(server, "BATCH", f"+{ref}", kind, *([target] if target else []))
    return [begin, *lines, wire.line(server, "BATCH", f"-{ref}")]


# --- CHATHISTORY ----------------------------------------------------------------------------------------------------


def parse_time(text: str) -> float | None:
    """Return the epoch seconds of `timestamp=` and a time as in server-time; None for another text."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    try:
        return datetime.fromisoformat(match[1].replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def chathistory(client: IrcClient, params: list[str]) -> None:
    """CHATHISTORY verb target bound... limit: read earlier messages."""
    verb = params[0].upper() if params else "*"
    form = _FORMS.get(verb)
    if form is None:
        client.fail("CHATHISTORY", "INVALID_PARAMS", verb, "Unknown command")
        return
    if len(params) != form + 2 + (verb != "TARGETS"):
        client.fail("CHATHISTORY", "INVALID_PARAMS", verb, "Insufficient parameters")
        return
    limit = params[-1]
    if not (limit.isascii() and limit.isdigit() and int(limit[:9])):
        client.fail("CHATHISTORY", "INVALID_PARAMS", verb, limit, "Invalid limit")
        return
    bounds = params[1:-1] if verb == "TARGETS" else params[2:-1]
    read = []
    for bound in bounds:
        value = _bound(client, verb, params[1], bound)
        if value is None:
            return
        read.append(value)
    count = min(int(limit[:9]), HISTORY)
    if verb == "TARGETS":
        _targets(client, [value for value in read if isinstance(value, float)], count)
    else:
        _read(client, verb, params[1], read, count)


_FORMS = {"LATEST": 1, "BEFORE": 1, "AFTER": 1, "AROUND": 1, "BETWEEN": 2, "TARGETS": 2}  # verb: number of bounds


def _bound(client: IrcClient, verb: str, target: str, text: str) -> float | str | None:
    """Return a bound: a time in seconds since 1970, an id, or "*". If it is not valid, reply FAIL and return None."""
    if text == "*" and verb == "LATEST":
        return "*"
    if text.startswith("msgid=") and verb != "TARGETS":
        return text.removeprefix("msgid=")
    if text.startswith("timestamp="):
        value = parse_time(text)
        if value is not None:
            return value
        client.fail("CHATHISTORY", "INVALID_PARAMS", verb, text, "Invalid timestamp")
    elif "=" in text:
        code, about = ("INVALID_PARAMS", text) if verb == "TARGETS" else ("INVALID_MSGREFTYPE", target)
        client.fail("CHATHISTORY", code, verb, about, "Only msgid and timestamp are known")
    else:
        client.fail("CHATHISTORY", "INVALID_PARAMS", verb, text, "Invalid bound")
    return None


def _read(client: IrcClient, verb: str, target: str, bounds: list[float | str], limit: int) -> None:
    room = find_room(client, target)
    if target.startswith("#") and (room is None or room.id not in client.session.rooms):
        client.fail("CHATHISTORY", "INVALID_TARGET", verb, target, "Messages could not be retrieved")
        return
    name, other = room.name if room else "", ""
    if room is None:
        try:
            name, parties = client.hub.private_history.room_with(client.session, target)
        except Refused:  # private messages of guests are not stored
            client.end_batch(client.begin_batch("chathistory", target))
            return
        other = parties.recipient.id
    every = "draft/event-playback" in client.caps
    given = tuple(bound for bound in bounds if bound != "*")
    query = Around(name, verb.lower(), given, limit, every, UNSHOWN, viewer=ASKER, room_id=room.id if room else "")
    client.session.queue(ChathistoryAsked(query, verb, target, other))


class ChathistoryAsked(LogQuestion, frozen=True):
    """CHATHISTORY of a target; `other` is the id of the other account if it is a private conversation."""

    verb: str
    target: str
    other: str


def _history_read(client: IrcClient, asked: ChathistoryAsked, page: LogPage | BrokerError) -> None:
    hub, session = client.hub, client.session
    if isinstance(page, BrokerError):
        about = (asked.verb, asked.target, "Messages could not be retrieved")
        client.emit(wire.line(client.network.name, "FAIL", "CHATHISTORY", "MESSAGE_ERROR", *about))
        return
    ref = client.new_ref() if "batch" in client.caps else ""
    lines = [
        line for entry in hub.private_history.shown(session, page).entries for line in client.form.lines(entry, ref)
    ]
    client.emit(*in_batch(client, ref, asked.target, lines))
    if asked.other:
        hub.private_history.note_given(session, asked.other, page)


def _targets(client: IrcClient, bounds: list[float], limit: int) -> None:
    if len(bounds) < 2:
        return
    low, high = sorted(round(bound * 1000) for bound in bounds)
    client.session.queue(TargetsAsked(low, high, bounds[0] > bounds[1], limit))


class TargetsAsked(Struct, frozen=True):
    """CHATHISTORY TARGETS: at most `limit` of the rooms and conversations whose last message was between two times.

    The times are in milliseconds since 1970. `newest` asks for the last ones of them.
    """

    low: int
    high: int
    newest: bool
    limit: int


def _list(client: IrcClient, asked: TargetsAsked, done: Callable[[Sequence[tuple[str, float]]], None]) -> None:
    client.hub.private_history.list(client.session, done)


def _targets_read(client: IrcClient, asked: TargetsAsked, talks: Sequence[tuple[str, float]]) -> None:
    known = [(then, name) for name, then in talks]
    for room in client.session.rooms.values():
        known += [(room.latest[-1].time, channel(room.name))] if room.latest else []
    found = [(then, name) for then, name in sorted(known) if asked.low < int(then * 1000) < asked.high]
    ref = client.new_ref() if "batch" in client.caps else ""
    mark = b"@batch=" + ref.encode() + b" " if ref else b""
    lines = [
        mark + wire.line(client.network.name, "CHATHISTORY", "TARGETS", name, stamp(then))
        for then, name in (found[-asked.limit :] if asked.newest else found[: asked.limit])
    ]
    client.emit(*in_batch(client, ref, "", lines, "draft/chathistory-targets"))


OPERATIONS = (
    client_question(ChathistoryAsked, _history_read),
    OperationKind(TargetsAsked, _targets_read, _list),
)


# --- read markers ---------------------------------------------------------------------------------------------------


def markread(client: IrcClient, params: list[str]) -> None:
    """MARKREAD target [timestamp=...]: store how far you have read; without an account, until you disconnect."""
    if not params:
        client.fail("MARKREAD", "NEED_MORE_PARAMS", "Missing parameters")
        return
    target = params[0]
    key = _marked(client, target)
    if not key:
        client.fail("MARKREAD", "INVALID_PARAMS", "*", "This is no channel and no nick")
        return
    if len(params) > 1:
        then = parse_time(params[1])
        if then is None:
            client.fail("MARKREAD", "INVALID_PARAMS", params[1], "Invalid parameters")
            return
        account = client.user.account if client.user and key[0] in "#@" else None
        if account:
            client.hub.reading.read(client.session, account, key, then)
        else:
            client.markers.advance("", key, then)
    client.reply("MARKREAD", target, shown_marker(client, key))


def _marked(client: IrcClient, target: str) -> str:
    """Return the target of a read marker as ReadMarkers has it; "" for a text that can name no channel and no user."""
    if room := find_room(client, target):
        return of_room(room.id)
    accounts, short = client.hub.nicks.accounts, target[: FOLDED_CHARS + 1]
    if account := accounts.find(short) or accounts.former(short):
        return of_person(account.id)
    key = key_of(target)
    # All markers of an account are stored in one item, so each target must be short.
    if key.startswith("#"):
        return key if is_room(key[1:]) else ""
    guest = client.hub.nicks.find(target) if is_name(target) else None
    return f"~{guest.id}" if guest else f"~~{key}" if is_name(target) else ""


# --- multi-line messages --------------------------------------------------------------------------------------------


class Multiline(Struct):
    """A multi-line message that is being received. If it is `broken`, the rest of its lines is ignored."""

    ref: str
    target: str
    tags: str
    verb: str = ""
    text: str = ""
    lines: int = 0
    size: int = 0  # bytes as max-bytes counts them
    broken: bool = False


def stray_batch(client: IrcClient, params: list[str]) -> None:
    """BATCH +ref draft/multiline target, BATCH -ref: send a message of several lines."""


def takes(client: IrcClient, message: wire.Message) -> bool:
    """Process a message if it belongs to a multi-line message; return whether it does."""
    batch: Multiline | None = client.batch
    if message.verb == "BATCH" and client.registered:
        _batch(client, message)
        return True
    if batch is None:
        return False
    ref = message.tags.get("batch")
    if ref is None:
        return False
    if ref != batch.ref:
        _break(client, batch, "MULTILINE_INVALID", "That is no part of the open batch")
    elif not batch.broken:
        _line(client, batch, message)
    return True


def _break(client: IrcClient, batch: Multiline, code: str, *params: str) -> None:
    if not batch.broken:
        client.go_on_answering()
        client.fail("BATCH", code, *params)
    batch.broken = True


def _batch(client: IrcClient, message: wire.Message) -> None:
    params = message.params
    ref = params[0] if params else ""
    batch: Multiline | None = client.batch
    free = batch is None or batch.broken  # a refused batch may stay open
    if ref.startswith("+") and len(params) >= 3 and params[1] == MULTILINE and free:
        client.batch = Multiline(ref[1:], params[2], messages.client_tags(message))
        client.defer_response()
        return
    if ref.startswith("-") and batch is not None and ref[1:] == batch.ref:
        client.batch = None
        client.go_on_answering()
        if not batch.broken and is_blank(clean_exactly(batch.text)):
            _break(client, batch, "MULTILINE_INVALID", "There is nothing to send")
        if not batch.broken:
            messages.say_to(client, batch.target, batch.text, batch.verb, batch.tags)
        return
    if batch is not None:
        _break(client, batch, "MULTILINE_INVALID", "A batch is open already")
    else:
        client.fail("BATCH", "MULTILINE_INVALID", "There is no such batch")


def _line(client: IrcClient, batch: Multiline, message: wire.Message) -> None:
    concat = f"{MULTILINE}-concat" in message.tags
    if message.verb not in ("PRIVMSG", "NOTICE") or len(message.params) < 2 or batch.verb not in ("", message.verb):
        _break(client, batch, "MULTILINE_INVALID", "A batch holds PRIVMSG or NOTICE alone")
        return
    target, text = message.params[0], message.params[1]
    if key_of(target) != key_of(batch.target):
        _break(client, batch, "MULTILINE_INVALID_TARGET", batch.target, target, "All lines go to one target")
        return
    if concat and not text:
        _break(client, batch, "MULTILINE_INVALID", "An empty line cannot be joined to another")
        return
    batch.size += len(text.encode()) + bool(batch.lines and not concat)
    between = CUT if concat else "\n"
    batch.text += f"{between}{text}" if batch.lines else text
    batch.lines += 1
    batch.verb = message.verb
    if batch.lines > bounds.MULTILINE_LINES:
        _break(client, batch, "MULTILINE_MAX_LINES", str(bounds.MULTILINE_LINES), "There are too many lines")
    elif batch.size > bounds.MULTILINE_BYTES:
        _break(client, batch, "MULTILINE_MAX_BYTES", str(bounds.MULTILINE_BYTES), "There are too many bytes")
