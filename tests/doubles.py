"""A broker, a form and a peer that do what a test tells them to, and a hub that is wired to them by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.operations.asking import LogQuestion, client_question
from hubbub.chat.operations.table import OPERATIONS
from hubbub.chat.private.positions import Position
from hubbub.chat.rooms.delivery import Limits
from hubbub.chat.session import Session, User
from hubbub.chat.turns import ClientStep, by_name
from hubbub.chat.users.accounts import Checked, LoginPeer
from hubbub.chat.users.no_accounts import NoAccounts
from hubbub.chat.users.staying import Stay
from hubbub.errors import BrokerError, Busy, Closed, Refused
from hubbub.model.access import Action, may, sees
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import Granted
from hubbub.model.entries import HISTORY_KINDS, Draft, Entry, Kind, RoomRenamed
from hubbub.model.events import Event, Mentioned, Refusal, RoomEntered
from hubbub.model.messages.overlays import overlaid, target_of
from hubbub.model.notices.mentions import Mention, merged
from hubbub.model.queries import After, AllRooms, Around, Latest, LogPage, OpenedRoom, Query, RoomList, Search, Since
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM
from hubbub.text import refusals
from hubbub.text.confusables.lookalikes import looks
from hubbub.text.names import key_of
from records import text_in

NOON = 1_800_000_000.0
STEP = 3  # numbers of the log are not dense


class Look:
    """How entries look: a line each, in other rooms with the room's name in front."""

    def __init__(self, echo: bool = False, prefixed: bool = False) -> None:
        self.echo = echo
        self.dedupes = False
        self.rendered = 0  # entries
        self.prefixed = prefixed
        self.for_other_room: Look = self if prefixed else type(self)(echo, True)

    def encode(self, entry: Entry) -> bytes:
        self.rendered += 1
        text = {
            Kind.MESSAGE: f"{entry.nick}: {text_in(entry)}",
            Kind.ACTION: f"* {entry.nick} {text_in(entry)}",
            Kind.JOIN: f"+{entry.nick}",
            Kind.LEAVE: f"-{entry.nick} {text_in(entry)}".rstrip(),
            Kind.RENAME: f"{entry.nick} > {text_in(entry)}",
            Kind.TOPIC: f"{entry.nick} # {text_in(entry)}",
            Kind.MODE: f"{entry.nick} + {text_in(entry)}",
            Kind.KICK: f"{entry.nick} x {text_in(entry)}",
            Kind.REDACT: f"{entry.nick} - {text_in(entry)}",
            Kind.EDIT: f"{entry.nick} = {text_in(entry)}",
            Kind.REACT: f"{entry.nick} & {text_in(entry)}",
            Kind.UNREACT: f"{entry.nick} -& {text_in(entry)}",
            Kind.PIN: f"{entry.nick} ^ {text_in(entry)}",
            Kind.UNPIN: f"{entry.nick} -^ {text_in(entry)}",
            Kind.HAND: f"{entry.nick} hand {text_in(entry).partition(' ')[0]}",
            Kind.POLL: f"{entry.nick} ? {text_in(entry)}",
            Kind.VOTE: "",
            Kind.POLL_CLOSED: f"{entry.nick} -? {entry.quote.text if entry.quote else ''}",
            Kind.BRAKE: f"brake {text_in(entry)}",
            Kind.TURN: f"{entry.nick} turn {text_in(entry).partition('!')[0]}",
            Kind.ROOM_RENAMED: f"{entry.nick} ~ {text_in(entry)}",
            Kind.EPHEMERAL: f"{entry.nick} ! {entry.tags}{text_in(entry)}",
            Kind.REDACTED: f"{entry.nick} (gone)",
        }[entry.kind]
        return self._line(entry.room, text) if text else b""

    def encode_own(self, entry: Entry) -> bytes:
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        return b"".join(entries)

    def encode_skipped(self, room: str, count: int) -> bytes:
        return self._line(room, f"{count} skipped")

    def _line(self, room: str, text: str) -> bytes:
        return (f"[{room}] " * self.prefixed + text + "\n").encode()


class Question:
    """What the broker was asked: it looks when told to, and answers when told to."""

    def __init__(self, look: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._look = look
        self._done = done
        self._result: Any = None

    def look(self) -> None:
        if self._result is None:
            self._result = self._look()

    def answer(self) -> None:
        self.look()
        self._done(self._result)


class FakeBroker:
    """Keeps the log of all rooms in a list; nothing happens in it before the test says so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.log_id = "fakelog"
        self.log: list[Entry] = []
        self.fault = ""  # why nothing can be read
        self.busy = False
        self.note = ""  # of every page
        self.page = 1000  # entries in a page at most
        self.followed: list[str] = []  # by id
        self.ids: dict[str, str] = {}  # of rooms, by name
        self.gathers = False
        self.recalls = False  # whether an opened room tells its newest entries
        self.published: list[Draft] = []  # and neither stored nor refused yet
        self.queries: list[Query | AllRooms] = []  # all there ever were
        self.questions: deque[Question] = deque()

    def store(self, drafts: Sequence[Draft]) -> list[Entry]:
        return [self._append(draft) for draft in drafts]

    def _append(self, draft: Draft) -> Entry:
        seq = STEP + (self.log[-1].seq if self.log else 0)
        id, body = draft.room_id or self.id(draft.room), draft.body
        room = next((name for name, known in self.ids.items() if known == id), draft.room)
        self.ids[room] = id
        prev = next((entry.seq for entry in reversed(self.log) if entry.room == room), 0)
        entry = Entry(room, seq, prev, self._clock(), draft.nick, draft.id, body, draft.host, draft.tags, id)
        self.log.append(entry)
        if target_of(body):
            self.log = [overlaid(one, entry) if one.room_id == id else one for one in self.log]
        if isinstance(body, RoomRenamed):
            self.ids[body.to] = self.ids.pop(room)
        return entry

    def publish(self, drafts: Sequence[Draft]) -> None:
        self.published += drafts

    def open(self, room: str, latest: int, done: Callable[[OpenedRoom | BrokerError], None]) -> None:
        assert self.id(room) not in self.followed
        self.followed.append(self.id(room))
        self.questions.append(Question(lambda: self._look(lambda: self._state(room, latest)), done))

    def close(self, id: str) -> None:
        self.followed.remove(id)

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        self.queries.append(query)
        self.questions.append(Question(lambda: self._look(lambda: self._answer(query)), done))

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        self.read(query, done)

    def _look(self, answer: Callable[[], Any]) -> Any:
        if self.busy or self.fault:
            return Busy("too many searches are waiting") if self.busy else BrokerError(self.fault)
        found = answer()
        return replace(found, note=self.note) if isinstance(found, LogPage) else found

    def of(self, room: str) -> list[Entry]:
        """Return the entries of the room that has a name now."""
        present = {id: name for name, id in self.ids.items()}
        return [entry for entry in self.log if present.get(entry.room_id, entry.room) == room]

    def _state(self, room: str, latest: int) -> OpenedRoom:
        entries = self.of(room)
        said = self._answer(Latest(room, latest, viewer=SYSTEM)).entries
        recent = entries[-LOOKED_BACK:] if self.recalls else ()
        return OpenedRoom(entries[-1].seq if entries else 0, self.state(room).snapshot(), said, recent, self.id(room))

    def id(self, room: str) -> str:
        """Return the id of a room: its first name, unless another room has it."""
        taken = self.ids.values()
        return self.ids.get(room) or (f"{room}=2" if room in taken else room)

    def state(self, room: str) -> RoomState:
        return RoomState(room, self.of(room), self.id(room))

    def _answer(self, query: Query | AllRooms) -> Any:
        if not isinstance(query, AllRooms) and (query.room or query.room_id):
            present = next((name for name, id in self.ids.items() if id == query.room_id), query.room)
            log = [one for one in self.log if one.room_id == query.room_id] if query.room_id else self.of(query.room)
            if refused := may(query.viewer, Action.READ, RoomState(present, log, query.room_id or self.id(present))):
                return Closed(refused)
        match query:
            case AllRooms():
                present = {id: name for name, id in self.ids.items()}
                named = {present.get(entry.room_id, entry.room) for entry in self.log}
                rooms = sorted(name for name in named if name > query.after)
                closed = {name: self.state(name).closed for name in rooms}
                names = [
                    name for name in rooms if not sees(query.viewer, Action.LIST, name, closed[name], self.id(name))
                ]
                mute = {
                    name for name in names if sees(query.viewer, Action.SEE_TOPIC, name, closed[name], self.id(name))
                }
                shown = [(name, "" if name in mute else self.state(name).topic.text) for name in names[: query.limit]]
                return RoomList(shown, len(names))
            case After():
                found = [entry for entry in log if query.seq < entry.seq <= query.upto]
                found = [entry for entry in found if not query.history or entry.kind in HISTORY_KINDS]
                return LogPage(found[: min(query.limit, self.page)], len(found) > min(query.limit, self.page))
            case Around():
                known = [entry for entry in log if entry.id in query.bounds]
                return LogPage(known[: query.limit])
            case Since():
                said = [entry for entry in log if entry.kind in HISTORY_KINDS and entry.time >= query.time]
                return LogPage(said[: query.limit], len(said) > query.limit)
            case Latest() | Search():
                words = query.words.split() if isinstance(query, Search) else []
                every = isinstance(query, Latest) and query.every
                said = [entry for entry in (log if query.room else ()) if every or entry.kind in HISTORY_KINDS]
                said = [entry for entry in said if all(word in text_in(entry) for word in words)]
                return LogPage(said[max(0, len(said) - query.limit) :], len(said) > query.limit)


class Peer:
    """A listener's side of a session: types lines, and keeps in order what it is shown and told."""

    def __init__(self, house: House, look: Look) -> None:
        self.hub = house.hub
        self._lines: deque[str] = deque()
        self._pumping = False
        self._room_for = -1  # writes until its transport says pause; -1: it never does
        self.seen: list[str | Event] = []
        self.mentioned: list[Mentioned] = []  # by entries that it has seen
        self.session = house.hub.connect(self, self, look)

    @property
    def user(self) -> User:
        """Its user; it must have one."""
        assert self.session.user is not None
        return self.session.user

    def types(self, *lines: str) -> None:
        self._lines += lines
        self.resume_input()

    @property
    def untaken(self) -> int:
        """How many of its lines wait until the hub is ready for them."""
        return len(self._lines)

    def resume_input(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        while self._lines and self.hub.session_ready(self.session):
            self._take(self._lines.popleft())
        self._pumping = False

    def _take(self, line: str) -> None:
        try:
            if self.session.user is None:
                self.hub.naming.enter(self.session, line)
            else:
                slash.run(self.hub, self.session, line)
        except Refused as refusal:
            self.hub.reply(self.session, Refusal(refusal.code, refusal.text))

    def write(self, data: bytes) -> None:
        assert data and not self.session.paused
        self.seen += data.decode().splitlines()
        self._fill()

    def send(self, data: bytes) -> int:
        if self._room_for == 1:  # the socket is full: what it does not take is kept, and then it is paused
            raise BlockingIOError
        self.write(data)
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        self.write(data[sent:])

    def send_event(self, event: Event) -> None:
        if isinstance(event, RoomEntered) and event.first and not event.topic:
            return  # no terminal shows it
        assert not self.session.paused
        if isinstance(event, Mentioned):
            self.mentioned.append(event)
            return
        self.seen.append(event)
        self._fill()

    def _fill(self) -> None:
        self._room_for -= self._room_for > 0
        if not self._room_for:
            self.stall()

    def stall(self, after: int = 0) -> None:
        """Take no bytes any more, once `after` more writes were taken."""
        self._room_for = after or -1
        if not after:
            self.hub.pause(self.session)

    def read(self, writes: int = -1) -> None:
        """Take bytes again, until so many writes were taken."""
        self._room_for = writes
        self.hub.resume(self.session)

    def leave(self, reason: str = "") -> None:
        self.hub.depart(self.session, reason)

    def sees(self) -> list[str | Event]:
        """Return what it was shown and told since it was asked last."""
        seen, self.seen = self.seen, []
        return seen


LOOK = Look()


class House:
    """A hub with a fake broker; batches are committed and questions answered when the test says so."""

    def __init__(self, **limits: int) -> None:
        self.now = NOON
        self.set_ahead = 0.0  # seconds by which somebody has set the clock ahead meanwhile
        self.woken = 0
        self.peers: list[Peer] = []
        self.broker = FakeBroker(lambda: self.now)
        self._soon: list[Callable[[], None]] = []
        self.hub = Hub(
            self.broker, lambda: self.now + self.set_ahead, "boot-", self, Limits(**limits), lambda: self.now
        )
        self.hub.add_operations(OPERATIONS)
        self.hub.index = self.broker

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        """Call back when the test goes on: the house is the loop of its hub."""
        self.woken += callback == self.hub.pipeline._publish
        self._soon.append(partial(callback, *args))

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> None:
        """Call back when the test goes on; no test waits."""
        self.call_soon(callback, *args)

    def connect(self, look: Look = LOOK) -> Peer:
        self.peers.append(Peer(self, look))
        return self.peers[-1]

    def enter(self, *names: str, look: Look = LOOK) -> list[Peer]:
        """Return a peer for each name, in the lobby, all of it settled and seen."""
        peers = [self.connect(look) for _ in names]
        for peer, name in zip(peers, names, strict=True):
            peer.types(name)
            self.settle()
        self.forget()
        return peers

    def forget(self) -> None:
        """Let everybody have seen what is on the screen."""
        for peer in self.peers:
            peer.seen.clear()

    def turn(self) -> None:
        """Let the hub's loop do what it has to do."""
        while self._soon:
            self._soon.pop(0)()

    def gather(self) -> Sequence[Draft]:
        """Return what is published now."""
        self.turn()
        batch, self.broker.published = self.broker.published, []
        return batch

    def commit(self, entries: Sequence[Entry] | None = None) -> None:
        """Store what was gathered, and hand it back; or hand back these entries."""
        known = [one if one.room_id else replace(one, room_id=self.broker.id(one.room)) for one in entries or ()]
        self.hub.pipeline.committed(self.broker.store(self.gather()) if entries is None else known)

    def fail(self, reason: str = "the disk is full") -> None:
        """Store nothing of what was gathered."""
        self.hub.pipeline.failed(self.gather(), reason)

    def look(self) -> None:
        for question in self.broker.questions:
            question.look()

    def answer(self) -> None:
        """Answer what the broker is asked, and was before it answered."""
        for _ in range(len(self.broker.questions)):
            self.broker.questions.popleft().answer()

    def settle(self) -> None:
        """Go on until there is nothing more to answer or to store."""
        while self.broker.questions or self.hub.pipeline.queued:
            self.answer()
            self.commit()
        self.turn()


class Asked(LogQuestion, frozen=True):
    """A question of a test to the log."""


def ask_raw(session: Session, query: Query, answer: Callable[[Any], None]) -> None:
    """Ask the log for a session, and call back in the place of the reply."""
    (kind,) = by_name(client_question(Asked, lambda client, asked, result: answer(result))).values()
    session.client_operations = {"Asked": kind}
    session.queue(Asked(query))


def refusing(session: Session, tell: Callable[[Any], object]) -> ClientStep:
    """Return the step that tells a test the refusal, or the outcome, of a request of a session."""
    session.client_steps = {"refused": lambda client, refusal: tell(refusal)}
    return ClientStep("refused")


class FakePositions:
    """Positions in memory; every announcement is answered when the test says so, all else at once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Position] = {}
        self.held: set[tuple[str, str]] = set()  # conversations of which a message was missed
        self.asked: list[Callable[[], None]] = []
        self.flying = 0
        self.fault = ""

    def announce(self, owner: str, other: str, done: Callable[[BrokerError | None], None]) -> None:
        def act() -> None:
            if self.fault:
                done(BrokerError(self.fault))
                return
            self.flying += 1
            self.known.setdefault((other, owner), Position(owner, 0, False))
            before = self.known.get((owner, other), Position(other, 0, False))
            self.known[owner, other] = before._replace(waiting=True)
            done(None)

        self.asked.append(act)

    def settled(self, owner: str, other: str) -> None:
        self.flying -= 1

    def given(self, owner: str, other: str, seq: int) -> None:
        before = self.known.get((owner, other), Position(other, 0, False))
        if (owner, other) not in self.held:
            self.known[owner, other] = before._replace(seq=max(seq, before.seq))

    def missed(self, owner: str, other: str, seq: int) -> None:
        before = self.known.get((owner, other), Position(other, 0, False))
        self.held.add((owner, other))
        self.known[owner, other] = Position(other, min(seq - 1, before.seq), True)

    def shown(self, owner: str, other: str, seq: int, all: bool) -> None:
        before = self.known.get((owner, other), Position(other, 0, False))
        self.held.discard((owner, other))
        self.known[owner, other] = Position(other, max(seq, before.seq), before.waiting and not all)

    def of(self, owner: str, done: Callable[[Sequence[Position] | BrokerError], None]) -> None:
        if self.fault:
            done(BrokerError(self.fault))
        else:
            done([position for (one, _), position in self.known.items() if one == owner])

    def answer(self) -> None:
        while self.asked:
            self.asked.pop(0)()


class FakeMentions:
    """Mentions in memory, which outlive a house."""

    def __init__(self) -> None:
        self.known: dict[str, list[Mention]] = {}
        self.fault = ""

    def add(self, account: str, mention: Mention) -> None:
        self.known[account] = merged(self.known.get(account, ()), [mention])

    def of(self, account: str, done: Callable[[Sequence[Mention] | BrokerError], None]) -> None:
        done(BrokerError(self.fault) if self.fault else list(self.known.get(account, ())))

    def drop(self, account: str) -> None:
        self.known.pop(account, None)


class FakeStays:
    """Stays in memory, which outlive a house; claims and reads of one are answered when the test says so."""

    def __init__(self) -> None:
        self.known: dict[str, Stay] = {}
        self.asked: list[Callable[[], None]] = []
        self.kept: list[str] = []  # whose stays were stored or deleted, in order
        self.lost = False  # whether other nodes win all claims
        self.fault = ""

    def all(self, done: Callable[[Sequence[Stay] | BrokerError], None]) -> None:
        done(BrokerError(self.fault) if self.fault else list(self.known.values()))

    def get(self, account: str, done: Callable[[Stay | None], None]) -> None:
        self.asked.append(lambda: done(self.known.get(account)))

    def claim(self, stay: Stay, done: Callable[[bool], None]) -> None:
        self.asked.append(lambda: done(not self.lost))

    def keep(self, account: str, stay: Stay | None) -> None:
        self.kept.append(account)
        self.known.pop(account, None)
        if stay:
            self.known[account] = stay

    def answer(self) -> None:
        while self.asked:
            self.asked.pop(0)()


class FakeAccounts(NoAccounts):
    """Accounts whose passwords are in plain text; each question is answered when the test says so."""

    registration = "open"
    mechanisms = ("PLAIN",)

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.known: dict[str, tuple[Account, str]] = {}
        self.asked: list[Callable[[], None]] = []
        self.granted: list[Granted] = []
        self.freed: list[Account] = []  # as their former owners are shown
        for name in names:
            self.add(name)

    def takes_passwords(self, peer: LoginPeer) -> bool:
        return True

    def add(self, name: str, password: str = "secret", **fields: Any) -> Account:
        kept = "a hash" if password else ""
        account = Account(id=f"id{key_of(name)}", name=name, created=NOON, password=kept, **fields)
        self.known[key_of(name)] = account, password
        for tell in self.changed:
            tell(account)
        return account

    def find(self, name: str) -> Account | None:
        return self.known.get(key_of(name), (None, ""))[0]

    def tokens(self, account: Account) -> list[Granted]:
        return self.granted

    def former(self, name: str) -> Account | None:
        return next((one for one in self.freed if key_of(one.name) == key_of(name)), None)

    def former_by_id(self, id: str) -> Account | None:
        return next((one for one in self.freed if one.id == id), None)

    def by_id(self, id: str) -> Account | None:
        return next((account for account, _ in self.known.values() if account.id == id), None)

    def looks_like(self, name: str) -> str:
        return next((account.name for account, _ in self.known.values() if looks(account.name) & looks(name)), "")

    def register(
        self, name: str, password: str, peer: LoginPeer, done: Checked, code: str = "", key: SshKey | None = None
    ) -> None:
        def act() -> None:
            needed = self.registration == "invite" and code != "CODE"
            keys = (key,) if key else ()
            done(refusals.INVITATION_MISSING() if needed else self.add(name, password, ssh_keys=keys))

        self.asked.append(act)

    def log_in(self, name: str, secret: str, peer: LoginPeer, done: Checked) -> None:
        account, password = self.known.get(key_of(name), (None, ""))
        right = account is not None and secret == password
        self.asked.append(lambda: done(account if account and right else refusals.NO_SUCH_ACCOUNT(name=name)))

    def redeem(self, code: str, peer: LoginPeer, done: Checked) -> None:
        account = self.find(code.removeprefix("CODE-"))
        self.asked.append(lambda: done(account or refusals.CODE_WRONG()))

    def make_code(self, account: Account, done: Callable[[str | Refused], None]) -> None:
        self.asked.append(lambda: done(f"CODE-{account.name}"))

    def change_password(self, account: Account, password: str, peer: LoginPeer, done: Checked) -> None:
        refused = refusals.PASSWORD_SHORT(limit=4) if len(password) < 4 else None
        self.asked.append(lambda: done(refused or self.add(account.name, password, valid_from=NOON)))

    def change(self, account: Account, edit: Callable[[Account], Account | Refused], done: Checked) -> None:
        def act() -> None:
            known, password = self.known[key_of(account.name)]
            changed = edit(known)
            if isinstance(changed, Account):
                self.known[key_of(account.name)] = changed, password
                for tell in self.changed:
                    tell(changed)
            done(changed)

        self.asked.append(act)

    def add_ssh_key(self, account: Account, key: SshKey, done: Checked) -> None:
        self.change(account, lambda old: replace(old, ssh_keys=(*old.ssh_keys, key)), done)

    def remove_ssh_key(self, account: Account, fingerprint: str, done: Checked) -> None:
        kept = tuple(key for key in account.ssh_keys if key.fingerprint != fingerprint)
        self.change(account, lambda old: replace(old, ssh_keys=kept), done)

    def with_words(self) -> list[Account]:
        return [account for account, _ in self.known.values() if account.words]

    def answer(self) -> None:
        while self.asked:
            self.asked.pop(0)()
