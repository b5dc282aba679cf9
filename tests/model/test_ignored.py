"""Whose entries are hidden from somebody who ignores people."""

from __future__ import annotations

from hubbub.model.entries import Body, Entry, Ephemeral, Joined, Left, Polled, Reacted, Said
from hubbub.model.notices.ignoring import Ignored, hides, shown

GUEST = Ignored("Bob", "~nc@1.nc", "bob", "x-7.")
OWNER = Ignored("Zoë", "~user@1.account")


def entry(nick: str, host: str, id: str = "y-1.1", body: Body | None = None) -> Entry:
    return Entry("ops", 1, 0, 0.0, nick, id, body or Said("hi"), host)


def test_guest_is_known_by_nick_and_host_or_by_session() -> None:
    assert hides([GUEST], entry("BOB", "~nc@1.nc"))
    assert hides([GUEST], entry("Rob", "~nc@1.nc", "x-7.4"))
    assert not hides([GUEST], entry("Ann", "~nc@1.nc", "x-71.4")) and not hides([GUEST], entry("Bob", "~nc@2.nc"))


def test_owner_of_an_account_is_known_by_it() -> None:
    assert hides([GUEST, OWNER], entry("Whatever", OWNER.host)) and not hides([OWNER], entry("Zoë", "~nc@1.nc"))


def test_only_what_is_said_is_hidden() -> None:
    for body in (Reacted("m", "👍"), Ephemeral("TAGMSG"), Polled("tea?", ("yes", "no"))):
        assert hides([GUEST], entry("Bob", "~nc@1.nc", body=body))
    for body in (Joined(), Left()):
        assert not hides([GUEST], entry("Bob", "~nc@1.nc", body=body))


def test_entries_that_are_shown() -> None:
    mine, his = entry("Ann", "~nc@1.nc"), entry("Bob", "~nc@1.nc")
    assert shown([GUEST], [mine, his]) == [mine]
    entries = [mine]
    assert shown([GUEST], entries) is entries and shown([], [his]) == [his]
