"""The slash commands of operators: rows of the table of commands (chat/commands/slash.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from hubbub.chat import moderation
from hubbub.chat.commands import codes
from hubbub.chat.core import Verified
from hubbub.chat.session import Session, User, owner
from hubbub.chat.turns import OperationKind
from hubbub.model.access import Action, may
from hubbub.model.accounts.grants import with_admin
from hubbub.model.entries import ModeChange
from hubbub.model.events import Event, Notice, Refusal, SettingsListed
from hubbub.model.room.masks import mask_targets
from hubbub.model.room.masks.masks import MUTE, whole_mask
from hubbub.model.room.modes import LETTERS
from hubbub.text import refusals
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room


class SlashCommand(Struct, frozen=True):
    """A row of the table: `usage` shows the arguments, placeholders in capitals and optional parts in brackets.

    /help explains the commands that have no `group`; of the others it lists the names, and `/help GROUP` explains them.
    """

    name: str
    usage: str
    help: str
    run: Callable[[Hub, Session, str], None]
    group: str = ""

    @property
    def synopsis(self) -> str:
        """Return the command with its arguments, as it is typed."""
        return f"/{self.name} {self.usage}".rstrip()

    @property
    def line(self) -> str:
        """Return the line of /help for this command."""
        return f"{self.synopsis}: {self.help}"


SETTINGS = {
    "invite-only": "i",
    "moderated": "m",
    "members-only": "n",
    "secret": "s",
    "topic-lock": "t",
    "key": "k",
    "limit": "l",
    "slow": "d",
    "locked": "L",
    "announcements": "A",
    "flood": "f",
}
ON, OFF = ("on", "yes", "1"), ("off", "no", "0", "")
_DURATION = re.compile(r"(\d{1,4})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}
_CLOAK = re.compile(r"[0-9a-f]{10}")
_BY_CLOAK = re.compile(rf"\*!\*@{_CLOAK.pattern}\.\*")


def _tell(hub: Hub, session: Session, text: str) -> None:
    hub.reply(session, Notice((text,)))


def change_modes(
    hub: Hub, session: Session, changes: list[ModeChange], until: float = 0.0, room: Room | None = None
) -> None:
    """Change the modes of a room, the current one by default; reply if nothing changes.

    Raises:
        Refused: a change is invalid, or the session may not make it.

    """
    room = room or hub.rooms.of(session)
    before = len(session.pending)
    for _, refusal in moderation.change(hub, session, room, changes, until):
        raise refusal
    if len(session.pending) == before:
        _tell(hub, session, "Nothing has changed: that is already so")


def _status(on: bool, letter: str) -> Callable[[Hub, Session, str], None]:
    def run(hub: Hub, session: Session, name: str) -> None:
        change_modes(hub, session, [ModeChange(on, letter, name)])

    return run


def _lock(on: bool) -> Callable[[Hub, Session, str], None]:
    return lambda hub, session, _: change_modes(hub, session, [ModeChange(on, "L", "")])


def _founder(hub: Hub, session: Session, name: str) -> None:
    """Hand the room over in one entry, so that at no moment it has two operators or none."""
    room = hub.rooms.of(session)
    hub.check(session, Action.SET_MODES, room)
    heir = moderation.member(hub, room, name)  # before anything changes: otherwise the room could be left to nobody
    given = [ModeChange(True, "o", heir.nick)]
    change_modes(hub, session, given if heir is session.user else [*given, ModeChange(False, "o", session.nick)])


def _kick(hub: Hub, session: Session, argument: str) -> None:
    name, *why = argument.split(maxsplit=1)
    moderation.kick(hub, session, hub.rooms.of(session), name, *why)


def _invite(hub: Hub, session: Session, argument: str) -> None:
    name, _, rest = argument.partition(" ")
    if name.lower() == "code":
        codes.make_code(hub, session, rest.lower().split())
        return
    target = moderation.invite(hub, session, hub.rooms.of(session), argument)
    _tell(hub, session, f"{target.nick} is invited")


def _rename(hub: Hub, session: Session, argument: str) -> None:
    moderation.move(hub, session, hub.rooms.of(session), argument.removeprefix("#"))


def mask_of(hub: Hub, text: str) -> str:
    """Return the mask for a name, a cloak, an address or a whole mask."""
    if mask_targets.one_address(text) or mask_targets.is_pattern(text):
        return f"*!*@{text}"
    if set(text) & set("!@*?"):
        return whole_mask(text)
    if _CLOAK.fullmatch(text):
        return f"*!*@{text}.*"
    found = hub.nicks.find(text)
    return f"{found.nick if found else text}!*@*"


def masks_of(hub: Hub, session: Session, room: Room, text: str) -> list[str]:
    """Return the masks that bar a user from a room: the name, and also the cloak if no other member shares it.

    So the user cannot return under another name from another connection, and no other user in a class behind one router
    is barred. Raises Refused.
    """
    mask = moderation.placed(hub, session, mask_of(hub, text))
    person = hub.nicks.find(text)
    if person is None or mask != f"{person.nick}!*@*":
        return [mask]
    cloak = _cloak(person)
    if not cloak or any(_cloak(other) == cloak for other in (*room.members, owner(session)) if other is not person):
        return [mask]
    return [mask, f"*!*@{cloak}.*"]


def _cloak(person: User) -> str:
    return person.host.rpartition("@")[2].partition(".")[0]


def hit_by(hub: Hub, room: Room, masks: Sequence[str]) -> list[User]:
    """Return the members of a room whom one of the masks matches."""
    targets = [mask_targets.read_target(mask) for mask in masks]
    return [member for member in room.members if any(target.means(hub.viewer_of(member)) for target in targets)]


def _bar(mute: bool) -> Callable[[Hub, Session, str], None]:
    verb = "mute" if mute else "ban"

    def run(hub: Hub, session: Session, argument: str) -> None:
        room = hub.rooms.of(session)
        hub.check(session, Action.SET_MODES, room)
        words = argument.split()
        sure = words[-1] == "yes" and len(words) > 1
        words = words[:-1] if sure else words
        length = _DURATION.fullmatch(words[1]) if len(words) == 2 else None
        if len(words) > 2 or (len(words) == 2 and not length):
            raise refusals.ARGUMENT_INVALID(synopsis=f"/{verb} NAME [30m|2h|1d] [yes]")
        masks = masks_of(hub, session, room, words[0])
        hit = hit_by(hub, room, masks)
        if not sure:
            _warn(hub, session, verb, " ".join(words), masks, hit)
            return
        until = hub.clock() + int(length[1]) * _SECONDS[length[2]] if length else 0.0
        changes = [ModeChange(True, "b", MUTE + mask if mute else mask) for mask in masks]
        change_modes(hub, session, changes, until)
        session.last_ban = (room.id, changes)
        for member in [] if mute else hit:
            if member is not session.user and not room.state.is_operator(member):
                moderation.kick(hub, session, room, member.nick, "banned")

    return run


def _described(mask: str) -> str:
    """Return a description of the users whom a mask matches, in plain words if it is a name or a cloak."""
    if _BY_CLOAK.fullmatch(mask):
        return f"anyone from the address {mask.removeprefix('*!*@').removesuffix('.*')}"
    nick = mask.removesuffix("!*@*")
    is_name = nick != mask and not set(nick) & set("*?")
    return f"anyone called {nick}" if is_name else f"anyone who matches {mask}"


def _warn(hub: Hub, session: Session, verb: str, typed: str, masks: Sequence[str], hit: list[User]) -> None:
    """Reply with the users whom a ban would hit; it takes effect after a confirmation."""
    names = ", ".join(sorted((member.nick for member in hit), key=str.casefold)[:50]) or "nobody"
    whom = " and ".join(_described(mask) for mask in masks)
    lines = [f"This would {verb} {whom} (here now: {names}). Type /{verb} {typed} yes to go ahead."]
    if len(hit) == len(masks) == 1:
        cloak = _cloak(hit[0])
        lines.append(f"To {verb} everybody from the same address as {hit[0].nick}: /{verb} {cloak}")
    hub.reply(session, Notice(tuple(lines)))


def _unbar(mute: bool) -> Callable[[Hub, Session, str], None]:
    def run(hub: Hub, session: Session, argument: str) -> None:
        mask = MUTE + mask_of(hub, argument) if mute else mask_of(hub, argument)
        masks = [mask]
        along = hub.rooms.of(session).state.lists.after("b", mask)
        if along and mask.endswith("!*@*") and _BY_CLOAK.fullmatch(along.removeprefix(MUTE if mute else "")):
            masks.append(along)
        change_modes(hub, session, [ModeChange(False, "b", one) for one in masks])

    return run


def _undo(hub: Hub, session: Session, _: str) -> None:
    if session.last_ban is None:
        raise refusals.NOTHING_TO_UNDO()
    id, changes = session.last_ban
    room = session.rooms.get(id)
    if room is None:
        raise refusals.NOTHING_TO_UNDO()
    change_modes(hub, session, [change._replace(on=False) for change in changes], room=room)
    session.last_ban = None


def _bans(hub: Hub, session: Session, _: str) -> None:
    room = hub.rooms.of(session)
    now = hub.clock()
    lines = []
    for mask, listed in room.state.lists["b"].items():
        if listed.until and listed.until <= now:
            continue
        what = "muted" if mask.startswith(MUTE) else "banned"
        left = f", for {(listed.until - now) / 60:.0f} minutes more" if listed.until else ""
        shown = mask if session.operator else mask_targets.shown(mask)
        lines.append(f"{what}: {shown.removeprefix(MUTE)} (by {listed.by}{left})")
    hub.reply(session, Notice(tuple(lines or ["Nobody is banned or muted here"])))


def _set(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    if not argument:
        hub.reply(session, Notice(tuple(_settings(room, session))))
        return
    name, _, value = argument.partition(" ")
    letter = SETTINGS.get(key_of(name))
    if letter is None:
        raise refusals.NO_SUCH_SETTING(settings=", ".join(SETTINGS))
    off = value.lower() in OFF
    if not LETTERS[letter].parameter and not off and value.lower() not in ON:
        raise refusals.VALUE_INVALID(setting=name)
    closed = room.state.closed
    change_modes(hub, session, [ModeChange(not off, letter, value if LETTERS[letter].parameter and not off else "")])
    if off and closed == letter:
        text = f"Everybody can now read {room.name}, including the messages from the time when it was closed"
        session.queue(OpeningTold(room.id, text))


class OpeningTold(Struct, frozen=True):
    """The operator who has opened the room with an id to everybody gets a sentence about its consequences."""

    room: str
    text: str


def _tell_open(hub: Hub, session: Session, told: OpeningTold, _: object) -> Event | None:
    room = hub.loaded.by_id.get(told.room)
    return Notice((told.text,)) if room and not room.state.closed else None


def _settings(room: Room, session: Session) -> list[str]:
    rules = room.state
    values = {
        "k": "set" if rules.key else "off",
        "l": str(rules.limit or "off"),
        "d": str(rules.slow.seconds or "off"),
        "f": str(rules.flood or "off"),
    }
    lines = [
        f"{name}: {values.get(letter) or ('on' if letter in rules.flags else 'off')}"
        for name, letter in SETTINGS.items()
    ]
    operators = sorted(member.nick for member, status in rules.status.items() if "o" in status)
    lines.append(f"operators: {', '.join(operators) or 'none here'}")
    return [*lines, f"watching over HTTP: {len(room.watchers)}"] if room.watchers else lines


# The actions on a room that a page offers only to those who may do them.
OFFERED = (
    Action.INVITE,
    Action.SET_TOPIC,
    Action.SET_MODES,
    Action.KICK,
    Action.REDACT,
    Action.PIN,
    Action.RENAME,
    Action.POLL,
    Action.RAISE_HAND,
    Action.ASK,
)


def list_settings(hub: Hub, session: Session, name: str) -> None:
    """Reply with the settings of a room, and the actions that the session may do there. Raises Refused."""
    room = hub.rooms.of(session, name)
    rules, viewer = room.state, hub.viewer(session)
    values: dict[str, bool | int] = {
        "k": bool(rules.key),
        "l": rules.limit or 0,
        "d": int(rules.slow.seconds),
        "f": rules.flood,
    }
    settings = {name: values.get(letter, letter in rules.flags) for name, letter in SETTINGS.items()}
    allowed = [action for action in OFFERED if not may(viewer, action, rules)]
    hub.reply(session, SettingsListed(room.name, settings, allowed))


def _oper(hub: Hub, session: Session, argument: str) -> None:
    name, _, password = argument.partition(" ")
    session.queue(OperatorLogin(name, password))


class OperatorLogin(Struct, frozen=True):
    """A session wants to act as a server operator, whose name and password must be checked."""

    name: str
    password: str

    __repr__ = concealed


def _check(hub: Hub, session: Session, asked: OperatorLogin, done: Verified) -> None:
    hub.check_login(session, asked.name, asked.password, done)


def _checked(hub: Hub, session: Session, asked: OperatorLogin, right: bool | None) -> Event:
    if right is None:
        return Refusal.of(refusals.LOGINS_BUSY())
    if right and session.user:
        session.user.operator, session.permit = True, with_admin(session.permit)
        hub.touch(session)
    return Notice(("You may act in every room now" if right else "Wrong name or password",))


OPERATIONS = (
    OperationKind(OpeningTold, _tell_open, waits=False),
    OperationKind(OperatorLogin, _checked, _check, moves=False),  # it has a password
)
OPERATORS = "operators"  # the /help group of these commands


def _row(name: str, usage: str, help: str, run: Callable[[Hub, Session, str], None]) -> SlashCommand:
    return SlashCommand(name, usage, help, run, group=OPERATORS)


ROWS = (
    _row("op", "NAME", "Make somebody an operator of the room.", _status(True, "o")),
    _row("deop", "NAME", "Remove somebody's operator rights.", _status(False, "o")),
    _row("founder", "NAME", "Hand the room over: make somebody its operator in your place.", _founder),
    _row("voice", "NAME", "Let somebody speak in a moderated room.", _status(True, "v")),
    _row("devoice", "NAME", "Remove somebody's right to speak in a moderated room.", _status(False, "v")),
    _row("kick", "NAME [REASON]", "Remove somebody from the room.", _kick),
    _row("ban", "NAME [TIME] [yes]", "Keep out a name, cloak or mask (for 30m, 2h, 1d).", _bar(False)),
    _row("unban", "NAME", "Let somebody in again.", _unbar(False)),
    _row("mute", "NAME [TIME] [yes]", "Stop somebody from posting.", _bar(True)),
    _row("unmute", "NAME", "Let somebody post again.", _unbar(True)),
    _row("undo", "", "Undo your last ban or mute.", _undo),
    _row("bans", "", "List bans and mutes.", _bans),
    _row("invite", "NAME|code [1h] [N uses]", "Invite somebody to the room, or make a code for many.", _invite),
    _row("codes", "[end CODE]", "List the open codes of the room, or end one.", codes.list_codes),
    _row("set", "[SETTING VALUE]", f"Show or change the room's settings: {', '.join(SETTINGS)}.", _set),
    _row("lock", "", "Let only operators speak here.", _lock(True)),
    _row("unlock", "", "Let people speak here again.", _lock(False)),
    _row("rename", "ROOM", "Give the room another name.", _rename),
    _row("oper", "NAME PASSWORD", "Log in as a server operator.", _oper),
)
