"""What is remembered of users, browsers and accounts."""

from hubbub.model.room.memory import (
    FORMER_NAMES,
    KEPT,
    KEPT_ROOMS,
    KEPT_SECONDS,
    RECALLED,
    RENEW_SECONDS,
    Memories,
    RoomMemory,
)

NOW = 1000.0


def test_users_of_one_browser_share_its_memory_for_a_day_after_its_last_use() -> None:
    memories = Memories()
    al, bo = RoomMemory(), RoomMemory()
    al.recall(memories.of("x", NOW))
    al.recall(memories.of("x", NOW))
    assert len(al.recalled) == 1
    bo.recall(memories.of("x", NOW))
    al.keep_mask("ops", "Al!a@b", NOW + 5)
    assert bo.recalled[0]["ops"] == ("Al!a@b",) and not bo.former
    assert memories.of("x", NOW + KEPT_SECONDS) is al.recalled[0]
    assert memories.of("y", NOW) == {}
    assert memories.of("x", NOW + 2 * KEPT_SECONDS) == {}


def test_memories_are_bounded() -> None:
    memories = Memories()
    first = memories.of("x0", NOW)
    for number in range(1, KEPT):
        memories.of(f"x{number}", NOW)
    assert memories.of("x0", NOW) is first
    memories.of("more", NOW)
    assert memories.of("x0", NOW) is first
    user = RoomMemory()
    for number in range(RECALLED + 2):
        user.recall(memories.of(f"y{number}", NOW))
    assert len(user.recalled) == RECALLED and user.recalled[-1] is memories.of(f"y{RECALLED + 1}", NOW)
    for number in range(KEPT_ROOMS + 2):
        user.keep_mask(f"r{number}", "Al!a@b", NOW)
    assert len(user.recalled[0]) == KEPT_ROOMS < len(user.former)


def test_masks_of_a_former_user_are_added_and_none_is_pushed_out() -> None:
    memories = Memories()
    guest, owner = RoomMemory(), RoomMemory()
    owner.recall(memories.of("x", NOW))
    owner.keep_mask("ops", "joker!a@b", NOW)
    for number in range(FORMER_NAMES):
        guest.keep_mask("ops", f"n{number}!a@b", NOW)
    for number in range(KEPT_ROOMS):
        guest.keep_mask(f"r{number}", "n!a@b", NOW)
    owner.absorb(guest)
    assert owner.former["ops"] == ("joker!a@b", "n0!a@b", "n1!a@b", "n2!a@b") == owner.recalled[0]["ops"]
    assert len(owner.recalled[0]) == KEPT_ROOMS and len(owner.former) == KEPT_ROOMS + 1
    late = memories.of("y", NOW)
    guest.recall(late)
    assert late["ops"] == ("n0!a@b", "n1!a@b", "n2!a@b", "n3!a@b")


def test_the_memory_of_somebody_barred_is_stored_and_no_crowd_makes_it_forgotten() -> None:
    memories, stored, dropped = Memories(), list[str](), list[str]()
    memories.store, memories.drop = stored.append, dropped.append
    joker = memories.of("joker", NOW)
    joker.keep("ops", "Joker!a@b", NOW)
    memories.bar((joker,), NOW)
    for number in range(KEPT + 1):
        memories.of(f"x{number}", NOW)
    assert memories.of("joker", NOW) is joker and stored == ["joker"]
    memories.of("joker", NOW + RENEW_SECONDS)
    assert stored == ["joker"] * 2 and joker.used == NOW + RENEW_SECONDS
    memories.expire(joker.used + KEPT_SECONDS - 1)
    assert not dropped
    assert memories.of("joker", joker.used + KEPT_SECONDS) == {} and dropped == ["joker"]


def test_what_other_nodes_have_stored_is_added_and_bounded() -> None:
    memories, dropped = Memories(), list[str]()
    memories.drop = dropped.append
    here = memories.of("joker", NOW)
    here.keep("ops", "Joker!a@b", NOW)
    memories.merge("joker", {"ops": ("Other!a@b",), "tea": ("Joker!a@b",)}, NOW - 5)
    assert memories.of("joker", NOW) is here and here.used == NOW
    assert here == {"ops": ("Joker!a@b", "Other!a@b"), "tea": ("Joker!a@b",)}
    memories.merge("new", {}, NOW)
    assert memories.of("new", NOW) is memories.barred.pop("new"), "also one without masks is kept"
    memories.merge("joker", {}, NOW + 5)
    assert here.used == NOW + 5
    for number in range(KEPT):
        memories.merge(f"x{number}", {}, NOW)
    assert dropped == ["joker"] and len(memories.barred) == KEPT
