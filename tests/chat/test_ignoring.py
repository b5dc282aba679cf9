"""Ignoring people: what they say is hidden live, in history, in search and in private, and from nobody else."""

from __future__ import annotations

import pytest
from test_account_users import Town

from doubles import House, Peer
from hubbub.chat.commands import slash
from hubbub.chat.private import direct
from hubbub.model.entries import Reacted, Said
from hubbub.model.events import Event, HistoryShown, Invited, Missed, Notice, Private, Refusal
from hubbub.model.messages.quotes import about
from hubbub.model.notices.ignoring import MOST, Ignored
from ops_room import ops
from records import text_in


def says(house: House, peer: Peer, *lines: str) -> None:
    for line in lines:
        peer.types(line)
        house.settle()


def lines(peer: Peer) -> list[str]:
    return [one for one in peer.sees() if isinstance(one, str)]


def texts(events: list[str | Event]) -> list[str]:
    return [text_in(one) for event in events if isinstance(event, HistoryShown) for one in event.entries]


def test_what_a_guest_says_is_hidden_and_a_rename_does_not_evade_it() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    says(house, al, "/ignore bo")
    assert al.sees() == [Notice(("You ignore Bo now. /unignore Bo ends that",))]
    says(house, al, "mine")
    house.forget()
    says(house, bo, "hi", "/fix ho", "/me waves", "/nick Rob", "again", "/+ 👍", "/leave")
    says(house, cy, "hello")
    assert lines(al) == ["Bo > Rob", "-Rob", "Cy: hello"]
    assert len(lines(cy)) == 7
    says(house, al, "/history", "/search from:rob", "/ignore")
    seen = al.sees()
    assert set(texts(seen)) == {"mine", "hello"} and seen[-1] == Notice(("You ignore Bo",))


def test_history_in_which_all_is_hidden_is_no_silence() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    says(house, bo, "hi", "/poll tea? | yes | no")
    says(house, al, "/ignore Bo")
    house.forget()
    says(house, al, "/history", "/search hi")
    assert al.sees() == [Notice(("All of it is by people whom you ignore",))] * 2


def test_acts_without_a_name_are_about_the_newest_message_that_is_shown() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    says(house, cy, "tea is ready")
    says(house, bo, "Al is silly")
    says(house, al, "/ignore Bo", "/re thanks", "/+ 🎉", "/re Bo stop that")
    tea, silly, *acts = (one for one in house.broker.log if isinstance(one.body, Said | Reacted))
    assert [about(one) for one in acts] == [tea.id, tea.id, silly.id], "who is named is meant"


def test_operator_deletes_and_pins_what_somebody_said_whom_the_operator_ignores() -> None:
    house, (al, bo) = ops("Al", "Bo")
    says(house, bo, "rules", "spam")
    says(house, al, "/ignore Bo", "/delete Bo", "/pin Bo")
    assert [text_in(one) for one in house.hub.rooms.loaded["ops"].latest if isinstance(one.body, Said)] == ["rules"]
    assert [pin.text for pin in house.hub.rooms.loaded["ops"].state.pins.values()] == ["Bo: rules"]


def test_vote_without_a_number_is_for_the_newest_poll_that_is_shown() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    says(house, cy, "/poll tea? | yes | no")
    says(house, bo, "/poll is Al silly? | yes | no")
    says(house, al, "/ignore Bo")
    house.forget()
    says(house, al, "/vote yes", "/vote 1 2")
    told = [event.lines for event in al.sees() if isinstance(event, Notice)]
    assert told == [("tea? Your vote: yes",), ("is Al silly? Your vote: yes",)]


def test_people_are_shown_again() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    says(house, al, "/ignore Bo", "/ignore @BO")
    assert len(al.user.ignored) == 1
    says(house, bo, "/nick Rob")
    says(house, al, "/unignore rob", "/unignore rob", "/ignore")
    seen = al.sees()
    assert seen[-3:] == [
        Notice(("You do not ignore Bo any more",)),
        Refusal("no-such-name", "You do not ignore rob."),
        Notice(("You ignore nobody",)),
    ]
    says(house, bo, "hi")
    assert lines(al) == ["Rob: hi"]
    says(house, al, "/ignore Rob", "/unignore Rob")
    assert not house.hub.delivery.ignorers


@pytest.mark.parametrize(("line", "code"), [("/ignore al", "bad-value"), ("/ignore nobody-here", "no-such-name")])
def test_refused(line: str, code: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    says(house, al, line)
    (refusal,) = al.sees()
    assert isinstance(refusal, Refusal) and refusal.code == code


def test_list_is_bounded() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    al.user.guest_ignores = tuple(Ignored(f"x{number}", "h", f"x{number}") for number in range(MOST))
    says(house, al, "/ignore Bo")
    (refusal,) = al.sees()
    assert isinstance(refusal, Refusal) and refusal.code == "list-full"


def test_sessions_that_catch_up_are_not_shown_it_either() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    says(house, al, "/ignore Bo")
    house.forget()
    al.stall()
    says(house, bo, "one")
    says(house, cy, "two")
    says(house, bo, "three")
    al.read()
    house.settle()
    assert lines(al) == ["Cy: two"]


def test_private_messages_invitations_signals_and_mentions_are_hidden() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    says(house, al, "/ignore Bo", "mine")
    house.forget()
    says(house, bo, "/msg Al psst", "@al hi", "/re Al yes", "/join ops", "/invite Al", "/join lobby")
    direct.signal(house.hub, bo.session, "lobby", "+typing=active")
    house.settle()
    says(house, bo, "/+ 👍")
    assert not [one for one in al.sees() if isinstance(one, Private | Invited)] and not al.mentioned
    assert not [one for one in bo.sees() if isinstance(one, Refusal)], "the one who is ignored is not told"
    says(house, cy, "/msg Al psst", "/join ops", "/invite Al")
    assert [type(one) for one in al.sees() if not isinstance(one, str)] == [Private, Invited]


def test_owner_of_an_account_ignores_in_all_sessions_and_after_a_return() -> None:
    town = Town("Ann", "Zoë")
    ann, again, zoe = town.log_in("Ann"), town.log_in("Ann"), town.log_in("Zoë")
    says(town.house, ann, "/ignore Zoë")
    town.settle()
    town.house.forget()
    says(town.house, zoe, "hi")
    assert lines(ann) == lines(again) == [] and town.accounts.find("Ann").ignored == (  # type: ignore[union-attr]
        Ignored("Zoë", "~user@idzoë.account"),
    )
    ann.leave()
    again.leave()
    town.settle()
    later = town.log_in("Ann", forget=False)
    assert "hi" not in texts(later.sees())
    says(town.house, zoe, "still here")
    assert lines(later) == []


def test_somebody_absent_can_be_ignored_by_their_account() -> None:
    town = Town("Ann", "Zoë")
    ann = town.log_in("Ann")
    says(town.house, ann, "/ignore zoë")
    town.settle()
    zoe = town.log_in("Zoë")
    says(town.house, zoe, "hi")
    assert "Zoë: hi" not in lines(ann)


def test_messages_of_ignored_people_are_not_counted_as_missed() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    (bo, cy) = town.house.enter("Bo", "Cy")
    says(town.house, ann, "/ignore Bo")
    town.settle()
    seq = town.house.broker.log[-1].seq
    says(town.house, bo, "one")
    says(town.house, cy, "two")
    town.house.forget()
    for _ in range(2):  # from memory, then from the log
        town.hub.rooms.show(ann.session, next(iter(ann.session.rooms.values())), seq)
        ann.session.flush()
        town.settle()
        assert [one.count for one in ann.sees() if isinstance(one, Missed)] == [1]
        town.hub.delivery.expire()
        town.hub.delivery.expire()


def test_table_has_the_commands() -> None:
    assert {"ignore", "unignore"} <= set(slash.COMMANDS)
