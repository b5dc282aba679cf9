"""What a user remembers, and what a session is answered."""

from doubles import House
from hubbub.chat.session import FORMER_ROOMS
from hubbub.model.events import Notice, Refusal
from hubbub.model.queries import Latest


def test_rooms_of_which_a_user_remembers_something_are_bounded() -> None:
    house = House()
    (al,) = house.enter("Al")
    for number in range(FORMER_ROOMS + 3):
        al.user.remember(f"r{number}")
        al.user.trust(f"r{number}")
    assert len(al.user.former) <= FORMER_ROOMS and "r0" not in al.user.former
    assert len(al.user.trusted) <= FORMER_ROOMS and "r0" not in al.user.trusted


def test_what_a_user_remembers_of_a_room_follows_its_name() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.user.remember("ops")
    al.user.trust("ops")
    al.user.invite("ops", 5.0)
    al.user.move("ops", "dev")
    assert al.user.former["dev"] and "dev" in al.user.trusted and al.user.invited["dev"] == 5.0
    assert "ops" not in al.user.former and "ops" not in al.user.trusted and "ops" not in al.user.invited


def test_answer_to_somebody_who_has_left_is_dropped() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/history")
    al.leave()
    house.settle()
    assert bo.sees() == ["-Al"] and not [event for event in al.sees() if type(event).__name__ == "HistoryShown"]


def test_log_of_a_closed_room_is_refused_with_the_rooms_own_code() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops", "/set invite-only on")
    house.settle()
    house.hub.ask(bo.session, Latest("ops", 5, viewer=house.hub.viewer(bo.session)), lambda page: Notice(("shown",)))
    house.settle()
    (refusal,) = [event for event in bo.sees() if isinstance(event, Refusal)]
    assert refusal.code == "closed" and refusal.text == "Only members of ops can read it."
