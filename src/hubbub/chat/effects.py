"""The effects of stored entries and of failed drafts: on members, on rooms, and on the sessions that published them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from hubbub.chat.classroom import hands
from hubbub.chat.classroom.flood import Brakes
from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.notices.mentions import Mentions
from hubbub.chat.notices.poll_notices import PollNotices
from hubbub.chat.notices.reaction_notices import ReactionNotices
from hubbub.chat.private.private_log import PrivateLog
from hubbub.chat.rooms.delivery import NOBODY
from hubbub.chat.rooms.loaded_room import CommittedBatch, slices
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Posting, Room, Session, author, owner
from hubbub.chat.users.naming import Naming
from hubbub.errors import BrokerError
from hubbub.model.conversation import is_conversation
from hubbub.model.entries import (
    HISTORY,
    Body,
    Draft,
    Entry,
    HandMoved,
    Joined,
    Kicked,
    Left,
    ModesChanged,
    NickChanged,
    Reacted,
    RoomRenamed,
    Said,
    Voted,
)
from hubbub.text import refusals

COMING = (Joined, Left, Kicked)

Effect = Callable[[Posting, Room, CommittedBatch, int, Sequence[Entry]], None]


class Effects:
    """Deliver stored entries, and undo the preparations for drafts that are not stored."""

    def __init__(
        self,
        core: Core,
        rooms: Rooms,
        naming: Naming,
        remote: RemoteUsers,
        private_log: PrivateLog,
        mentions: Mentions,
    ) -> None:
        self._core = core
        self._private_log = private_log
        self._mentions = mentions
        self._rooms = rooms
        self._naming = naming
        self._remote = remote
        self._reaction_notices = ReactionNotices(core)
        self._poll_notices = PollNotices(core)
        self._brakes = Brakes(core)
        core.pipeline.deliver, core.pipeline.undo = self.stored, self.undo
        rooms.advance = self.advance
        # The effect of an entry on the session that published it, by kind.
        self._own: dict[type[Body], Effect] = {
            Joined: rooms.joined,
            Left: rooms.left,
            NickChanged: naming.rename_stored,
            ModesChanged: self._changed,
        }

    def stored(self, entries: Sequence[Entry]) -> None:
        """Deliver the entries that the log has stored to the members of their rooms, and settle their drafts.

        The entries must come in the log's order.
        """
        by_room: dict[str, list[Entry]] = {}
        for stored in entries:
            entry = stored
            if type(entry.body) is not Said:
                entry = self._core.redactions.late(entry)
                self._core.redactions.note(entry)
            by_room.setdefault(entry.room_id, []).append(entry)
        for id, part in by_room.items():
            if room := self._rooms.loaded.by_id.get(id):
                self.advance(room, part)
            elif is_conversation(part[0].room):
                self._private_log.stored(part)
                continue  # nobody else can read them, and the recipient is notified of each anyway
            else:
                self._rooms.keep(part)
                self._missed(part)
            self._mentions.note(part)
        self._core.pipeline.settle(entries)
        for id in by_room:
            room = self._rooms.loaded.by_id.get(id)
            if room and not room.sessions:
                self._rooms.close_if_empty(room)

    def undo(self, session: Session, draft: Draft) -> None:
        """Undo the preparations for a draft that is not stored."""
        user, body = session.user, draft.body
        if isinstance(body, Joined) and user:
            user.joining.pop(draft.room_id, None)
            self._rooms.close_if_empty(self._rooms.loaded.by_id.get(draft.room_id))
        elif isinstance(body, NickChanged) and user:
            if user.present:
                self._naming.set_nick(user, user.nick)
            for leave in user.changes(Left):
                leave.nick = user.nick

    def advance(self, room: Room, entries: Sequence[Entry]) -> None:
        """Append committed entries to a room, write them to its members, and apply their effects.

        The sessions that published them get no replies yet: those follow in order when all members have received the
        whole batch.
        """
        # The room was loaded after the commit of these entries, so its state includes them already.
        if entries[0].seq <= room.end.seq:
            self._missed(entry for entry in entries if entry.seq <= room.end.seq)
            entries = [entry for entry in entries if entry.seq > room.end.seq]
        if not entries:
            return
        for piece in slices(entries, self._core.limits.write_bytes) if len(entries) > 1 else (entries,):
            postings = [self._core.pipeline.find(entry) for entry in piece]
            earlier = list(room.latest)
            piece = [self._named(room, entry) for entry in piece] if type(piece[0].body) is Kicked else piece
            own: dict[Session, list[int]] = {}
            for index, posting in enumerate(postings):
                if posting and posting.session:
                    own.setdefault(posting.session, []).append(index)
            acts = [index for index, entry in enumerate(piece) if type(entry.body) is not Said]
            batch = self._core.delivery.fan_out(room, piece, own, _leaving(postings) if acts else NOBODY)
            for index in acts:
                self._follow(room, batch, index)
            if room.state.flood:
                self._brakes.note(room, piece, postings)
            upto = 0
            for index in acts:
                earlier += [entry for entry in batch.entries[upto:index] if isinstance(entry.body, HISTORY)]
                upto = index
                posting = postings[index]
                effect = self._own.get(type(posting.draft.body)) if posting else None
                if posting and effect and _is_here(posting):
                    effect(posting, room, batch, index, earlier)

    def _named(self, room: Room, kick: Entry) -> Entry:
        """Return a kick with the name that the member has now: a rename may have come before it."""
        assert isinstance(kick.body, Kicked)
        user = self._core.kicked_user(room, kick.body)
        nick = user.nick if user else kick.body.nick
        return kick if nick == kick.body.nick else replace(kick, body=replace(kick.body, nick=nick, source=""))

    def _follow(self, room: Room, batch: CommittedBatch, index: int) -> None:
        """Apply an entry to the members of rooms: joins and leaves elsewhere, kicks, renamed rooms, lost access."""
        entry = batch.entries[index]
        body = entry.body
        if isinstance(body, COMING):
            self._remote.members.follow(room, entry)
        if isinstance(body, Kicked):
            self._rooms.kicked(room, entry, body)
        elif isinstance(body, RoomRenamed):
            self._rooms.moved(room, entry, body)
        elif isinstance(body, ModesChanged | Joined):
            self._rooms.watching.review(room, body)
        elif isinstance(body, Reacted):
            self._reaction_notices.note(room, entry, body)
        elif isinstance(body, Voted):
            self._poll_notices.note(room, body)
        elif isinstance(body, HandMoved):
            hands.tell_operators(self._core, room, entry, body)
        if isinstance(body, ModesChanged):
            self._rooms.note_barred(room, body)

    @staticmethod
    def _changed(posting: Posting, room: Room, *_: object) -> None:
        """Remember a new room key as the session typed it: the stored entry has only its hash."""
        for change in posting.typed.changes if posting.typed else ():
            if change.letter == "k":
                room.state.learn_key(change.param)

    def _missed(self, entries: Iterable[Entry]) -> None:
        """Apply the renames and joins of users here that are stored in a room that is not loaded.

        The room is unloaded since then, or others have loaded it again.
        """
        for entry in entries:
            posting = self._core.pipeline.find(entry) if isinstance(entry.body, NickChanged | Joined) else None
            if posting and _is_here(posting):
                if isinstance(entry.body, Joined):
                    self._join_after_all(posting, entry)
                else:
                    self._naming.rename_stored(posting)

    def _join_after_all(self, posting: Posting, entry: Entry) -> None:
        """Load the room of a stored join again, which was reported as not confirmed, and make its user a member."""
        user, name = owner(author(posting)), entry.room
        user.joining = {room: join for room, join in user.joining.items() if join is not posting}

        def opened(room: Room | BrokerError) -> None:
            if isinstance(room, BrokerError):
                for one in list(user.sessions):
                    self._core.refuse(one, refusals.JOIN_FAILED(reason=room), room=name)
            elif user.present and user not in room.members:
                room.add_member(user, entry.seq)
                self._core.on_user_changed(user)
                for one in user.sessions:
                    self._rooms.show(one, room, posting.after if one is posting.session else None)
                    one.flush()
                if author(posting) in user.sessions:
                    self._rooms.focus(author(posting), room.id)

        self._rooms.load_for(user, name, opened)


def _leaving(postings: Sequence[Posting | None]) -> dict[Session, int]:
    """Return all sessions of the users who leave the room by one of these postings, with its index."""
    leaves = [(index, one) for index, one in enumerate(postings) if one and type(one.draft.body) is Left]
    users = ((index, posting.session.user) for index, posting in leaves if posting.session)
    return {session: index for index, user in users if user for session in user.sessions}


def _is_here(posting: Posting) -> bool:
    """Return whether the user of a posting is still here, in this session or another one."""
    user = posting.session.user if posting.session else None
    return bool(user and user.present)
