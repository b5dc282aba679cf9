"""The parts of an entry's id."""

from __future__ import annotations

from hubbub.model import ids


def test_id_is_made_of_its_parts_and_tells_them() -> None:
    one = ids.make_id("boot-1f.", 26)
    assert one == "boot-1f.1a" and not ids.has_label(one)
    named = ids.make_id("boot-1f.", 26, "m-1")
    assert named == "boot-1f.1a-m-1" and ids.has_label(named)
    older = f"{named}~11"  # of an event in several rooms, as older versions wrote it
    assert {ids.session_of(id) for id in (one, named, older)} == {"boot-1f."}
    assert {ids.process_of(id) for id in (one, named, older)} == {"boot"}


def test_id_of_another_form_has_no_session() -> None:
    assert ids.session_of("imported") == "" and ids.process_of("imported") == "imported"
    assert not ids.has_label("imported")


def test_ids_of_a_user_have_a_prefix_in_common_and_those_of_others_for_them_too() -> None:
    leave = ids.leave_for("boot-1f.", 255)
    assert {ids.user_of(id) for id in ("boot-1f.3", "boot-1f.2.3", leave)} == {"boot-1f."}
    assert ids.session_of(leave) not in ("boot-1f.", "") and ids.user_of("imported") == ""


def test_a_redaction_has_the_same_id_on_all_nodes_and_no_session_has_it() -> None:
    assert ids.redaction_for("a1", 255) == "a1.dff.0" and ids.user_of("a1.dff.0") == "a1."


def test_ids_that_several_nodes_publish_are_told_from_those_of_one_session() -> None:
    shared = ids.redaction_for("a1", 255), ids.end_of("a1", [255]), ids.leave_for("boot-1f.", 1)
    assert all(ids.is_shared(id) for id in shared)
    assert not any(ids.is_shared(id) for id in ("boot-1f.3", "boot-1f.d3.1", "boot-1f.3-x", "imported", ""))
