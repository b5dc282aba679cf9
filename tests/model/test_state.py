"""Rules of a room: how changes are written, what they mean in words, and what follows from them."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.chat.session import User
from hubbub.model.entries import Entry, Kind, ModeChange
from hubbub.model.messages.overlays import overlaid, target_of
from hubbub.model.room import keys
from hubbub.model.room.masks.mask_lists import LISTS, VERDICTS
from hubbub.model.room.modes import LETTERS, describe, without_secrets
from hubbub.model.room.settings import LIST_CHARS, MAX_MASKS
from hubbub.model.room.state import MAX_RIGHTS, PARAM_CHARS, RoomState
from hubbub.model.viewer import Viewer
from hubbub.text.names import LOBBY
from records import changed, entry_of, parse, text_in, write


def person(nick: str, host: str = "~nc@aaaaaaaaaa.nc", address: str = "192.0.2.1") -> User:
    user = User(nick)
    user.id, user.host, user.address = nick, host, address
    return user


AL, BO = person("Al"), person("Bo", "~irc@bbbbbbbbbb.irc", "192.0.2.2")


def entry(kind: Kind, text: str, nick: str = "Al", host: str = AL.host) -> Entry:
    return entry_of("ops", 1, 0, 5.0, kind, nick, text, "x.1", host)


class Rules(RoomState):
    """The state of a room in which some users are while an entry is applied."""

    def apply(self, entry: Entry, members: Collection[User] | None = None) -> bool:
        self.members = self.members if members is None else members
        return super().apply(entry)


def rules(*changes: str, members: tuple[User, ...] = (AL, BO), room: str = "ops") -> Rules:
    made = Rules(room)
    for text in changes:
        made.apply(entry(Kind.MODE, text), members)
    return made


# --- how changes are written ------------------------------------------------------------------------------------


def test_changes_are_written_and_read() -> None:
    changes = [
        ModeChange(True, "o", "Bo!~a@b"),
        ModeChange(True, "n", ""),
        ModeChange(False, "l", ""),
        ModeChange(False, "k", "*"),
    ]
    assert write(changes) == "+on-lk Bo!~a@b *"
    assert parse("+on-lk Bo!~a@b *") == (changes, 0.0)
    assert write([ModeChange(True, "b", "a!*@*")], 99.4) == "+b a!*@* until=99"
    assert parse("+b a!*@* until=99") == ([ModeChange(True, "b", "a!*@*")], 99.0)
    assert parse("b") == ([ModeChange(True, "b", "")], 0.0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(LETTERS))), min_size=1, max_size=8))
def test_every_change_survives(letters: list[tuple[bool, str]]) -> None:
    changes = [
        ModeChange(
            on, letter, "5" if LETTERS[letter].parameter == "always" or (LETTERS[letter].parameter and on) else ""
        )
        for on, letter in letters
    ]
    assert parse(write(changes)) == (changes, 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("+o Bo!~a@b", "has made Bo an operator"),
        ("-o Bo!~a@b", "has taken back Bo's operator rights"),
        ("+b Bo!*@*", "has banned Bo"),
        ("+b m:Bo!*@*", "has muted Bo"),
        ("-b m:*!*@x until=9", "lets *!*@x speak again"),
        (
            "+ni-t",
            "has closed the room to messages from outside, has made the room invite-only, has unlocked the topic",
        ),
        ("+l 5", "has limited the room to 5 members"),
        ("-k *", "has removed the key"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert describe(parse(text)[0]) == words


# --- what the log says ------------------------------------------------------------------------------------------


def test_first_member_is_operator_except_in_the_lobby() -> None:
    for room, is_operator in (("ops", True), (LOBBY, False)):
        made = Rules(room, [entry(Kind.JOIN, ""), entry(Kind.JOIN, "", "Bo", BO.host)])
        made.admit(AL)
        made.admit(BO)
        assert made.created == 5.0
        assert [made.is_operator(AL), made.is_operator(BO)] == [is_operator, False]


def test_status_is_given_taken_and_kept_for_a_returning_member() -> None:
    made = rules(f"+ov Bo!{BO.host} Bo!{BO.host}")
    assert made.prefixes(BO) == "@+" and made.prefixes(AL) == ""
    made.dismiss(BO)
    assert made.prefixes(BO) == ""
    made.admit(person("bo", BO.host))
    other = person("Bo")
    made.admit(other)
    assert not made.is_operator(other), "the same name from elsewhere"
    again = person("BO", BO.host)
    made.admit(again)
    assert made.prefixes(again) == "@+"
    made.apply(entry(Kind.MODE, f"-o Bo!{BO.host}"), [again])
    made.apply(entry(Kind.MODE, f"-v Bo!{BO.host}"), [again])
    assert made.prefixes(again) == "" and not made.rights


def test_rights_follow_a_member_to_a_new_name() -> None:
    bo = person("Bo", BO.host)
    made = rules(f"+o Bo!{BO.host}", f"+v Zoe!{BO.host}", members=(bo, AL))
    made.apply(entry(Kind.RENAME, "Zoe", "Bo", BO.host), (bo, AL))
    assert made.rights == {("zoe", BO.host): "ov"} and made.prefixes(bo) == "@+"
    made.apply(entry(Kind.MODE, f"-o Zoe!{BO.host}"), (bo, AL))  # it is not known yet what he is called
    assert made.prefixes(bo) == "@+"
    bo.nick = "Zoe"
    made.move_status(bo, "Bo")
    assert made.prefixes(bo) == "+"
    made.apply(entry(Kind.RENAME, "ZOE", "Zoe", BO.host), (bo, AL))
    made.apply(entry(Kind.RENAME, "Yve", "Zoe", "~nc@elsewhere.nc"), (bo, AL))
    assert made.prefixes(bo) == "+" and not made.status.get(AL)


OWNER = person("Ann", "~user@a1.account")


def test_rights_of_a_guest_end_with_their_next_arrival_while_an_account_holds_the_room() -> None:
    made = Rules("ops", [changed(entry(Kind.JOIN, "", "Bo", BO.host), seq=1)])
    made.apply(changed(entry(Kind.MODE, f"+vo Al!{AL.host} Zoe!{AL.host}"), seq=2), ())
    assert made.returns_as_operator(BO) and not made.returns_as_operator(AL)
    assert not made.apply(changed(entry(Kind.JOIN, "", "Bo", BO.host), seq=3)), "as long as nobody has an account"
    made.apply(changed(entry(Kind.MODE, f"+o Ann!{OWNER.host}"), seq=4))
    assert made.has_owner and made.returns_as_operator(OWNER) and not made.returns_as_operator(BO)
    assert ("bo", BO.host) in made.rights, "those who are present keep their rights"
    assert not made.apply(changed(entry(Kind.JOIN, "", "Cy", BO.host), seq=5))
    assert not made.apply(changed(entry(Kind.JOIN, "", "Ann", OWNER.host), seq=6))
    made.status[BO] = "o"
    assert made.apply(changed(entry(Kind.JOIN, "", "Bo", BO.host), seq=7), [AL, BO])
    assert not made.status, "also if another node has reported a leave that was none"
    # A guest gets nothing by the name of one who has gone, and takes nothing but their own rights along.
    assert made.apply(changed(entry(Kind.RENAME, "Zoe", "Al", AL.host), seq=8), [AL])
    assert made.rights == {("zoe", AL.host): "v", ("ann", OWNER.host): "o"} and made.status == {AL: "v"}
    assert made.apply(changed(entry(Kind.RENAME, "ZOE", "Zoe", AL.host), seq=9), [AL])
    assert made.rights["zoe", AL.host] == "v"
    restored = RoomState("ops", made.snapshot())
    assert restored.rights == made.rights and restored.snapshot() == made.snapshot()
    made.apply(changed(entry(Kind.MODE, f"-o Ann!{OWNER.host}"), seq=10))
    assert not made.has_owner


def test_new_name_that_is_known_before_its_rename_is_stored_changes_nothing_yet() -> None:
    bo = person("Bo", BO.host)
    made = rules(f"+o Bo!{BO.host}", members=(bo,))
    bo.nick = "Zoe"
    made.move_status(bo, "Bo")
    assert made.is_operator(bo)
    made.apply(entry(Kind.RENAME, "Zoe", "Bo", BO.host), (bo,))
    assert made.is_operator(bo) and ("bo", BO.host) not in made.rights


def test_settings_are_set_and_taken_back() -> None:
    made = rules("+imskld key 5 9", "+b x!*@*")
    assert made.modes(True) == "+imnskld * 5 9", "nobody has typed it since the room woke"
    made.learn_key("other")
    made.learn_key("key")
    assert made.modes(True) == "+imnskld key 5 9"
    assert made.modes(False) == "+imnskld * 5 9" and made.is_secret
    made.apply(entry(Kind.MODE, "-imnskldb * X!*@*"), ())
    assert made.modes(True) == "+" and not made.lists["b"]
    made.apply(entry(Kind.TOPIC, "tea"), ())
    assert (made.topic.by, made.topic.at) == ("Al", 5.0)
    made.apply(entry(Kind.MESSAGE, "+i"), ())
    assert made.modes(True) == "+"


# --- keys ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["x.1", "boot-2.5", ""]))
def test_key_is_stored_as_a_hash_that_fits_it_alone(key: str, other: str, salt: str) -> None:
    stored = keys.hashed(key, salt)
    assert " " not in stored and len(stored) > 48 and keys.hashed(key, salt + "1") != stored
    assert keys.fits(key, stored) and keys.fits(other, stored) is (key == other)
    if not key.startswith("$k1$"):  # the beginning of a hash
        assert keys.fits(key, key) and keys.fits(other, key) is (key == other), "as logs of before have it"


@pytest.mark.parametrize("stored", ["$k1$", "$k1$x", "$k1$x$", "$k1$$"])
def test_hash_that_is_none_fits_nothing(stored: str) -> None:
    assert not keys.fits("", stored) and not keys.fits("x", stored)


def test_keys_are_shown_to_nobody() -> None:
    said = [entry(Kind.MESSAGE, "+k"), entry(Kind.MODE, "+m"), entry(Kind.MODE, "+b k!*@* until=9")]
    assert without_secrets(said[:2]) is not None and list(without_secrets(said)) == said
    hidden = [entry(Kind.MODE, "+bk x!*@* tea until=9"), entry(Kind.MODE, f"+k {keys.hashed('tea', 'x.1')}")]
    shown = [text_in(one) for one in without_secrets([*said, *hidden, entry(Kind.MODE, "-k tea")])]
    assert shown == ["+k", "+m", "+b k!*@* until=9", "+bk x!*@* * until=9", "+k *", "-k *"]


@pytest.mark.parametrize("until", [0.0, 1.8e9])
@pytest.mark.parametrize(("letter", "param"), [("k", "until=x"), ("k", "until=5"), ("b", "until=x!*@*")])
def test_key_or_mask_may_begin_like_the_end_of_a_ban(letter: str, param: str, until: float) -> None:
    one = ModeChange(True, letter, param)
    assert parse(write([one], until)) == ([one], until)
    rules(write([one], until))


def test_unknown_modes_are_left_out() -> None:
    """A log may come from elsewhere: its rooms open all the same."""
    made = rules("?3+zi", "+l", "+l many", "+b x!*@* until=soon", "+d x", "", " ", "+o", "-z x")
    assert (made.flags, made.limit, made.slow.seconds, list(made.lists["b"])) == ({"n", "i"}, 0, 0, ["x!*@*"])
    assert made.lists["b"]["x!*@*"].until == 0.0
    assert describe(parse("+zi")[0]) == describe(parse("+i")[0]) != ""


@pytest.mark.parametrize(
    ("texts", "on"),
    [
        ([], ""),
        (["+m"], ""),
        (["+ks word", "-k word"], "s"),
        (["+s", "-s"], ""),
        (["-i", "+i", "+sm"], "is"),
        (["+k a", "+k b", "-s"], "k"),
    ],
)
def test_letters_that_close_a_room_after_all_changes(texts: list[str], on: str) -> None:
    assert rules(*texts).closed == on


def asks(user: User, now: float = 1000.0) -> Viewer:
    return Viewer(mask=user.mask, address=user.address, now=now)


def test_verdict_of_a_list_is_computed_again_when_the_list_changes() -> None:
    made = rules("+b Bo!*@*")
    assert made.lists.verdict(asks(BO)).banned
    made.apply(entry(Kind.MODE, "+e *!*@bbbbbbbbbb.*"), ())
    assert not made.lists.verdict(asks(BO)).banned
    made.apply(entry(Kind.MODE, "-e *!*@bbbbbbbbbb.*"), ())
    assert made.lists.verdict(asks(BO)).banned
    BO.nick = "Bob"
    assert not made.lists.verdict(asks(BO)).banned
    BO.nick = "Bo"


def test_expired_ban_does_not_stay_in_the_cache() -> None:
    made = rules("+b Bo!*@* until=1010", "+b m:Bo!*@* until=2000")
    assert made.lists.verdict(asks(BO))[:2] == (True, True)
    assert made.lists.verdict(asks(BO, 1010.0))[:2] == (False, True)
    assert made.lists.verdict(asks(BO, 2000.0))[:2] == (False, False)


def test_room_caches_few_verdicts() -> None:
    made = rules("+b x!*@*")
    for number in range(VERDICTS + 10):
        made.lists.verdict(Viewer(mask=f"n{number}!u@h"))
    assert len(made.lists._verdicts) == VERDICTS


def test_mask_of_a_log_that_is_too_long_means_nobody_and_can_be_taken_away() -> None:
    mask = "*" * 200
    made = rules(f"+b {mask}", f"+b {mask}x")
    assert not made.lists.verdict(asks(BO)).banned
    made.apply(entry(Kind.MODE, f"-b {mask}"), ())
    assert list(made.lists["b"]) == [f"{mask}x"]


def test_scripts_that_posted_before_anybody_came_may_go_on() -> None:
    opened = Rules("ops", [entry(Kind.JOIN, "")])
    scripted = Rules("ops", [changed(entry(Kind.JOIN, ""), prev=7)])
    assert (opened.members_only, scripted.members_only) == (True, False)
    assert not Rules("ops").members_only, "nobody has opened it"
    assert not Rules(LOBBY, [entry(Kind.JOIN, "")]).members_only, "nobody could open it to scripts"


# --- what is kept of it -------------------------------------------------------------------------------------------


def as_they_are(made: Rules) -> tuple[object, ...]:
    standing = {who: "".join(sorted(letters)) for who, letters in made.rights.items()}
    lists = [made.lists[letter] for letter in LISTS]
    return (
        made.flags, made.key, made.limit, made.slow.seconds, lists, made.created, made.topic,
        standing, list(made.hands.items()), made.flood, made.brake_ends, list(made.polls.items()),
    )  # fmt: skip


HOSTS = ("~nc@aa.nc", "~Nc@bb.nc", "~user@cc.account")
NAMES = ("Al", "bo", "Cy")
WHO = st.builds("{}!{}".format, st.sampled_from(NAMES), st.sampled_from(HOSTS))
CHANGES = st.builds(
    lambda on, letter, who, word, number: ModeChange(
        on,
        letter,
        {"o": who, "v": who, "b": f"{word}!*@*", "e": f"{word}!*@*", "I": f"m:{word}!*@*", "k": word}.get(
            letter, number if LETTERS[letter].parameter and on else ""
        ),
    ),
    st.booleans(),
    st.sampled_from(sorted(LETTERS)),
    WHO,
    st.sampled_from(["x", "X", "y"]),
    st.sampled_from(["3", "9"]),
)
ENTRIES = st.one_of(
    st.builds(
        lambda changes, until: (Kind.MODE, write(changes, until)),
        st.lists(CHANGES, min_size=1, max_size=4),
        st.sampled_from([0.0, 1.8e9]),
    ),
    st.tuples(st.just(Kind.RENAME), st.sampled_from(NAMES)),
    st.tuples(st.just(Kind.TOPIC), st.sampled_from(["", "tea"])),
    st.tuples(st.just(Kind.JOIN), st.just("")),
    st.tuples(st.just(Kind.LEAVE), st.just("")),
    st.tuples(st.just(Kind.HAND), st.builds("{} {}".format, st.sampled_from(["up", "down", "spoken"]), WHO)),
    st.tuples(st.just(Kind.TURN), WHO),
    st.tuples(st.just(Kind.BRAKE), st.sampled_from(["0", "60", "x"])),
    st.tuples(st.just(Kind.POLL), st.just("tea? | yes | no")),
    st.tuples(
        st.just(Kind.VOTE), st.builds("x.{} {} {:010}".format, st.integers(1, 12), st.integers(0, 3), st.integers(0, 2))
    ),
    st.tuples(st.just(Kind.POLL_CLOSED), st.builds("x.{}".format, st.integers(1, 12))),
)


@given(st.lists(st.tuples(ENTRIES, st.sampled_from(NAMES), st.sampled_from(HOSTS)), max_size=12))
@example(
    [
        ((Kind.MODE, "+v Al!~Nc@bb.nc"), "Al", "~nc@aa.nc"),
        ((Kind.HAND, "up Al!~Nc@bb.nc"), "Al", "~nc@aa.nc"),
        ((Kind.RENAME, "bo"), "Al", "~Nc@bb.nc"),
    ]
)
def test_overridden_state_entries_are_not_needed(told: list[tuple[tuple[Kind, str], str, str]]) -> None:
    entries = [
        entry_of("ops", number, number - 1, float(number), kind, nick, text, f"x.{number}", host)
        for number, ((kind, text), nick, host) in enumerate(told, 1)
    ]
    made = Rules("ops", entries)
    kept = made.snapshot()
    restored = Rules("ops", kept)
    assert as_they_are(restored) == as_they_are(made)
    assert restored.snapshot() == kept and len(kept) <= len(entries)
    # The log may lose its end: the entries before it are still a state of their own.
    Rules("ops", kept[: len(kept) // 2])


def test_however_often_modes_are_changed_little_of_it_is_kept() -> None:
    made = rules(*("+m" if number % 2 else "-m" for number in range(1000)))
    assert [text_in(one) for one in made.snapshot()] == ["+m"]
    for number in range(1000):
        made.apply(numbered(number, Kind.MODE, f"+be x{number % 7}!*@* y{number % 3}!*@*"))
        made.apply(numbered(number, Kind.TOPIC, f"{number}"))
    assert len(made.snapshot()) <= 12


def numbered(number: int, kind: Kind, text: str) -> Entry:
    return changed(entry(kind, text), seq=number + 1, id=f"x.{number}")


def test_snapshot_is_bounded_whatever_other_programs_write() -> None:
    made = rules()
    for number in range(MAX_MASKS + 5):
        made.apply(numbered(number, Kind.MODE, f"+b x{number}!*@*"))
    assert len(made.lists["b"]) == len(made.snapshot()) == MAX_MASKS and "x4!*@*" not in made.lists["b"]
    for number in range(MAX_MASKS):
        made.apply(numbered(number, Kind.MODE, f"+e {number:0>{PARAM_CHARS}}"))
    assert sum(map(len, made.lists["e"])) <= LIST_CHARS < (len(made.lists["e"]) + 1) * PARAM_CHARS
    before = made.snapshot()
    assert not made.apply(numbered(9, Kind.MODE, f"+k {'x' * (PARAM_CHARS + 1)}")) and made.snapshot() == before


def test_snapshot_has_only_the_part_of_an_entry_that_is_in_force() -> None:
    made = rules()
    first = changed(entry(Kind.JOIN, "", "Bo", BO.host), tags="bot")
    for number, one in enumerate(
        [
            first,
            entry(Kind.MODE, "+bbm x!*@* y!*@* until=9"),
            entry(Kind.MODE, f"-bm+v x!*@* Bo!{BO.host}"),
            entry(Kind.TOPIC, "tea"),
            entry(Kind.RENAME, "Zoe", "Bo", BO.host),
            entry(Kind.TOPIC, "coffee"),
            entry(Kind.MESSAGE, "hi"),
        ],
        1,
    ):
        made.apply(changed(one, seq=number))
    assert [(one.seq, one.kind, text_in(one), one.tags) for one in made.snapshot()] == [
        (1, Kind.JOIN, "", ""),
        (2, Kind.MODE, "+b y!*@* until=9", ""),
        (5, Kind.MODE, f"-o+ov Bo!{BO.host} Zoe!{BO.host} Zoe!{BO.host}", ""),
        (6, Kind.TOPIC, "coffee", ""),
    ]


def test_room_has_another_name_after_its_rename() -> None:
    made = rules()
    assert made.apply(entry(Kind.ROOM_RENAMED, "dev we build")) and made.name == "dev"
    assert not made.apply(entry(Kind.KICK, "Bo"))


def test_redaction_changes_the_message_that_it_names_and_nothing_else() -> None:
    said, redaction = entry(Kind.MESSAGE, "psst"), entry(Kind.REDACT, "x.1 a slip")
    assert target_of(redaction.body) == "x.1" == said.id and target_of(said.body) == ""
    assert overlaid(said, redaction) == changed(said, kind=Kind.REDACTED, text="")
    joined = entry(Kind.JOIN, "")
    assert overlaid(joined, redaction) is joined and overlaid(said, joined) is said


def test_rights_of_so_many_people_are_remembered_those_of_operators_longest() -> None:
    people = [f"n{number}!~nc@x.nc" for number in range(MAX_RIGHTS)]
    made = rules(f"+o Bo!{BO.host}", f"+v Al!{AL.host}", *(f"+v {who}" for who in people[:-2]))
    assert len(made.rights) == MAX_RIGHTS
    made.apply(entry(Kind.MODE, f"+o {people[-1]}"), ())
    assert len(made.rights) == MAX_RIGHTS
    assert ("bo", BO.host) in made.rights and ("al", AL.host) not in made.rights
    all_of_them = rules(*(f"+o {who}" for who in people), f"+o Bo!{BO.host}")
    assert ("n0", "~nc@x.nc") not in all_of_them.rights and len(all_of_them.rights) == MAX_RIGHTS


def test_list_with_an_empty_mask_stays_bounded() -> None:
    """An entry from elsewhere may have no mask; the oldest masks, and this one, make room for newer ones."""
    state = RoomState("ops")
    for number in range(MAX_MASKS + 2):
        state.apply(entry(Kind.MODE, f"+b m{number}!*@*" if number else "+b"))
    assert len(state.lists["b"]) == MAX_MASKS and "" not in state.lists["b"]


def test_share_of_each_touched_entry_is_what_has_changed_in_the_snapshot() -> None:
    state = RoomState("ops")
    state.parts.touched = set()
    kept: dict[int, Entry] = {}
    lines = [
        "+o Bo!~a@b",
        "+b x!*@*",
        *(f"+b u{number}!*@*" for number in range(100)),
        "-b x!*@*",
        "+t",
        "-t",
        "+k tea",
    ]
    for seq, line in enumerate(lines, 1):
        state.apply(entry_of("ops", seq, seq - 1, 1.0, Kind.MODE, "Al", line, f"x.{seq}"))
        assert len(state.parts.touched) <= 2, "the cost is that of the change"
        for touched in state.parts.touched:
            kept.pop(touched, None)
            if share := state.parts.share(touched):
                kept[touched] = share
        state.parts.touched.clear()
        assert [kept[one] for one in sorted(kept)] == state.snapshot()
