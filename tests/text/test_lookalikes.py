"""Names that look the same."""

from __future__ import annotations

import unicodedata

import pytest

from doubles import House
from hubbub.chat.users.nicks import Nicks
from hubbub.errors import Refused
from hubbub.model.entries import Said
from hubbub.model.room.room_ids import RoomRef
from hubbub.text.confusables.lookalikes import Lookalikes, looks
from hubbub.text.confusables.table import PROTOTYPES
from hubbub.text.names import key_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Аӏісе", "Alice"),
        ("Alice", "AIice"),
        ("Alice", "A1ice"),
        ("ALICE", "аӏісе"),
        ("O'Brien", "O’Brien"),
        ("Торн", "Tорн"),
        ("modern", "modem"),
        ("ᎪᎢ", "AT"),
        ("Ꮪerver", "server"),
        ("ꓡobby", "lobby"),
        ("Ꮃatcher", "watcher"),
        ("Bob|", "Bobl"),
        ("ոս", "nu"),
    ],
)
def test_names_look_alike(one: str, other: str) -> None:
    assert looks(one) & looks(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Alice", "Alicia"), ("Bo", "Bob"), ("é", "e"), ("Ян", "Яна"), ("a-b", "a_b"), ("x1", "x2")]
)
def test_names_do_not_look_alike(one: str, other: str) -> None:
    assert not looks(one) & looks(other)


def test_prototypes_are_single_characters_of_names() -> None:
    assert len(PROTOTYPES) > 2000
    assert PROTOTYPES[ord("а")] == "a" and PROTOTYPES[ord("I")] == "l"
    assert all(unicodedata.normalize("NFKC", chr(code)) == chr(code) for code in PROTOTYPES)


def test_held_names_are_found_by_their_looks() -> None:
    held = Lookalikes()
    held.add("alice", "Alice")
    held.add("modern", "modern")
    assert held.find("Аӏісе") == "alice" and held.find("modem") == "modern" and held.find("Bob") is None
    assert held.find("Аӏісе", ["alice"]) is None
    held.add("modem", "modem")  # on a cluster both may come at once
    held.remove("modem")
    assert held.find("modem") == "modern"
    held.remove("modern")
    held.remove("nobody")
    assert held.find("modem") is None


def taken(directory: Nicks, name: str) -> str:
    with pytest.raises(Refused) as refusal:
        directory.claim(name)
    assert refusal.value.code == "name-taken"
    return refusal.value.text


def test_look_alike_of_somebody_who_is_here_is_refused() -> None:
    directory = Nicks()
    user, nick = directory.claim("Alice")
    assert taken(directory, "Аӏісе") == "The name Аӏісе looks like Alice, who is here. Use another."
    for ask in (directory.free, directory.check_free):
        with pytest.raises(Refused):
            ask("Аӏісе")
    directory.claim("A1ice", user)  # her own
    directory.set_nick(user, "A1ice", ())
    assert "looks like A1ice" in taken(directory, "Alice") and key_of("A1ice") == "a1ice"
    directory.release_all(user)
    directory.claim(nick)


def test_look_alike_of_a_name_that_somebody_is_about_to_take_is_refused() -> None:
    directory = Nicks()
    user, _ = directory.claim("Bob")
    directory.claim("Alice", user)
    assert taken(directory, "Аӏісе") == "The name Аӏісе looks like alice, who is here. Use another."


def test_look_alikes_come_in_on_no_way() -> None:
    house = House()
    al, bo = house.enter("Alice", "Bo")
    bo.types("/nick Аӏісе")
    with pytest.raises(Refused):
        house.hub.post(bo.session, "Аӏісе", "lobby", "hi", "r")
    (told,) = bo.sees()
    assert "looks like Alice" in str(told)
    al.leave()
    house.settle()
    bo.types("/nick Аӏісе")
    house.settle()
    assert bo.session.nick == "Аӏісе"


@pytest.mark.parametrize("way", ["/join lоbby2", "post", "/rename lоbby2"])
def test_room_whose_name_mixes_alphabets_is_not_opened(way: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    if way == "post":
        house.hub.post(al.session, "ci", "lоbby2", "hi", "r")
    elif "rename" in way:
        al.types("/join ops")
        house.settle()
        house.forget()
        al.types(way)
    else:
        al.types(way)
    house.settle()
    assert any("can't mix" in str(told) for told in al.sees())
    assert not house.broker.of("lоbby2")


def test_room_that_is_there_is_joined_whatever_its_name() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.publish(al.session, RoomRef("", "lоbby2"), Said("hi"))
    house.settle()
    bo.types("/join lоbby2")
    house.settle()
    assert "lоbby2" in bo.session.rooms
