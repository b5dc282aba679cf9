"""Private conversations: the names of their rooms, and who may do what there."""

from __future__ import annotations

import pytest

from hubbub.errors import Refused
from hubbub.model.access import HIDDEN, Action, may, sees
from hubbub.model.conversation import can_have_log, conversation_of, is_conversation, parties_of, partner_of
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM, Viewer
from hubbub.text.names import check_room

ROOM = conversation_of("b2", "a1")


def test_a_conversation_has_one_room_that_nobody_can_name() -> None:
    assert ROOM == conversation_of("a1", "b2") == "@a1+b2"
    assert is_conversation(ROOM) and not is_conversation("ops")
    assert parties_of(ROOM) == ("a1", "b2") and parties_of("ops") == ()
    assert partner_of(ROOM, "a1") == "b2" and partner_of(ROOM, "b2") == "a1" and partner_of("@a1+a1", "a1") == "a1"
    with pytest.raises(Refused):
        check_room(ROOM)
    assert can_have_log(ROOM) and can_have_log("ops")
    assert not any(can_have_log(name) for name in ("@", "@a1", "@a1+", "@a+b+c", "@a b+c", "a b"))


@pytest.mark.parametrize("action", Action)
def test_only_the_two_people_read_a_conversation_and_nobody_does_anything_else(action: Action) -> None:
    state = RoomState(ROOM)
    for viewer in (Viewer(), Viewer(account="c3"), Viewer(operator=True), Viewer(rooms=(ROOM,))):
        refused = may(viewer, action, state)
        assert refused and refused.code == HIDDEN
    for account in ("a1", "b2"):
        assert (may(Viewer(account=account), action, state) is None) is (action is Action.READ)
    assert may(SYSTEM, action, state) is None


def test_lists_and_searches_of_all_rooms_leave_conversations_out_for_all_but_the_two() -> None:
    assert sees(Viewer(account="a1"), Action.READ, ROOM, "", ROOM) is None
    for viewer in (SYSTEM, Viewer(operator=True), Viewer(account="a")):
        assert sees(viewer, Action.READ, ROOM, "", ROOM)
    assert sees(Viewer(account="a1"), Action.LIST, ROOM, "", ROOM)
    assert sees(Viewer(), Action.READ, "@", "", "@"), "without an account there is no conversation"
