"""MODE of rooms and people: what is answered, who is told, and what each mode does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from in_thread import InThread

from irc_scene import Irc, People, people_at, settle


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    server = InThread(tmp_path_factory.mktemp("shared") / "data", "--no-limits")
    yield server
    server.close()


@pytest.fixture
def people(shared: InThread) -> Iterator[People]:
    with people_at(shared.port) as people:
        yield people


def sets(operator: Irc, modes: str, *others: Irc, shown: str = "") -> None:
    """The operator of #room changes it so, and all others there are told; a key is shown to nobody else."""
    change = f":{operator.nick} MODE #room {shown or modes}"
    operator.asks(f"MODE #room {modes}", change)
    for other in others:
        other.sees(re.sub("beer|wine", "*", change) if "+" in modes else change)


# The answer


def test_question_is_answered_by_modes_and_time(people: People) -> None:
    alice, _bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    for client in (alice, carol):
        modes, _time = client.asks("MODE #ROOM", "324 ... #room /[+][a-zA-Z]*/", r"329 ... #room /\d{10,}/")
        assert not set(modes.params[2]) & set("kl")


def test_what_is_set_is_told_and_can_be_taken_away_at_once(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +int")
    settle(alice, bob)
    letters = alice.told("MODE #room", "324")[0][1][1:]
    assert set(letters) >= set("int")
    alice.say(f"MODE #room -{letters}")
    (change,) = alice.sync()
    assert change.like(alice.of_scene(":Alice MODE #room /-[a-zA-Z]+/")) and set(change.params[1][1:]) == set(letters)
    bob.sees(":Alice MODE #room ...")
    assert alice.told("MODE #room", "324") == [(alice.of_scene("#room"), "+")]


def test_parameters_are_told_but_the_key_to_operators_alone(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +kl beer 9")
    settle(alice, bob)
    for client, known in ((alice, True), (bob, False), (people("Carol")[0], False)):
        told = client.told("MODE #room", "324")[0]
        assert {"k", "l"} <= set(told[1]) and "9" in told and ("beer" in told) == known


@pytest.mark.parametrize(
    ("line", "answer"),
    [("MODE #third", "403 Alice #third ..."), ("MODE #third +o Alice", "403 Alice #third ..."),
     ("MODE #third +o Nemo", "403 Alice #third ..."), ("MODE #other +o Carol", "442|482 Alice #other ..."),
     ("MODE #other +m", "442|482 Alice #other ..."), ("MODE #room +o Nemo", "401 Alice Nemo ..."),
     ("MODE #room +o Carol", "441 Alice Carol #room ..."), ("MODE #room +v Carol", "441 Alice Carol #room ..."),
     ("MODE #room +?", "472 Alice ? ..."), ("MODE #room -=", "472 Alice = ...")],
)  # fmt: skip
def test_change_refused(people: People, line: str, answer: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people.meet("Carol", room="#other")
    alice.asks(line, answer)
    bob.sees_nothing()
    carol.sees_nothing()


@pytest.mark.parametrize(
    "modes",
    ["+o Bob", "-o Alice", "+v Bob", "+b x!*@*", "-b x!*@*", "+k beer", "+l 9", "+m", "-n", "+I a!*@*", "+mo Bob"],
)
def test_change_by_who_is_no_operator(people: People, modes: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    bob.asks(f"MODE #room {modes}", "482 Bob #room ...")
    alice.sees_nothing()
    alice.asks("MODE #room +v Bob", ":Alice MODE #room +v Bob")
    bob.sees(":Alice MODE #room +v Bob")
    bob.asks(f"MODE #room {modes}", "482 Bob #room ...")


@pytest.mark.parametrize(
    ("modes", "shown"),
    [("+ov Bob Bob", "+ov Bob Bob"), ("m", "+m"), ("+m-n", "+m-n"), ("+m-n+i", "+m-n+i"), ("-n+m", "-n+m"),
     ("+lk 9 beer", "+lk 9 beer"), ("+k-t+l beer 9", "+k-t+l beer 9"), ("+b-n *!*@bad", "+b-n *!*@bad"),
     ("+o bob", "+o Bob"), ("+mm", "+m"), ("+l 007", "+l 7")],
)  # fmt: skip
def test_changes_of_one_line_are_told_as_one(people: People, modes: str, shown: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +nt")
    settle(alice, bob)
    sets(alice, modes, bob, shown=shown)


@pytest.mark.parametrize(
    "modes", ["+nt", "-m", "-b x!*@*", "-v Bob", "+o Alice", "-k", "-l", "+", "", "+k", "+l", "+o", "+v"]
)
def test_what_changes_nothing_is_not_told(people: People, modes: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +nt")
    settle(alice, bob)
    alice.say(f"MODE #room :{modes}" if not modes else f"MODE #room {modes}")
    assert not [message for message in alice.sync() if message.verb == "MODE"]
    bob.sees_nothing()


def test_unknown_letters_do_not_hinder_the_known(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +m?i=")
    came = alice.sync()
    assert sorted(message.verb for message in came) == ["472", "472", "MODE"]
    assert {message.params[1] for message in came if message.verb == "472"} == {"?", "="}
    bob.sees(":Alice MODE #room +mi")


def test_more_changes_than_are_allowed_in_a_line_are_dropped(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    allowed = int(alice.support["MODES"])
    masks = [f"n{number}!*@*" for number in range(allowed + 3)]
    alice.say(f"MODE #room +{'b' * len(masks)} {' '.join(masks)}")
    settle(alice, bob)
    assert len(alice.told("MODE #room +b", "367")) == allowed


# Operators and voices


def test_operator_is_made_and_unmade(people: People) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    sets(alice, "+o Bob", bob, carol)
    sets(bob, "+m", alice, carol)
    sets(bob, "-o Alice", alice, carol)
    alice.asks("MODE #room -m", "482 Alice #room ...")
    bob.asks("NAMES #room", "353 Bob = #room :/(?=.*@Bob)(?!.*@Alice).*/", "366 Bob #room ...")
    sets(bob, "-o Bob", alice, carol)
    bob.asks("MODE #room +o Bob", "482 Bob #room ...")


def test_operator_hands_the_channel_over_in_one_change(people: People) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    sets(alice, "+o-o Bob Alice", bob, carol)
    alice.asks("MODE #room +m", "482 Alice #room ...")
    sets(bob, "+m", alice, carol)


def test_status_goes_with_the_nick_and_is_had_again_by_who_comes_back(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+v Bob", bob)
    bob.asks("NICK Robert", ":Bob NICK Robert")
    alice.sees(":Bob NICK Robert")
    alice.asks("NAMES #room", "353 Alice = #room :/@Alice [+]Robert|[+]Robert @Alice/", "366 Alice #room ...")
    bob.asks("PART #room", ":Robert PART #room")
    bob.joins("#room")
    settle(alice, bob)
    alice.asks("NAMES #room", "353 Alice = #room :/@Alice [+]Robert|[+]Robert @Alice/", "366 Alice #room ...")
    bob.asks("PART #room", ":Robert PART #room")
    bob.asks("NICK Bob", ":Robert NICK Bob")  # none of the room is told, so it stays with the other name
    bob.joins("#room")
    settle(alice, bob)
    alice.asks("NAMES #room", "353 Alice = #room :/@Alice Bob|Bob @Alice/", "366 Alice #room ...")


# Lists of masks

LISTS = [("b", "367", "368"), ("e", "348", "349"), ("I", "346", "347")]


@pytest.mark.parametrize(("letter", "row", "end"), LISTS)
def test_list_is_kept_and_told(people: People, letter: str, row: str, end: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks(f"MODE #room +{letter}", f"{end} Alice #room ...")
    sets(alice, f"+{letter} nemo!*@*", bob)
    alice.asks(f"MODE #room +{letter} nemo!*@*")
    rows = (rf"{row} ... #room nemo!*@* /Alice(!.*@.*)?/ /\d{{10,}}/", f"{end} ... #room ...")
    for question in (f"+{letter}", letter, f"-{letter}"):
        alice.asks(f"MODE #room {question}", *rows)
    sets(alice, f"-{letter} nemo!*@*", bob)
    alice.asks(f"MODE #room {letter}", f"{end} Alice #room ...")


def test_bans_are_told_to_every_member(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+bb a!*@* b!*@*", bob)
    assert {params[1] for params in bob.told("MODE #room b", "367")} == {"a!*@*", "b!*@*"}


@pytest.mark.parametrize(
    ("mask", "shown"),
    [("nemo", "nemo!*@*"), ("u@host", "*!u@host"), ("nemo!u", "nemo!u@*"), ("@host", "*!*@host"), ("*", "*!*@*"),
     ("n?mo!*@*", "n?mo!*@*"), ("NEMO!*@*", "NEMO!*@*")],
)  # fmt: skip
def test_mask_is_completed_and_found_in_any_case(people: People, mask: str, shown: str) -> None:
    (alice,) = people.meet("Alice")
    sets(alice, f"+b {mask}", shown=f"+b {shown}")
    alice.say(f"MODE #room -b {mask.lower()}")
    alice.sees(":Alice MODE #room -b ...")
    alice.asks("MODE #room b", "368 Alice #room ...")


def test_parameter_that_begins_with_a_colon_is_not_taken(people: People) -> None:
    """What comes before others, as in 324 and 367, could not be told from the last one."""
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("MODE #room +k ::key", "696 Alice #room k * ...")
    alice.asks("MODE #room +b ::x")
    bob.sees_nothing()


@pytest.mark.parametrize("mask", ["carol!*@*", "CAROL!*@*", "c?r*!*@*", "*!~username@*", "*!*@127.0.0.1", "*!*@*"])
def test_ban_keeps_out_until_it_is_taken_away(people: People, mask: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    cloak = alice.told("USERHOST Alice", "302")[0][0].rpartition("@")[2].partition(".")[0]
    shown = mask.replace("127.0.0.1", f"{cloak}.*")  # an address is shown to nobody
    sets(alice, f"+b {mask}", bob, shown=f"+b {shown}")
    carol.asks("JOIN #room", "474 Carol #room ...")
    alice.sees_nothing()
    sets(alice, f"-b {mask}", bob, shown=f"-b {shown}")
    carol.joins("#room")


@pytest.mark.parametrize("mask", ["*!*@127.*", "*!*@127.0.0.0/8", "*!*@ip:127.0.0.1", "m:*!*@127.0.?.*"])
def test_addresses_cannot_be_asked_for_by_masks(people: People, mask: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    for letter in "beI":
        alice.asks(f"MODE #room +{letter} {mask}", f"696 Alice #room {letter} * ...")
    bob.sees_nothing()
    who = [alice.told(question, verb) for question, verb in (("WHO 127.*", "352"), ("WHO *127* %n", "354"))]
    assert who == [[], []]


def test_banned_member_may_not_speak_unless_he_has_a_voice(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+b bob!*@*", bob)
    bob.asks("PRIVMSG #room :hello", "404 Bob #room ...")
    bob.asks("NOTICE #room :hello")
    alice.sees_nothing()
    sets(alice, "+v Bob", bob)
    bob.asks("PRIVMSG #room :hello")
    alice.sees(":Bob PRIVMSG #room hello")
    sets(alice, "-vb Bob bob!*@*", bob)
    bob.asks("PRIVMSG #room :again")
    alice.sees(":Bob PRIVMSG #room again")


def test_exception_from_a_ban(people: People) -> None:
    (alice,) = people.meet("Alice")
    (carol,) = people("Carol")
    sets(alice, "+b ca*!*@*")
    carol.asks("JOIN #room", "474 Carol #room ...")
    sets(alice, "+e *rol!*@*")
    carol.joins("#room")
    alice.sync()
    carol.asks("PRIVMSG #room :hello")
    alice.sees(":Carol PRIVMSG #room hello")
    sets(alice, "-e *rol!*@*", shown="-e *rol!*@*")
    carol.sync()
    carol.asks("PRIVMSG #room :hello", "404 Carol #room ...")


def test_exception_from_needing_an_invitation(people: People) -> None:
    (alice,) = people.meet("Alice")
    carol, dora = people("Carol", "Dora")
    sets(alice, "+i")
    sets(alice, "+I carol!*@*")
    carol.joins("#room")
    dora.asks("JOIN #room", "473 Dora #room ...")
    carol.asks("PART #room", ":Carol PART #room")
    alice.sync()
    sets(alice, "-I carol!*@*")
    carol.asks("JOIN #room", "473 Carol #room ...")


@pytest.mark.parametrize("mask", ["m:bob!*@*", "m:BOB!*@*", "m:*!~username@*"])
def test_mute(people: People, mask: str) -> None:
    (alice,) = people.meet("Alice")
    sets(alice, f"+b {mask}")
    (bob,) = people("Bob")
    bob.joins("#room")
    settle(alice, bob)
    bob.asks("MODE #room b", f"367 Bob #room {mask} ... ...", "368 Bob #room ...")
    bob.asks("PRIVMSG #room :hello", "404 Bob #room ...")
    bob.asks("NICK Robert", "447 Bob Robert ...")
    alice.sees_nothing()
    for free in ("+v Bob", "+e m:*!~username@*"):
        sets(alice, free, bob)
        bob.asks("PRIVMSG #room :hello")
        alice.sees(":Bob PRIVMSG #room hello")
        sets(alice, f"-{free[1:]}", bob)
        bob.asks("PRIVMSG #room :hello", "404 Bob #room ...")
    sets(alice, f"-b {mask}", bob)
    bob.asks("PRIVMSG #room :hello")
    alice.sees(":Bob PRIVMSG #room hello")


# Key and limit


@pytest.mark.parametrize("wrong", ["", " bear", " BEER", " beer2"])
def test_key(people: People, wrong: str) -> None:
    (alice,) = people.meet("Alice")
    (carol,) = people("Carol")
    sets(alice, "+k beer")
    carol.asks(f"JOIN #room{wrong}", "475 Carol #room ...")
    alice.sees_nothing()
    carol.asks("JOIN #room beer", ":Carol JOIN #room", "353 ... = #room ...", "366 ... #room ...")


def test_keys_go_with_rooms_by_their_place(people: People) -> None:
    (alice,) = people.meet("Alice")
    alice.joins("#other", "#third")
    alice.say("MODE #room +k one", "MODE #third +k three")
    alice.sync()
    (carol,) = people("Carol")
    carol.say("JOIN #room,#other,#third one,,three")
    assert [message.params[0] for message in carol.sync() if message.verb == "JOIN"] == [
        carol.of_scene(room) for room in ("#room", "#other", "#third")
    ]


@pytest.mark.parametrize("off", ["-k", "-k beer", "-k *", "-k other"])
def test_key_is_changed_and_taken_away(people: People, off: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+k wine", bob)
    sets(alice, "+k beer", bob)
    sets(alice, off, bob, shown="-k /[*]|beer/")
    people("Carol")[0].joins("#room")


@pytest.mark.parametrize("key", ["with spaces", "", "a,b", "long" * 100, "\x03"])
def test_key_that_cannot_be(people: People, key: str) -> None:
    (alice,) = people.meet("Alice")
    alice.asks(f"MODE #room +k :{key}", "696 Alice #room k * ...")
    people("Carol")[0].joins("#room")


def test_limit(people: People) -> None:
    (alice,) = people.meet("Alice")
    bob, carol = people("Bob", "Carol")
    sets(alice, "+l 1")
    bob.asks("JOIN #room", "471 Bob #room ...")
    sets(alice, "+l 2")
    bob.joins("#room")
    carol.asks("JOIN #room", "471 Carol #room ...")
    settle(alice, bob)
    sets(alice, "+l 1", bob)
    bob.asks("PRIVMSG #room :still here")
    alice.sees(":Bob PRIVMSG #room :still here")
    bob.asks("PART #room", ":Bob PART #room")
    alice.sees(":Bob PART #room")
    carol.asks("JOIN #room", "471 Carol #room ...")
    sets(alice, "-l")
    carol.joins("#room")


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "", "1.5", "99999999999999999999999999"])
def test_limit_that_cannot_be(people: People, limit: str) -> None:
    (alice,) = people.meet("Alice")
    alice.asks(f"MODE #room +l :{limit}", "696 Alice #room l ... ...")
    people("Carol")[0].joins("#room")


@pytest.mark.parametrize(
    ("modes", "refusal"), [("+l 1", "471"), ("+i", "473"), ("+b carol!*@*", "474"), ("+k beer", "475")]
)
def test_invitation_opens_once_what_is_closed(people: People, modes: str, refusal: str) -> None:
    (alice,) = people.meet("Alice")
    (carol,) = people("Carol")
    sets(alice, modes)
    carol.asks("JOIN #room", f"{refusal} Carol #room ...")
    alice.asks("INVITE Carol #room", "341 Alice Carol #room")
    carol.sees(":Alice INVITE Carol #room")
    carol.joins("#room")
    carol.asks("PART #room", ":Carol PART #room")
    carol.asks("JOIN #room", f"{refusal} Carol #room ...")


def test_which_refusal_comes_first(people: People) -> None:
    (alice,) = people.meet("Alice")
    (carol,) = people("Carol")
    for modes, refusal in (("+l 1", "471"), ("+k beer", "475"), ("+i", "473"), ("+b carol!*@*", "474")):
        sets(alice, modes)
        carol.asks("JOIN #room", f"{refusal} Carol #room ...")


# Flags


def test_moderated(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+m", bob)
    bob.asks("PRIVMSG #room :hello", "404 Bob #room ...")
    bob.asks("NOTICE #room :hello")
    alice.sees_nothing()
    alice.asks("PRIVMSG #room :quiet, please")
    bob.sees(":Alice PRIVMSG #room :quiet, please")
    sets(alice, "+v Bob", bob)
    bob.asks("PRIVMSG #room :thanks")
    alice.sees(":Bob PRIVMSG #room thanks")


def test_words_from_outside(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    carol.asks("PRIVMSG #room :hello", "404 Carol #room ...")
    sets(alice, "-n", bob)
    carol.asks("PRIVMSG #room :hello")
    for client in (alice, bob):
        client.sees(":Carol PRIVMSG #room hello")
    sets(alice, "+n", bob)
    carol.asks("PRIVMSG #room :hello", "404 Carol #room ...")
    bob.sees_nothing()


def test_topic_for_operators(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +t")
    settle(alice, bob)
    bob.asks("TOPIC #room :cake", "482 Bob #room ...")
    sets(alice, "+v Bob", bob)
    bob.asks("TOPIC #room :cake", "482 Bob #room ...")
    alice.sees_nothing()
    sets(alice, "-t", bob)
    bob.asks("TOPIC #room :cake", ":Bob TOPIC #room cake")
    alice.sees(":Bob TOPIC #room cake")


def test_secret(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+s", bob)
    (carol,) = people("Carol")
    bob.asks("NAMES #room", "353 Bob @ #room ...", "366 Bob #room ...")
    carol.asks("NAMES #room", "366 Carol #room ...")
    room = carol.of_scene("#room")
    for client, seen in ((alice, True), (bob, True), (carol, False)):
        for question in ("LIST", f"LIST {room}", "LIST *room*"):
            assert (room in [row[0] for row in client.told(question, "322")]) == seen
        assert any(room in row[1] for row in client.told("WHOIS Alice", "319")) == seen
    carol.asks("JOIN #room", ":Carol JOIN #room", "353 Carol @ #room ...", "366 Carol #room ...")


def test_no_ctcp(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    sets(alice, "+C", bob)
    alice.asks("PRIVMSG #room :\x01PING 1\x01", "404 Alice #room ...")
    alice.asks("NOTICE #room :\x01PING 1\x01")
    bob.sees_nothing()
    alice.asks("PRIVMSG #room :\x01ACTION waves\x01")
    bob.sees(":Alice PRIVMSG #room :\x01ACTION waves\x01")


# People


def test_own_modes(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("MODE Alice", "221 Alice /[+][a-zA-Z]*/")
    alice.asks("MODE alice +iw", ":Alice MODE Alice +iw")
    assert set("iw") <= set(alice.told("MODE Alice", "221")[0][0])
    alice.asks("MODE Alice +i")
    alice.asks("MODE Alice -i", ":Alice MODE Alice -i")
    alice.asks("MODE Alice -i")
    bob.sees_nothing()


@pytest.mark.parametrize(
    ("line", "answer"),
    [("MODE Bob", "502 Alice ..."), ("MODE Bob +i", "502 Alice ..."), ("MODE bob -i", "502 Alice ..."),
     ("MODE Nemo", "401 Alice Nemo ..."), ("MODE Nemo +i", "401 Alice Nemo ..."), ("MODE Alice +?", "501 Alice ...")],
)  # fmt: skip
def test_modes_of_people_refused(people: People, line: str, answer: str) -> None:
    alice, bob = people("Alice", "Bob")
    alice.asks(line, answer)
    bob.sees_nothing()


def test_unknown_modes_of_people_do_not_hinder_the_known(people: People) -> None:
    (alice,) = people("Alice")
    alice.say("MODE Alice +?w=")
    came = alice.sync()
    assert sorted(message.verb for message in came) == ["501", "MODE"]
    assert next(message for message in came if message.verb == "MODE").like("MODE Alice +w")
