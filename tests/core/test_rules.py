"""Rules of a room: how changes are written, what they mean in words, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.core.model import LOBBY, Entry, Kind
from hubbub.core.rules import LETTERS, VERDICTS, Change, Rules, are_set, parse, told, write
from hubbub.core.session import Session
from hubbub.core.users import User
from hubbub.errors import Refused

NOW = 1000.0


def person(nick: str, host: str = "~nc@aaaaaaaaaa.nc", address: str = "192.0.2.1") -> Session:
    session = Session("x.", None, None, None, host, address)  # type: ignore[arg-type]
    session.user = User(nick)
    session.user.sessions.append(session)
    return session


AL, BO = person("Al"), person("Bo", "~irc@bbbbbbbbbb.irc", "192.0.2.2")


def entry(kind: Kind, text: str, nick: str = "Al", host: str = AL.host) -> Entry:
    return Entry("ops", 1, 0, 5.0, kind, nick, text, "x.1", host)


def rules(*changes: str, members: tuple[Session, ...] = (AL, BO), room: str = "ops") -> Rules:
    made = Rules(room)
    for text in changes:
        made.apply(entry(Kind.MODE, text), members)
    return made


def refused(check: object, *arguments: object) -> str:
    try:
        check(*arguments)  # type: ignore[operator]
    except Refused as refusal:
        assert refusal.text.endswith((".", "KEY", "s."))
        return refusal.code
    return ""


# --- how changes are written ------------------------------------------------------------------------------------


def test_changes_are_written_and_read() -> None:
    changes = [Change(True, "o", "Bo!~a@b"), Change(True, "n", ""), Change(False, "l", ""), Change(False, "k", "*")]
    assert write(changes) == "+on-lk Bo!~a@b *"
    assert parse("+on-lk Bo!~a@b *") == (changes, 0.0)
    assert write([Change(True, "b", "a!*@*")], 99.4) == "+b a!*@* until=99"
    assert parse("+b a!*@* until=99") == ([Change(True, "b", "a!*@*")], 99.0)
    assert parse("b") == ([Change(True, "b", "")], 0.0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(LETTERS))), min_size=1, max_size=8))
def test_every_change_survives(letters: list[tuple[bool, str]]) -> None:
    changes = [
        Change(on, letter, "5" if LETTERS[letter].takes == "always" or (LETTERS[letter].takes and on) else "")
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
    assert told(text) == words


# --- what the log says ------------------------------------------------------------------------------------------


def test_who_comes_first_is_operator_but_in_the_lobby() -> None:
    for room, is_operator in (("ops", True), (LOBBY, False)):
        made = Rules(room, [entry(Kind.JOIN, ""), entry(Kind.JOIN, "", "Bo", BO.host)])
        made.admit(AL)
        made.admit(BO)
        assert made.created == 5.0
        assert [made.is_operator(AL), made.is_operator(BO)] == [is_operator, False]


def test_status_is_given_taken_and_kept_for_who_comes_back() -> None:
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
    assert made.prefixes(again) == "" and not made.standing


def test_what_somebody_may_do_goes_with_him_to_his_new_name() -> None:
    bo = person("Bo", BO.host)
    made = rules(f"+o Bo!{BO.host}", f"+v Zoe!{BO.host}", members=(bo, AL))
    made.apply(entry(Kind.RENAME, "Zoe", "Bo", BO.host), (bo, AL))
    assert made.standing == {("zoe", BO.host): "ov"} and made.prefixes(bo) == "@+"
    made.apply(entry(Kind.MODE, f"-o Zoe!{BO.host}"), (bo, AL))  # it is not known yet what he is called
    assert made.prefixes(bo) == "@+"
    bo.user = User("Zoe")
    made.recall(bo, "Bo")
    assert made.prefixes(bo) == "+"
    made.apply(entry(Kind.RENAME, "ZOE", "Zoe", BO.host), (bo, AL))
    made.apply(entry(Kind.RENAME, "Yve", "Zoe", "~nc@elsewhere.nc"), (bo, AL))
    assert made.prefixes(bo) == "+" and not made.status.get(AL)


def test_new_name_that_is_known_before_its_rename_is_stored_changes_nothing_yet() -> None:
    bo = person("Bo", BO.host)
    made = rules(f"+o Bo!{BO.host}", members=(bo,))
    bo.user = User("Zoe")
    made.recall(bo, "Bo")
    assert made.is_operator(bo)
    made.apply(entry(Kind.RENAME, "Zoe", "Bo", BO.host), (bo,))
    assert made.is_operator(bo) and ("bo", BO.host) not in made.standing


def test_operator_of_the_server_may_do_all() -> None:
    root = person("Root")
    assert root.user
    root.user.operator = True
    made = rules("+imkl key 1", "+b *!*@*")
    made.check_join(root, "", 5, NOW)
    made.check_say(root, NOW)
    assert made.is_operator(root)


def test_settings_are_set_and_taken_back() -> None:
    made = rules("+imskld key 5 9", "+b x!*@*")
    assert made.modes(True) == "+imnskld key 5 9"
    assert made.modes(False) == "+imnskld * 5 9"
    made.apply(entry(Kind.MODE, "-imnskldb * X!*@*"), ())
    assert made.modes(True) == "+" and not made.lists["b"]
    made.apply(entry(Kind.TOPIC, "tea"), ())
    assert (made.topic_by, made.topic_at) == ("Al", 5.0)
    made.apply(entry(Kind.MESSAGE, "+i"), ())
    assert made.modes(True) == "+"


# --- who may come in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "count", "code"),
    [
        (["+b Bo!*@*"], "", 0, "banned"),
        (["+b *!*@bbbbbbbbbb.*"], "", 0, "banned"),
        (["+b *!*@192.0.2.2"], "", 0, "banned"),
        (["+b *!*@192.0.2.2 until=999"], "", 0, ""),
        (["+b *!*@192.0.2.2 until=1001"], "", 0, "banned"),
        (["+be *!*@* Bo!*@*"], "", 0, ""),
        (["+b m:Bo!*@*"], "", 0, ""),
        (["+i"], "", 0, "invite-only"),
        (["+iI B*!*@*"], "", 0, ""),
        (["+k tea"], "", 0, "bad-key"),
        (["+k tea"], "coffee", 0, "bad-key"),
        (["+k tea"], "tea", 0, ""),
        ([], "tea", 0, "room-invalid"),
        (["+l 2"], "", 2, "room-full"),
        (["+l 2"], "", 1, ""),
    ],
)
def test_who_may_come_in(changes: list[str], key: str, count: int, code: str) -> None:
    assert refused(rules(*changes).check_join, BO, key, count, NOW) == code


def test_invitation_lets_in_once() -> None:
    made = rules("+i")
    BO.invited.add(made.room)
    assert refused(made.check_join, BO, "", 0, NOW) == ""
    made.admit(BO)
    assert refused(made.check_join, BO, "", 0, NOW) == "invite-only"


def test_operator_who_comes_back_is_kept_out_by_a_ban_alone() -> None:
    made = rules(f"+oiklv Bo!{BO.host} tea 1 Al!{AL.host}")
    assert refused(made.check_join, BO, "", 1, NOW) == ""
    assert refused(made.check_join, AL, "", 1, NOW) == "invite-only", "a voice is not enough"
    assert refused(made.check_join, person("Bo"), "", 1, NOW) == "invite-only", "the same name from elsewhere"
    made.apply(entry(Kind.MODE, "+b Bo!*@*"), ())
    assert refused(made.check_join, BO, "", 1, NOW) == "banned"


def test_client_that_sends_a_key_to_a_room_without_one_may_come_in() -> None:
    client = person("Cy")
    client.exact = True
    assert refused(rules().check_join, client, "tea", 0, NOW) == ""


# --- who may speak ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([], ""),
        (["+m"], "moderated"),
        (["+m", f"+v Bo!{BO.host}"], ""),
        (["+b Bo!*@*"], "muted"),
        (["+b m:*!*@bbbbbbbbbb.*"], "muted"),
        (["+b m:*!*@*", "+e Bo!*@*"], ""),
        (["+b m:Al!*@*"], ""),
    ],
)
def test_who_may_speak(changes: list[str], code: str) -> None:
    assert refused(rules(*changes).check_say, BO, NOW) == code


def test_slow_mode() -> None:
    made = rules("+d 10")
    assert refused(made.check_say, BO, NOW) == ""
    assert refused(made.check_say, BO, NOW + 9) == "slow-mode"
    assert refused(made.check_say, AL, NOW + 9) == ""
    assert refused(made.check_say, BO, NOW + 10) == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([], ""),
        (["+i"], "not-allowed"),
        (["+m"], "not-allowed"),
        (["+k tea"], "not-allowed"),
        (["+b ci!*@*"], "not-allowed"),
        (["+b m:ci!*@*"], "not-allowed"),
    ],
)
def test_who_may_post_from_outside(changes: list[str], code: str) -> None:
    assert refused(rules(*changes).check_outsider, ("ci!~api@x.api",), NOW) == code


@pytest.mark.parametrize("until", [0.0, 1.8e9])
@pytest.mark.parametrize(("letter", "param"), [("k", "until=x"), ("k", "until=5"), ("b", "until=x!*@*")])
def test_key_or_mask_may_begin_like_the_end_of_a_ban(letter: str, param: str, until: float) -> None:
    one = Change(True, letter, param)
    assert parse(write([one], until)) == ([one], until)
    rules(write([one], until))


def test_what_is_not_known_is_left_out() -> None:
    """A log may come from elsewhere: its rooms open all the same."""
    made = rules("?3+zi", "+l", "+l many", "+b x!*@* until=soon", "+d x", "", " ", "+o", "-z x")
    assert (made.flags, made.limit, made.slow, list(made.lists["b"])) == ({"n", "i"}, 0, 0, ["x!*@*"])
    assert made.lists["b"]["x!*@*"].until == 0.0
    assert told("+zi") == told("+i") != ""


@pytest.mark.parametrize(
    ("texts", "on"),
    [([], False), (["+m"], False), (["+ks word", "-k word"], True), (["+s", "-s"], False), (["-i", "+i"], True)],
)
def test_letters_are_set_after_all_changes(texts: list[str], on: bool) -> None:
    assert are_set("kis", texts) is on


def test_what_a_list_says_of_somebody_is_looked_up_again_when_it_changes() -> None:
    made = rules("+b Bo!*@*")
    assert refused(made.check_say, BO, NOW) == "muted"
    made.apply(entry(Kind.MODE, "+e *!*@192.0.2.2"), ())
    assert not made.silent(BO, NOW)
    made.apply(entry(Kind.MODE, "-e *!*@192.0.2.2"), ())
    assert made.silent(BO, NOW)
    assert BO.user is not None
    BO.user.nick = "Bob"
    assert not made.silent(BO, NOW)
    BO.user.nick = "Bo"


def test_ban_that_ends_is_over_for_who_was_looked_at_before() -> None:
    made = rules(f"+b Bo!*@* until={NOW + 10:.0f}", "+b m:Bo!*@* until=2000")
    assert made.verdict(BO.masks, NOW)[:2] == (True, True)
    assert made.verdict(BO.masks, NOW + 10)[:2] == (False, True)
    assert made.verdict(BO.masks, 2000.0)[:2] == (False, False)


def test_room_remembers_of_few_what_its_lists_say() -> None:
    made = rules("+b x!*@*")
    for number in range(VERDICTS + 10):
        made.verdict((f"n{number}!u@h",), NOW)
    assert len(made._verdicts) == VERDICTS


def test_mask_of_a_log_that_is_too_long_means_nobody_and_can_be_taken_away() -> None:
    mask = "*" * 200
    made = rules(f"+b {mask}", f"+b {mask}x")
    assert not made.silent(BO, NOW)
    made.apply(entry(Kind.MODE, f"-b {mask}"), ())
    assert list(made.lists["b"]) == [f"{mask}x"]
