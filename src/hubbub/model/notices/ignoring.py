"""People whom somebody ignores: which entries are hidden from the one who ignores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hubbub.model.entries import Edited, Entry, Ephemeral, Polled, Reacted, Said, Unreacted
from hubbub.text.names import key_of

MOST = 100  # people whom one person ignores
# Messages, polls and reactions are hidden. Joins, leaves and the actions of operators are not.
_HIDDEN = (Said, Edited, Polled, Reacted, Unreacted, Ephemeral)


class Ignored(NamedTuple):
    """A person who is ignored: the owner of an account by the host, a guest by nick and host or by the session.

    Args:
        name: the name, as it is shown.
        host: the public form of the address, or the host of the account.
        nick: the folded nick of a guest; "" for the owner of an account.
        prefix: the prefix of the ids of all that the guest says before leaving, also under other nicks; "" for none.

    """

    name: str
    host: str
    nick: str = ""
    prefix: str = ""

    def is_author(self, entry: Entry) -> bool:
        """Return whether the person is the author of an entry."""
        return self.is_person(entry.nick, entry.host) or bool(self.prefix and entry.id.startswith(self.prefix))

    def is_person(self, nick: str, host: str) -> bool:
        """Return whether the person has a nick and a host."""
        return host == self.host and self.nick in ("", key_of(nick))


def hides(ignored: Sequence[Ignored], entry: Entry) -> bool:
    """Return whether an entry is hidden from somebody who ignores these people."""
    return isinstance(entry.body, _HIDDEN) and any(one.is_author(entry) for one in ignored)


def shown(ignored: Sequence[Ignored], entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries that are not hidden; the same sequence if all of them are shown."""
    if not ignored or not any(hides(ignored, entry) for entry in entries):
        return entries
    return [entry for entry in entries if not hides(ignored, entry)]
