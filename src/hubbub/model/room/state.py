"""The state of a room: the effect of the entries of its log on the room; overlays.py has that on earlier entries.

This is the only code that knows it. The live room, every storage, the cluster and the test doubles use it. A change is
applied in the same way whether its entry has just been committed or is read again after years.

A state is stored as the entries that it results from (`RoomState.snapshot`), each reduced to the part that is still in
force. So a snapshot has a bounded size however often the state was changed, restoring it means applying it, and old
versions can read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from msgspec.structs import replace

from hubbub.model.account import is_account
from hubbub.model.entries import (
    Body,
    Braked,
    Edited,
    Entry,
    HandMoved,
    Joined,
    Kicked,
    Left,
    ModeChange,
    ModesChanged,
    NickChanged,
    Pinned,
    PollClosed,
    Polled,
    Redacted,
    RoomRenamed,
    TopicSet,
    TurnGiven,
    Unpinned,
    Voted,
)
from hubbub.model.messages import polls
from hubbub.model.messages.overlays import overlaid
from hubbub.model.room import keys, modes
from hubbub.model.room.masks.mask_lists import LISTS, MaskLists
from hubbub.model.room.masks.masks import MUTE, NOBODY, read_mask
from hubbub.model.room.modes import CLOSED, LETTERS, PREFIXES, SECRET, SHOWN_KEY
from hubbub.model.room.slow_mode import SlowMode
from hubbub.model.viewer import Principal
from hubbub.text.cleaning import beginning
from hubbub.text.names import LOBBY, key_of

MAX_PINS = 10  # messages that are pinned to a room; beyond it the oldest is dropped
MAX_REDACTED = 100  # newest redacted messages that a room remembers: a late pin of one of them has no effect
MAX_HANDS = 200  # raised hands and turns to speak in a room; beyond it a hand stays down
MAX_POLLS = 5  # open polls of a room; beyond it the oldest is dropped
MAX_BRAKE = 3600  # longest time that a room rests, in seconds
MAX_RIGHTS = 500  # users whose rights a room remembers, present or not
# Bounds of a list of masks. The hub refuses a mask before (text/bounds.py), so that only other programs can reach them.
MAX_MASKS = 400
LIST_CHARS = 16 * 1024
PARAM_CHARS = 256  # characters of a parameter: no client can set a longer one


class Topic(NamedTuple):
    """A topic with its author, its time (epoch seconds) and its formatting (text/tags.py)."""

    text: str = ""
    by: str = ""
    at: float = 0.0
    tags: str = ""


class Pin(NamedTuple):
    """A pinned message: its author with the beginning of its text, and the nick of the user who has pinned it."""

    text: str
    by: str


def pin_text(nick: str, text: str) -> str:
    """Return the text of a pin for a message of `nick`."""
    return f"{nick}: {beginning(text)}"


Holder = tuple[str, str]  # under which a user's rights are remembered: the folded nick, and the host
# A part of the state: a mode letter with its subject, "join", "topic" or "brake" with "", "pin" with the id of a
# message, "poll" with the id of a poll, or "hand" with a holder.
Part = tuple[str, str]
_JOIN, _TOPIC, _BRAKE = ("join", ""), ("topic", ""), ("brake", "")


class RoomState:
    """The state of one room.

    Args:
        name: its name at the time of the first entry.
        entries: the entries to begin with: a snapshot, or a whole log.
        id: the id of the room, which it keeps when it is renamed; its name by default.

    """

    __slots__ = (
        "_made", "_opener", "_sources", "brake_ends", "closed_polls", "created", "flags", "flood", "hands", "id", "key",
        "known_key", "limit", "lists", "members", "name", "pins", "polls", "redacted", "rights", "slow", "status",
        "topic", "touched",
    )  # fmt: skip

    def __init__(self, name: str, entries: Iterable[Entry] = (), id: str = "") -> None:
        self.name = name
        self.id = id or name
        self.topic = Topic()
        # The lobby has no operator who could open it to scripts.
        self.flags = set() if name == LOBBY else {"n"}
        self.key = ""  # as it is stored
        self.known_key = ""  # in plain text, if a user typed it since the room was loaded
        self.limit = 0  # members; 0: any number
        self.slow = SlowMode()
        self.flood = 0  # messages in 10 s, with the next of which the room rests; 0: any number
        self.brake_ends = 0.0  # epoch seconds: until then the room rests; 0 if it does not
        self.lists = MaskLists()
        self.created = 0.0  # epoch seconds
        self.pins: dict[str, Pin] = {}  # by the ids of the messages, the oldest first
        # The newest messages that were redacted, in this process: a pin may have been made before and be stored after.
        self.redacted: deque[str] = deque(maxlen=MAX_REDACTED)
        self.polls: dict[str, Entry] = {}  # the open ones with their votes, by their ids, the oldest first
        # The newest polls that were closed, in this process: their ends are shown with the results.
        self.closed_polls: deque[Entry] = deque(maxlen=MAX_POLLS)
        self.rights: dict[Holder, str] = {}  # letters of PREFIXES
        # Those who have raised a hand, the first one first; true for those who have a turn to speak instead.
        self.hands: dict[Holder, bool] = {}
        self.members: Collection[Principal] = ()  # the users in the live room, which keeps this up to date
        self.status: dict[Principal, str] = {}  # of members with rights: letters of PREFIXES
        self._opener: Holder | None = None  # the first member, an operator unless an entry says otherwise
        self._sources: dict[Part, int] = {}  # the numbers of the entries that the parts of the state come from
        # By its number, each of these entries, with its parts and the changes that made them.
        self._made: dict[int, tuple[Entry, dict[Part, ModeChange | None]]] = {}
        # The numbers of the entries whose share in the snapshot has changed, if somebody keeps a copy of the snapshot.
        self.touched: set[int] | None = None
        for entry in entries:
            self.apply(entry)

    # --- what the log says ----------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> bool:
        """Let an entry take effect, and return whether it changed the state; entries come in the order of the log."""
        effect = self._EFFECTS.get(type(entry.body))
        return effect is not None and effect(self, entry, entry.body)

    def snapshot(self) -> list[Entry]:
        """Return the entries that the state results from, in their order, without the parts that are overruled."""
        return [_reduced(*self._made[seq]) for seq in sorted(self._made)]

    def share(self, seq: int) -> Entry | None:
        """Return the entry with this number as the snapshot has it, None if it is not in it."""
        made = self._made.get(seq)
        return _reduced(*made) if made else None

    def _joined(self, entry: Entry, body: Joined) -> bool:
        """Make the first member the room's operator, except in the lobby."""
        if self.created:
            return self._end_rights(entry, (key_of(entry.nick), entry.host))
        self.created = entry.time
        self._keep(_JOIN, entry, None)
        if entry.prev:  # scripts posted here before the first member came
            self.flags.discard("n")
        if self.name != LOBBY:
            self._opener = key_of(entry.nick), entry.host
            self.rights[self._opener] = "o" + self.rights.get(self._opener, "").replace("o", "")
            for member in self.members:
                if (member.nick, member.host) == (entry.nick, entry.host):
                    self.status[member] = "o"
        return True

    def _topic_set(self, entry: Entry, body: TopicSet) -> bool:
        self.topic = Topic(body.text, entry.nick, entry.time, entry.tags)
        self._keep(_TOPIC, entry, None)
        return True

    def _room_renamed(self, entry: Entry, body: RoomRenamed) -> bool:
        self.name = body.to
        return True

    def _nick_changed(self, entry: Entry, body: NickChanged) -> bool:
        """Move the rights of a renamed user to the new name."""
        before, now = (key_of(entry.nick), entry.host), (key_of(body.nick), entry.host)
        if before != now:  # a hand or turn under the new name is that of somebody who has gone
            self._lower(now)
        ended = before != now and self._end_rights(entry, now)
        moved = letters = self.rights.pop(before, "")
        had = self.rights.get(now, "")
        if letters := letters + "".join(letter for letter in had if letter not in letters):
            self.rights[now] = letters
        turn = self._move_hand(before, now, f"{body.nick}!{entry.host}")
        for letter in moved:
            self._note(entry, ModeChange(False, letter, f"{entry.nick}!{entry.host}"))
            if not (turn and letter == "v"):
                self._note(entry, ModeChange(True, letter, f"{body.nick}!{entry.host}"))
        self._bound_rights()
        for member in self.members:  # a member may have either name at this moment
            if member.host == entry.host and key_of(member.nick) in (before[0], now[0]) and self._trusts(member):
                self._set_status(member, letters)
        return bool(moved) or ended

    def _pinned(self, entry: Entry, body: Pinned) -> bool:
        if body.target in self.redacted:
            return False
        self.pins.pop(body.target, None)
        self.pins[body.target] = Pin(body.text, entry.nick)
        self._keep(_pin(body.target), entry, None)
        while len(self.pins) > MAX_PINS:
            self._unpin(next(iter(self.pins)))
        return True

    def _unpinned(self, entry: Entry, body: Unpinned) -> bool:
        return self._unpin(body.target)

    def _redacted(self, entry: Entry, body: Redacted) -> bool:
        self.redacted.append(body.target)
        for poll in [one for one in self.closed_polls if one.id == body.target]:
            self.closed_polls.remove(poll)
        return self._unpin(body.target) or self._end_poll(body.target)

    def _unpin(self, target: str) -> bool:
        self._drop(_pin(target))
        return self.pins.pop(target, None) is not None

    def _edited(self, entry: Entry, body: Edited) -> bool:
        """Give the pin of a corrected message the new text."""
        pin = self.pins.get(body.target)
        if pin is None:
            return False
        made, _ = self._made[self._sources[_pin(body.target)]]
        text = pin_text(pin.text.partition(": ")[0], body.text)
        self.pins[body.target] = pin._replace(text=text)
        self._keep(_pin(body.target), replace(made, body=Pinned(body.target, text)), None)
        return True

    def _polled(self, entry: Entry, body: Polled) -> bool:
        if polls.is_closed(entry):  # the log of a storage that changes entries in place
            return False
        self.polls[entry.id] = entry
        self._keep(_poll(entry.id), entry, None)
        while len(self.polls) > MAX_POLLS:
            self._end_poll(next(iter(self.polls)))
        return True

    def _voted(self, entry: Entry, body: Voted) -> bool:
        before = self.polls.get(body.target)
        if before is None or (now := overlaid(before, entry)) is before:
            return False
        self.polls[body.target] = now
        self._keep(_poll(body.target), now, None)
        return True

    def _poll_closed(self, entry: Entry, body: PollClosed) -> bool:
        if poll := self.polls.get(body.target):
            self.closed_polls.append(poll)
        return self._end_poll(body.target)

    def _end_poll(self, id: str) -> bool:
        self._drop(_poll(id))
        return self.polls.pop(id, None) is not None

    def _hand_moved(self, entry: Entry, body: HandMoved) -> bool:
        holder = _holder_of(body.who)
        if body.step != "up":
            return self._lower(holder)
        if holder in self.hands or len(self.hands) >= MAX_HANDS:
            return False
        self.hands[holder] = False
        self._keep(_hand(holder), entry, None)
        return True

    def _turn_given(self, entry: Entry, body: TurnGiven) -> bool:
        """Give a user a voice that ends with their next message; one who may speak already keeps their voice."""
        holder = _holder_of(body.who)
        self._lower(holder)
        if "v" not in self.rights.get(holder, "") and len(self.hands) < MAX_HANDS:
            self.hands[holder] = True
            self._keep(_hand(holder), entry, None)
            self._promote(ModeChange(True, "v", body.who))
            self._bound_rights()
        return True

    def _braked(self, entry: Entry, body: Braked) -> bool:
        self._rest_until(entry.time + min(body.seconds, MAX_BRAKE) if body.seconds else 0.0)
        if body.seconds:
            self._keep(_BRAKE, entry, None)
        return True

    def _rest_until(self, time: float) -> None:
        self.brake_ends = time
        self._drop(_BRAKE)

    def _left(self, entry: Entry, body: Left) -> bool:
        return bool(self.hands) and self._lower((key_of(entry.nick), entry.host))

    def _kicked(self, entry: Entry, body: Kicked) -> bool:
        """Take a user who was kicked out of the queue; only one user has a nick at a time."""
        kicked = [holder for holder in self.hands if holder[0] == key_of(body.nick)]
        for holder in kicked:
            self._lower(holder)
        return bool(kicked)

    def _lower(self, holder: Holder) -> bool:
        """Take a user out of the queue, and end their turn."""
        turn = self.hands.pop(holder, None)
        if turn:
            self._promote(ModeChange(False, "v", _holder_text(holder)))
        self._drop(_hand(holder))
        return turn is not None

    def _move_hand(self, before: Holder, now: Holder, who: str) -> bool:
        """Let the hand or turn of a renamed user have the new name; return whether it is a turn."""
        if before not in self.hands:
            return False
        made, _ = self._made[self._sources[_hand(before)]]
        body = made.body
        self._drop(_hand(before))
        self.hands = {now if one == before else one: turn for one, turn in self.hands.items()}
        moved = HandMoved(body.step, who) if isinstance(body, HandMoved) else TurnGiven(who)
        self._keep(_hand(now), replace(made, body=moved), None)
        # A voice that does not end ends a hand: the rename gives it to the new name once more.
        if any(("v", _holder_text(one)) in self._sources for one in (before, now)):
            del self.hands[now]
            self._drop(_hand(now))
            return False
        return self.hands[now]

    def _end_rights(self, entry: Entry, holder: Holder) -> bool:
        """End the rights of a guest who has gone, now that somebody comes under the same name from the same host.

        Do so only in a room that has an owner; return whether there were any rights.
        """
        if holder not in self.rights or is_account(entry.host) or not self.has_owner:
            return False
        self._lower(holder)
        for letter in self.rights.pop(holder, ""):
            self._note(entry, ModeChange(False, letter, _holder_text(holder)))
        # Another node may have reported a leave of a user that was here all the time.
        for member in self.members:
            if isinstance(entry.body, Joined) and (key_of(member.nick), member.host) == holder:
                self._set_status(member, "")
        return True

    def _modes_changed(self, entry: Entry, body: ModesChanged) -> bool:
        changed = False
        for change in body.changes:
            if len(change.param) <= PARAM_CHARS:
                self._change(entry, change, body.until)
                self._note(entry, change)
                changed = True
        self._bound_rights()
        return changed

    def _change(self, entry: Entry, change: ModeChange, until: float) -> None:
        on, letter, param = change
        if letter in PREFIXES:
            self._promote(change)
            if letter == "v" and self.hands.pop(_holder_of(param), None) is not None:
                self._drop(_hand(_holder_of(param)))
        elif letter in LISTS:
            if on:
                self.lists.add(letter, param, entry.nick, entry.time, until)
                self._bound_list(letter)
            else:
                self.lists.remove(letter, param)
        elif letter == "k":
            self.key, self.known_key = (param, "") if on else ("", "")
        elif letter in LETTERS and LETTERS[letter].parameter:
            self._set_number(letter, modes.number(param) if on else 0)
        elif on:
            self.flags.add(letter)
        else:
            self.flags.discard(letter)
            for holder in [one for one, turn in self.hands.items() if not turn] if letter == "m" else ():
                self._lower(holder)

    def _set_number(self, letter: str, number: int) -> None:
        if letter == "l":
            self.limit = number
        elif letter == "f":
            self.flood = number
            if not number:
                self._rest_until(0.0)
        else:
            self.slow.set(number)

    def _promote(self, change: ModeChange) -> None:
        nick, _, host = change.param.partition("!")
        _toggle(self.rights, (key_of(nick), host), change)
        for member in self.members:
            if key_of(member.nick) == key_of(nick):
                _toggle(self.status, member, change)

    # mypy cannot see that each function gets the body of its row.
    _EFFECTS: ClassVar[dict[type[Body], Callable[[RoomState, Entry, Any], bool]]] = {
        Joined: _joined,
        TopicSet: _topic_set,
        NickChanged: _nick_changed,
        Left: _left,
        Kicked: _kicked,
        HandMoved: _hand_moved,
        TurnGiven: _turn_given,
        Braked: _braked,
        ModesChanged: _modes_changed,
        RoomRenamed: _room_renamed,
        Pinned: _pinned,
        Unpinned: _unpinned,
        Polled: _polled,
        Voted: _voted,
        PollClosed: _poll_closed,
        Redacted: _redacted,
        Edited: _edited,
    }

    # --- what is remembered for a snapshot ------------------------------------------------------------------------

    def _note(self, entry: Entry, change: ModeChange) -> None:
        """Remember the entry of a change; one that takes back what an earlier entry set needs no entry."""
        part = _part_of(change)
        self._drop(part)
        by_default = part == ("n", "") or (self._opener and part == ("o", _holder_text(self._opener)))
        if change.on or by_default:
            self._keep(part, entry, change)

    def _keep(self, part: Part, entry: Entry, change: ModeChange | None) -> None:
        self._drop(part)
        self._sources[part] = entry.seq
        self._made.setdefault(entry.seq, (entry, {}))[1][part] = change
        if self.touched is not None:
            self.touched.add(entry.seq)

    def _drop(self, part: Part) -> None:
        seq = self._sources.pop(part, None)
        if seq is None:
            return
        del self._made[seq][1][part]
        if not self._made[seq][1]:
            del self._made[seq]
        if self.touched is not None:
            self.touched.add(seq)

    def _bound_rights(self) -> None:
        """Drop the oldest rights if there are too many, at first those of users who have only a voice."""
        while len(self.rights) > MAX_RIGHTS:
            voices = (holder for holder, letters in self.rights.items() if "o" not in letters)
            holder = next(voices, next(iter(self.rights)))
            for letter in self.rights.pop(holder):
                self._drop((letter, _holder_text(holder)))

    def _bound_list(self, letter: str) -> None:
        """Drop the oldest masks of a list if there are too many."""
        masks = self.lists[letter]
        while len(masks) > MAX_MASKS or sum(map(len, masks)) > LIST_CHARS:
            mask = next(iter(masks))
            self.lists.remove(letter, mask)
            self._drop(_part_of(ModeChange(True, letter, mask)))

    # --- members --------------------------------------------------------------------------------------------------

    def admit(self, user: Principal) -> None:
        """Give a new member the rights that are remembered for them, and use up their invitation."""
        user.invited.pop(self.id, None)
        if status := self.remembered_rights(user):
            self.status[user] = status

    def dismiss(self, user: Principal) -> None:
        """Take the rights of a user who has left the room; they stay remembered."""
        self.status.pop(user, None)

    def take_voice(self, user: Principal) -> None:
        """Take the voice of a member whose turn is over, before the entry that says so is stored."""
        _toggle(self.status, user, ModeChange(False, "v", ""))

    def restore_status(self, user: Principal) -> None:
        """Give a member the rights that are remembered for their name and host."""
        if self._trusts(user):
            self._set_status(user, self.remembered_rights(user))

    def move_status(self, user: Principal, before: str) -> None:
        """Follow a member's new name; the log entry of the rename may not have arrived yet."""
        if (key_of(before), user.host) not in self.rights:
            self.restore_status(user)

    def remembered_rights(self, user: Principal) -> str:
        """Return the rights that are remembered for a user with this name and host.

        Other users may share the address, and any user can take a name. So in a closed room, name and host alone give
        no rights.
        """
        return self.rights.get((key_of(user.nick), user.host), "") if self._trusts(user) else ""

    def inherited_rights(self, user: Principal) -> dict[str, str]:
        """Return the rights, by the former masks, that the owner of an account had before they logged in.

        They are those that a guest would find again; so there are none in a room that has an owner.
        """
        if not is_account(user.host) or self.has_owner or not self._trusts(user):
            return {}
        masks = user.former.get(self.id, ())
        return {mask: letters for mask in masks if (letters := self.rights.get(_holder_of(mask)))}

    def _trusts(self, user: Principal) -> bool:
        # For remote users, their own node has decided.
        return not self.closed or self.id in user.trusted or user.is_remote

    def _set_status(self, user: Principal, letters: str) -> None:
        if letters:
            self.status[user] = letters
        else:
            self.status.pop(user, None)

    def prefixes(self, user: Principal) -> str:
        """Return a member's prefix signs, the highest first."""
        status = self.status.get(user, "")
        return "".join(sign for letter, sign in PREFIXES.items() if letter in status)

    def is_operator(self, user: Principal) -> bool:
        """Return whether a user may change the modes: an operator of the room or of the server."""
        return "o" in self.status.get(user, "") or user.operator

    # --- questions ------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> str:
        """The letters of CLOSED that are set: "" for a room that all users can read."""
        return "".join(sorted(self.flags.intersection(CLOSED) | ({"k"} if self.key else set())))

    @property
    def is_secret(self) -> bool:
        """Whether the room is hidden from all users but its members."""
        return SECRET in self.flags

    @property
    def members_only(self) -> bool:
        """Whether only members speak here; false until a first member has opened the room."""
        return "n" in self.flags and self.created > 0

    @property
    def has_owner(self) -> bool:
        """Whether the owner of an account is an operator of the room, present or not.

        Then the rights of guests end when they have gone, because somebody else can have the same name and host. In a
        room without an owner they stay remembered: an operator who loses the connection must find the room again.
        """
        return any("o" in letters and is_account(host) for (_, host), letters in self.rights.items())

    def returns_as_operator(self, user: Principal) -> bool:
        """Return whether a user who joins will be an operator by the rights that are remembered for them."""
        rights = (self.remembered_rights(user), *self.inherited_rights(user).values())
        return any("o" in letters for letters in rights) and (is_account(user.host) or not self.has_owner)

    def has_turn(self, user: Principal) -> bool:
        """Return whether a user has a voice for one message only."""
        return self.hands.get((key_of(user.nick), user.host), False)

    def accepts_key(self, key: str) -> bool:
        """Return whether this is the room's key."""
        return bool(self.key) and keys.fits(key, self.key)

    def learn_key(self, key: str) -> None:
        """Remember the room's key in plain text, to show it to operators."""
        if self.accepts_key(key):
            self.known_key = key

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings in the form of a change, without its lists; with the plain key if it is known.

        Args:
            shows_key: whether to show the key; otherwise SHOWN_KEY stands in its place.

        """
        changes = [ModeChange(True, letter, "") for letter in LETTERS if letter in self.flags]
        key = (self.known_key if shows_key else "") or SHOWN_KEY
        for letter, value in (
            ("k", key if self.key else ""),
            ("l", self.limit or ""),
            ("d", self.slow.seconds or ""),
            ("f", self.flood or ""),
        ):
            if value:
                changes.append(ModeChange(True, letter, str(value)))
        return " ".join(modes.write(changes)) if changes else "+"


def _reduced(entry: Entry, parts: Mapping[Part, ModeChange | None]) -> Entry:
    """Return an entry of a snapshot: reduced to these changes, and a rename as the change of rights that it caused."""
    body, changes = entry.body, [change for change in parts.values() if change]
    if changes and not (isinstance(body, ModesChanged) and body.changes == tuple(changes)):
        body = ModesChanged(tuple(changes), body.until if isinstance(body, ModesChanged) else 0.0)
    return replace(entry, body=body, tags=entry.tags if isinstance(body, TopicSet | Polled) else "")


def _holder_of(mask: str) -> Holder:
    nick, _, host = mask.partition("!")
    return key_of(nick), host


def _pin(target: str) -> Part:
    return "pin", target


def _poll(id: str) -> Part:
    return "poll", id


def _hand(holder: Holder) -> Part:
    return "hand", _holder_text(holder)


def _holder_text(holder: Holder) -> str:
    return "!".join(holder)


def _part_of(change: ModeChange) -> Part:
    """Return the part of the state that a change sets: of two changes of the same part, the later one is in force."""
    if change.letter in PREFIXES:
        return change.letter, _holder_text(_holder_of(change.param))
    if change.letter in LISTS:
        mask = change.param.removeprefix(MUTE)
        read = read_mask(mask)
        folded = mask if read is NOBODY else read.folded
        return change.letter, f"{MUTE}{folded}" if mask != change.param else folded
    return change.letter, ""


def _toggle(store: dict[Any, str], key: Any, change: ModeChange) -> None:
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
