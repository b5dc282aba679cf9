"""The state that all IRC clients of a server share: past users, MONITOR lists, knocks and the server's name."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from hubbub.chat.core import Verified
from hubbub.chat.hub import Hub
from hubbub.chat.session import Room, Session, User
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.serve.accept.address import contains, network
from hubbub.serve.irc.metadata_values import MetadataValues
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire

REMEMBERED = 500  # past users kept for WHOWAS
CROWD = 200  # number of users from which on their modes are counted at most once a second
KNOCKS = 200  # maximum number of remembered knocks; further knocks are refused
KNOCKS_AFTER = 60.0  # seconds between two knocks from one host on one room
WATCHED = 100  # maximum number of nicks that a client may monitor


class WhowasEntry(NamedTuple):
    """A past user of a nick, as WHOWAS shows it; `at` is the time of the end in seconds since 1970."""

    nick: str
    host: str
    real: str
    at: float


class NetworkClient(Protocol):
    """The parts of an IRC client that the network uses to notify it."""

    caps: frozenset[str]

    @property
    def user(self) -> User | None:
        """The client's user; None before registration."""
        ...

    def send(self, *lines: bytes) -> None:
        """Send lines in the session's reply order."""
        ...

    def mode_line(self) -> bytes:
        """Return the message about the changes of the user's modes that the client was not sent; b"" for none."""
        ...

    def numeric(self, code: int, *params: str) -> None:
        """Send a numeric with its standard text."""
        ...

    def event(self, author: User | Session, verb: str, *params: str) -> bytes:
        """Return a message that shows another user's action that is not stored in a log."""
        ...


Client = TypeVar("Client", bound=NetworkClient)


class IrcNetwork(Generic[Client]):
    """The state that all IRC clients share.

    Args:
        hub: the hub, which reports users of every protocol that come and go.
        settings: the settings in force.

    Raises:
        SettingsError: the settings about web gateways are not valid.

    """

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self.hub = hub
        self.settings = settings
        self.name = settings.server_name
        self.started = hub.clock()
        self.most = 0  # maximum number of users at the same time
        self.unregistered: set[Client] = set()
        self.clients: set[Client] = set()
        self.was: deque[WhowasEntry] = deque(maxlen=REMEMBERED)  # newest last
        self.names: dict[str, tuple[tuple[object, ...], bytes]] = {}  # cached NAMES lines by room
        self._watchers: dict[str, set[Client]] = {}  # by folded nick
        self._here: dict[User, None] = {}
        self._knocks: dict[tuple[str, str], float] = {}  # time of the last knock, by room and host
        self._counted = (-1.0, 0, 0)  # time of the last count, invisible users, operators
        self.metadata = MetadataValues(hub.rooms.loaded)
        if settings.webirc_password and not settings.webirc_password.startswith("$argon2"):
            raise SettingsError("The setting webirc_password must be a hash, as `hubbub password` prints it.")
        self._gateways = [network(text, "a web gateway") for text in settings.webirc_from]
        # Checks whether a password is that of the web gateways, and calls back with the result, perhaps later.
        self.verify_gateway: Callable[[str, Verified], None] = lambda password, done: done(False)
        hub.presence.append(self._presence)
        hub.account_changes.append(self._account_changed)
        hub.mode_changes.append(self._modes_changed)
        hub.remote.described.append(self._described)
        hub.remote.members.on_arrival.append(self.tell_away)

    @property
    def users(self) -> Collection[User]:
        """All users that are connected, with any protocol."""
        return self._here

    def count(self) -> tuple[int, int]:
        """Return the number of invisible users and that of server operators.

        From CROWD users on, the numbers may be up to a second old.
        """
        now = self.hub.clock()
        if len(self._here) < CROWD or not self._counted[0] <= now < self._counted[0] + 1:
            invisible = sum("i" in user.modes for user in self._here)
            self._counted = (now, invisible, sum(user.operator for user in self._here))
        return self._counted[1:]

    def is_gateway(self, address: str) -> bool:
        """Return whether a web gateway may connect from an address."""
        return bool(self.settings.webirc_password) and any(contains(where, address) for where in self._gateways)

    # --- MONITOR --------------------------------------------------------------------------------------------------

    def watch(self, nick: str, client: Client) -> None:
        """Notify a client from now on when a user with this nick comes or goes."""
        self._watchers.setdefault(key_of(nick), set()).add(client)

    def unwatch(self, nick: str, client: Client) -> None:
        """Stop notifying a client about this nick."""
        watchers = self._watchers.get(key_of(nick))
        if watchers:
            watchers.discard(client)
            if not watchers:
                del self._watchers[key_of(nick)]

    def watchers(self, nick: str) -> Iterable[Client]:
        """Return the clients that monitor a nick."""
        return list(self._watchers.get(key_of(nick), ()))

    def _presence(self, user: User, before: str) -> None:
        here = user.present
        if here:
            self._here[user] = None
        else:
            self._here.pop(user, None)
            self.metadata.users.pop(user, None)
        if before or not here:
            nick = before or user.nick
            self.was.append(WhowasEntry(nick, user.host, user.real or nick, self.hub.clock()))
        if before and key_of(before) == key_of(user.nick):
            return
        gone = before or ("" if here else user.nick)
        if gone and not self.hub.nicks.find(gone):  # in a cluster, the nick may be in use again already
            for client in self.watchers(gone):
                client.numeric(731, gone)
        if here:
            for client in self.watchers(user.nick):
                client.numeric(730, f"{user.nick}!{user.host}")
        self.most = max(self.most, len(self._here))

    def _described(self, user: User, away: str, real: str) -> None:
        """Send this node's clients the changed away state or real name of a remote user."""
        for cap, verb, before, now in (
            ("away-notify", "AWAY", away, user.away),
            ("setname", "SETNAME", real, user.real),
        ):
            if before != now:
                for client in self.interested(user, cap):
                    client.send(client.event(user, verb, *filter(None, [now])))

    def _account_changed(self, user: User, before: str) -> None:
        """Show that a guest has become the owner of an account: CHGHOST and ACCOUNT (IRCv3 account-notify)."""
        nick, _, host = user.mask.partition("!")
        own = [client for session in user.sessions if (client := self.client(session))]
        for cap, verb, params in (("chghost", "CHGHOST", host.split("@")), ("account-notify", "ACCOUNT", [nick])):
            line = wire.line(before, verb, *params)
            others = self.sharers(user, cap) if cap == "chghost" else self.interested(user, cap)
            for client in [*(one for one in own if cap in one.caps), *others]:
                client.send(line)
            before = user.mask

    def _modes_changed(self, user: User) -> None:
        for session in user.sessions:
            if (client := self.client(session)) and (line := client.mode_line()):
                client.send(line)

    def tell_away(self, user: User, room: Room) -> None:
        """Tell a room's clients that a user who has just joined is away, if so.

        Source: https://ircv3.net/specs/extensions/away-notify
        """
        if user.away:
            for client in self.clients_in(room):
                if client.user is not user and "away-notify" in client.caps:
                    client.send(client.event(user, "AWAY", user.away))

    def may_knock(self, room: str, host: str) -> bool:
        """Return whether a user from a host may knock on a room now. If so, note the knock.

        A host may knock on a room once in KNOCKS_AFTER seconds.
        """
        now = self.hub.clock()
        self._knocks = {key: then for key, then in self._knocks.items() if 0 <= now - then < KNOCKS_AFTER}
        if (room, host) in self._knocks or len(self._knocks) >= KNOCKS:
            return False
        self._knocks[room, host] = now
        return True

    # --- notified clients -----------------------------------------------------------------------------------------

    def sharers(self, user: User | None, cap: str) -> Iterator[Client]:
        """Return the clients that have a capability and share a room with a user, each once, without the user's own."""
        seen = set()
        for room in user.rooms.values() if user else ():
            for client in self.clients_in(room):
                if client not in seen and client.user is not user:
                    seen.add(client)
                    if cap in client.caps:
                        yield client

    def interested(self, user: User, cap: str) -> Iterator[Client]:
        """Return the clients of `sharers`, and those that monitor the user's nick and have extended-monitor."""
        seen = set()
        for client in self.sharers(user, cap):
            seen.add(client)
            yield client
        for client in self.watchers(user.nick):
            if client not in seen and {cap, "extended-monitor"} <= client.caps and client.user is not user:
                yield client

    def clients_in(self, room: Room) -> Iterator[Client]:
        """Return the IRC clients of the members of a room."""
        for session in list(room.sessions):
            if client := self.client(session):
                yield client

    def client(self, session: Session) -> Client | None:
        """Return the IRC client of a session; None if the session uses another protocol."""
        outlet: Any = session.client
        return outlet if getattr(outlet, "is_irc", False) else None


def human(seconds: float) -> str:
    """Return a time, in seconds since 1970, as readable UTC text."""
    return time.strftime("%a %b %d %Y %H:%M:%S UTC", time.gmtime(seconds))
