"""The ids of rooms."""

from __future__ import annotations

from hubbub.model.room.room_ids import new_room_id


def test_id_of_a_room_is_its_first_name_unless_a_renamed_room_has_it() -> None:
    taken: set[str] = set()
    for id in ("ops", "ops=2", "ops=3"):
        assert new_room_id("ops", taken.__contains__) == id == new_room_id("ops", taken.__contains__)
        taken.add(id)
    assert new_room_id("dev", taken.__contains__) == "dev"
