"""The state of a room: the effect of the entries of its log on the room; overlays.py has that on earlier entries.

This is the only code that knows it. The live room, every storage, the cluster and the test doubles use it. A change is
applied in the same way whether its entry has just been committed or is read again after years.

A state is stored as the entries that it results from (`RoomState.snapshot`), each reduced to the part that is still in
force. So a snapshot has a bounded size however often the state was changed, restoring it means applying it, and old
versions can read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from msgspec.structs import replace

from hubbub.model.accounts.account import is_account
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
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.modes import PREFIXES
from hubbub.model.room.parts import BRAKE, JOIN, TOPIC, StateParts, hand_part, part_of, pin_part, poll_part
from hubbub.model.room.rights import Holder, RoomRights, holder_of, holder_text
from hubbub.model.viewer import Principal
from hubbub.text.cleaning import beginning
from hubbub.text.names import LOBBY, key_of

MAX_PINS = 10  # messages that are pinned to a room; beyond it the oldest is dropped
MAX_REDACTED = 100  # newest redacted messages that a room remembers: a late pin of one of them has no effect
MAX_HANDS = 200  # raised hands and turns to speak in a room; beyond it a hand stays down
MAX_POLLS = 5  # open polls of a room; beyond it the oldest is dropped
MAX_BRAKE = 3600  # longest time that a room rests, in seconds
MAX_RIGHTS = 500  # users whose rights a room remembers, present or not
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


class RoomState(RoomRights):
    """The state of one room.

    Args:
        name: its name at the time of the first entry.
        entries: the entries to begin with: a snapshot, or a whole log.
        id: the id of the room, which it keeps when it is renamed; its name by default.

    """

    __slots__ = (
        "_opener",
        "brake_ends",
        "closed_polls",
        "created",
        "hands",
        "name",
        "parts",
        "pins",
        "polls",
        "redacted",
        "topic",
    )

    def __init__(self, name: str, entries: Iterable[Entry] = (), id: str = "") -> None:
        super().__init__(name, id or name)
        self.name = name
        self.topic = Topic()
        self.brake_ends = 0.0  # epoch seconds: until then the room rests; 0 if it does not
        self.created = 0.0  # epoch seconds
        self.pins: dict[str, Pin] = {}  # by the ids of the messages, the oldest first
        # The newest messages that were redacted, in this process: a pin may have been made before and be stored after.
        self.redacted: deque[str] = deque(maxlen=MAX_REDACTED)
        self.polls: dict[str, Entry] = {}  # the open ones with their votes, by their ids, the oldest first
        # The newest polls that were closed, in this process: their ends are shown with the results.
        self.closed_polls: deque[Entry] = deque(maxlen=MAX_POLLS)
        # Those who have raised a hand, the first one first; true for those who have a turn to speak instead.
        self.hands: dict[Holder, bool] = {}
        self._opener: Holder | None = None  # the first member, an operator unless an entry says otherwise
        self.parts = StateParts()
        for entry in entries:
            self.apply(entry)

    # --- what the log says ----------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> bool:
        """Let an entry take effect, and return whether it changed the state; entries come in the order of the log."""
        effect = self._EFFECTS.get(type(entry.body))
        return effect is not None and effect(self, entry, entry.body)

    def snapshot(self) -> list[Entry]:
        """Return the entries that the state results from, in their order, without the parts that are overruled."""
        return self.parts.snapshot()

    def _joined(self, entry: Entry, body: Joined) -> bool:
        """Make the first member the room's operator, except in the lobby."""
        if self.created:
            return self._end_rights(entry, (key_of(entry.nick), entry.host))
        self.created = entry.time
        self.parts.keep(JOIN, entry)
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
        self.parts.keep(TOPIC, entry)
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
            if member.host == entry.host and key_of(member.nick) in (before[0], now[0]) and self.trusts(member):
                self.set_status(member, letters)
        return bool(moved) or ended

    def _pinned(self, entry: Entry, body: Pinned) -> bool:
        if body.target in self.redacted:
            return False
        self.pins.pop(body.target, None)
        self.pins[body.target] = Pin(body.text, entry.nick)
        self.parts.keep(pin_part(body.target), entry)
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
        self.parts.drop(pin_part(target))
        return self.pins.pop(target, None) is not None

    def _edited(self, entry: Entry, body: Edited) -> bool:
        """Give the pin of a corrected message the new text."""
        pin = self.pins.get(body.target)
        if pin is None:
            return False
        made = self.parts.source(pin_part(body.target))
        text = pin_text(pin.text.partition(": ")[0], body.text)
        self.pins[body.target] = pin._replace(text=text)
        self.parts.keep(pin_part(body.target), replace(made, body=Pinned(body.target, text)))
        return True

    def _polled(self, entry: Entry, body: Polled) -> bool:
        if polls.is_closed(entry):  # the log of a storage that changes entries in place
            return False
        self.polls[entry.id] = entry
        self.parts.keep(poll_part(entry.id), entry)
        while len(self.polls) > MAX_POLLS:
            self._end_poll(next(iter(self.polls)))
        return True

    def _voted(self, entry: Entry, body: Voted) -> bool:
        before = self.polls.get(body.target)
        if before is None or (now := overlaid(before, entry)) is before:
            return False
        self.polls[body.target] = now
        self.parts.keep(poll_part(body.target), now)
        return True

    def _poll_closed(self, entry: Entry, body: PollClosed) -> bool:
        if poll := self.polls.get(body.target):
            self.closed_polls.append(poll)
        return self._end_poll(body.target)

    def _end_poll(self, id: str) -> bool:
        self.parts.drop(poll_part(id))
        return self.polls.pop(id, None) is not None

    def _hand_moved(self, entry: Entry, body: HandMoved) -> bool:
        holder = holder_of(body.who)
        if body.step != "up":
            return self._lower(holder)
        if holder in self.hands or len(self.hands) >= MAX_HANDS:
            return False
        self.hands[holder] = False
        self.parts.keep(hand_part(holder), entry)
        return True

    def _turn_given(self, entry: Entry, body: TurnGiven) -> bool:
        """Give a user a voice that ends with their next message; one who may speak already keeps their voice."""
        holder = holder_of(body.who)
        self._lower(holder)
        if "v" not in self.rights.get(holder, "") and len(self.hands) < MAX_HANDS:
            self.hands[holder] = True
            self.parts.keep(hand_part(holder), entry)
            self.promote(ModeChange(True, "v", body.who))
            self._bound_rights()
        return True

    def _braked(self, entry: Entry, body: Braked) -> bool:
        self._rest_until(entry.time + min(body.seconds, MAX_BRAKE) if body.seconds else 0.0)
        if body.seconds:
            self.parts.keep(BRAKE, entry)
        return True

    def _rest_until(self, time: float) -> None:
        self.brake_ends = time
        self.parts.drop(BRAKE)

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
            self.promote(ModeChange(False, "v", holder_text(holder)))
        self.parts.drop(hand_part(holder))
        return turn is not None

    def _move_hand(self, before: Holder, now: Holder, who: str) -> bool:
        """Let the hand or turn of a renamed user have the new name; return whether it is a turn."""
        if before not in self.hands:
            return False
        made = self.parts.source(hand_part(before))
        body = made.body
        self.parts.drop(hand_part(before))
        self.hands = {now if one == before else one: turn for one, turn in self.hands.items()}
        moved = HandMoved(body.step, who) if isinstance(body, HandMoved) else TurnGiven(who)
        self.parts.keep(hand_part(now), replace(made, body=moved))
        # A voice that does not end ends a hand: the rename gives it to the new name once more.
        if any(("v", holder_text(one)) in self.parts for one in (before, now)):
            del self.hands[now]
            self.parts.drop(hand_part(now))
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
            self._note(entry, ModeChange(False, letter, holder_text(holder)))
        # Another node may have reported a leave of a user that was here all the time.
        for member in self.members:
            if isinstance(entry.body, Joined) and (key_of(member.nick), member.host) == holder:
                self.set_status(member, "")
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
            self.promote(change)
            if letter == "v" and self.hands.pop(holder_of(param), None) is not None:
                self.parts.drop(hand_part(holder_of(param)))
            return
        self.set_letter(change, entry.nick, entry.time, until)
        if letter in LISTS:
            self._bound_list(letter)
        elif letter == "f" and not self.flood:
            self._rest_until(0.0)
        elif letter == "m" and not on:
            for holder in [one for one, turn in self.hands.items() if not turn]:
                self._lower(holder)

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

    def _note(self, entry: Entry, change: ModeChange) -> None:
        """Remember the entry of a change; one that takes back what an earlier entry set needs no entry."""
        part = part_of(change)
        self.parts.drop(part)
        by_default = part == ("n", "") or (self._opener and part == ("o", holder_text(self._opener)))
        if change.on or by_default:
            self.parts.keep(part, entry, change)

    def _bound_rights(self) -> None:
        """Drop the oldest rights if there are too many, at first those of users who have only a voice."""
        while len(self.rights) > MAX_RIGHTS:
            voices = (holder for holder, letters in self.rights.items() if "o" not in letters)
            holder = next(voices, next(iter(self.rights)))
            for letter in self.rights.pop(holder):
                self.parts.drop((letter, holder_text(holder)))

    def _bound_list(self, letter: str) -> None:
        """Drop the oldest masks of a list if there are too many."""
        while (mask := self.surplus_mask(letter)) is not None:
            self.lists.remove(letter, mask)
            self.parts.drop(part_of(ModeChange(True, letter, mask)))

    # --- questions ------------------------------------------------------------------------------------------------

    @property
    def members_only(self) -> bool:
        """Whether only members speak here; false until a first member has opened the room."""
        return "n" in self.flags and self.created > 0

    def has_turn(self, user: Principal) -> bool:
        """Return whether a user has a voice for one message only."""
        return self.hands.get((key_of(user.nick), user.host), False)
