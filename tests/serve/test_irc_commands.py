"""Every IRC command, as the one who sends it and the others see it: replies, their order, which error comes first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from in_thread import InThread

from irc_messages import LONGEST
from irc_scene import OPER, PASSWORD, Irc, People, people_at, settle
from scene import Client

Serve = Callable[..., InThread]
_numbers = count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    """One server for all scenes, who leave it: nicks are free again then, and rooms empty."""
    data = tmp_path_factory.mktemp("shared") / "data"
    server = InThread(data, "--no-limits", *OPER)
    yield server
    server.close()


@pytest.fixture
def people(shared: InThread) -> Iterator[People]:
    with people_at(shared.port) as people:
        yield people


@pytest.fixture
def fresh(serve: Serve) -> Iterator[People]:
    """People on a server that nobody was on before."""
    with people_at(serve("--no-limits", *OPER).port) as people:
        yield people


def opered(client: Irc) -> Irc:
    client.say("OPER operuser operpassword")
    client.skips_to("381 ... ...")
    client.sync()
    return client


# Lines


@pytest.mark.parametrize(
    "line",
    ["ping token", "PiNg token", "  PING   token  ", ":Alice PING token", ":Bob!b@c PING token", "PING :token"],
)
def test_how_a_command_may_be_written(people: People, line: str) -> None:
    (alice,) = people("Alice")
    alice.asks(line, f"PONG {alice.server} token")


def test_empty_lines_and_bare_line_feeds(people: People) -> None:
    (alice,) = people("Alice")
    alice.send(b"\r\n\n   \r\n\r\nPING one\nPING two\r\n")
    alice.sees("PONG ... one", "PONG ... two")
    alice.sees_nothing()


def test_line_may_come_byte_by_byte(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    for byte in "PRIVMSG Bob :так, 😃\r\n".encode():
        alice.send(bytes([byte]))
    bob.sees(":Alice PRIVMSG Bob :так, 😃")


@pytest.mark.parametrize("line", ["NONSENSE", "NONSENSE with words", "nonsense"])
def test_unknown_command(people: People, line: str) -> None:
    people("Alice")[0].asks(line, "421 Alice /(?i)nonsense/ ...")


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("JOIN :#a room", ["403 Alice * ..."]),
        ("WHOIS :a b", ["401 Alice * ...", "318 Alice * ..."]),
        ("VERSION ::x", ["402 Alice * ..."]),
        ("PRIVMSG , :hi", ["401 Alice * ..."]),
        (":Alice :nonsense", ["421 Alice * ..."]),
    ],
)
def test_what_cannot_stand_in_a_line_is_answered_without_it(people: People, line: str, answers: list[str]) -> None:
    people("Alice")[0].asks(line, *answers)


NEEDY = "JOIN PART TOPIC KICK MODE USERHOST ISON OPER".split()


@pytest.mark.parametrize("command", [*NEEDY, "KICK #room", "INVITE Bob", "OPER operuser"])
def test_command_without_what_it_needs(people: People, command: str) -> None:
    people("Alice")[0].asks(command, f"461 Alice {command.split()[0]} ...")


def test_longest_line_is_taken_and_a_longer_one_refused(people: People) -> None:
    (alice,) = people("Alice")
    token = "x" * (LONGEST - len("PING \r\n"))
    alice.say(f"PING {token}")
    assert token.startswith(alice.sees("PONG ... ...").params[-1])
    alice.asks(f"PING {token}y", "417 Alice ...")
    alice.asks("PING again", "PONG ... again")


@pytest.mark.parametrize("fill", ["a", "я", "😃", "e\u0301"])
def test_long_text_is_delivered_whole_in_lines_that_end_between_characters(people: People, fill: str) -> None:
    alice, bob = people("Alice", "Bob")
    space = LONGEST - len("PRIVMSG Bob :\r\n")
    for room in range(space - 60, space + 1):
        text = fill * (room // len(fill.encode()))
        alice.asks(f"PRIVMSG Bob :{text}")
        lines = bob.sync()  # which were decoded
        assert all(line.like(":Alice PRIVMSG Bob ...") for line in lines)
        assert "".join(line.params[1] for line in lines) == text


def test_text_that_is_not_utf_8_is_never_passed_on(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    alice.send(b"PRIVMSG Bob :caf\xe9\r\n")
    alice.sees("FAIL|WARN PRIVMSG INVALID_UTF8 ...")
    assert all("caf" not in message.params[-1] or "\ufffd" in message.params[-1] for message in bob.sync())


# Registration


WELCOME = ["001", "002", "003", "004", "005", "251", "252", "253", "254", "255", "265", "266", "221", "375"]


def test_welcome(people: People) -> None:
    alice = people.connect()
    greeting = alice.register("Alice")
    verbs = [message.verb for message in greeting]
    order = [WELCOME.index({"MODE": "221", "422": "375", "372": "375", "376": "375"}.get(v, v)) for v in verbs]
    assert order == sorted(order) and set(verbs) >= {"001", "002", "003", "004", "005", "251", "255"}
    assert verbs[-1] in ("376", "422")
    assert all(message.source == alice.server and message.params[0] == "Alice" for message in greeting)
    (myinfo,) = (message for message in greeting if message.verb == "004")
    assert myinfo.params[1] == alice.server and 5 <= len(myinfo.params) <= 6
    assert all(re.fullmatch("[a-zA-Z]+", letters) for letters in myinfo.params[3:])
    assert greeting[0].params[1].endswith(" Alice")  # no host, which some clients would resolve for DCC


def test_what_the_server_supports(people: People) -> None:
    alice = people.connect()
    lines = [message.params for message in alice.register("Alice") if message.verb == "005"]
    assert all(3 <= len(line) <= 15 for line in lines)
    tokens = [token for line in lines for token in line[1:-1]]
    assert all(re.fullmatch(r"[A-Z0-9]{1,20}(=[!-<>-~]*)?", token) for token in tokens), tokens
    support = alice.support
    assert support["CASEMAPPING"] == "ascii" and support["CHANTYPES"] == "#" and support["PREFIX"] == "(ov)@+"
    assert support["STATUSMSG"] == "@+" and set(support["ELIST"]) == set("CMNTU")
    lists, always, set_only, flags = support["CHANMODES"].split(",")[:4]
    assert (set(lists), always, set_only) == (set("beI"), "k", "dfl") and set(flags) >= set("imnst")
    assert {support["EXCEPTS"], support["INVEX"]} <= {"", "e", "I"}
    assert "m" in support["EXTBAN"].partition(",")[2]
    assert re.fullmatch(r"([A-Z]+:\d*,?)+", support["TARGMAX"])
    for name in ("NICKLEN", "CHANNELLEN", "TOPICLEN", "KICKLEN", "AWAYLEN", "MODES"):
        assert int(support[name]) > 0
    assert {"NETWORK", "CHANLIMIT", "MAXLIST", "UTF8ONLY", "WHOX"} <= set(support)


def test_user_may_come_before_nick(people: People) -> None:
    alice = people.connect()
    alice.say("USER u 0 * :Real Name", "NICK Alice")
    assert alice.welcomed()


def test_user_may_have_any_middle(people: People) -> None:
    alice = people.connect()
    alice.say("NICK Alice", "USER u s e r")
    assert alice.welcomed()


@pytest.mark.parametrize(
    "line", ["JOIN #room", "PRIVMSG Bob :hi", "WHO *", "LIST", "OPER a b", "MODE #room", "NONSENSE"]
)
def test_nothing_else_is_done_before(people: People, line: str) -> None:
    stranger = people.connect()
    stranger.say("NICK Alice", line)
    stranger.sees("451 /Alice|[*]/ ...")
    stranger.say("USER u 0 * :Real Name")
    assert stranger.welcomed()


def test_ping_and_pong_before(people: People) -> None:
    stranger = people.connect()
    stranger.say("NICK Alice", "PONG x", "PING y")
    assert stranger.next().verb in ("PONG", "451")


@pytest.mark.parametrize("line", ["USER u", "USER u 0 *", "USER", "USER u 0 * :", "USER  0 * :"])
def test_user_needs_four_words_and_a_real_name(people: People, line: str) -> None:
    stranger = people.connect()
    stranger.say("NICK Alice", line)
    stranger.sees("461 /Alice|[*]/ USER ...")


@pytest.mark.parametrize("nick", ["*", "#a", "a b!", "a!b", "a@b", "a,b", "@a", "+a", "$a", ":", "a*", "a?", "x" * 80])
def test_nick_that_cannot_be(people: People, nick: str) -> None:
    stranger = people.connect()
    stranger.say(f"NICK :{nick}", "USER u 0 * :Real Name")
    stranger.sees("432 * ... ...")
    stranger.say("NICK Alice")
    assert stranger.welcomed()[0].params[0] == "Alice"


@pytest.mark.parametrize("line", ["NICK", "NICK :"])
def test_no_nick(people: People, line: str) -> None:
    stranger = people.connect()
    stranger.say("PASS x", line, "USER u 0 * :Real Name")
    stranger.sees("431 * ...")
    stranger.say("NICK Alice")
    assert stranger.welcomed()


@pytest.mark.parametrize("nick", ["Al-ice", "Al_ice", "[Alice]", "{Alice}", "Al|ice", "Al^ice", "Al1ce", "Алиса"])
def test_nick_that_can_be(people: People, nick: str) -> None:
    assert people(nick)[0].nick == nick


@pytest.mark.parametrize("nick", ["Alice", "alice", "ALICE"])
def test_nick_in_use(people: People, nick: str) -> None:
    people("Alice")
    other = people.connect()
    other.say(f"NICK {nick}", "USER u 0 * :Real Name")
    other.sees(f"433 * {nick} ...")
    other.say("NICK Bob")
    assert other.welcomed()[0].params[0] == "Bob"


def test_two_who_want_one_nick_at_once(people: People) -> None:
    one, two = people.connect(), people.connect()
    one.say("NICK Alice", "PING x")
    assert one.next().verb in ("PONG", "451")
    two.say("NICK Alice", "PING x")
    one.say("USER u 0 * :Real Name")
    one.welcomed()
    two.say("USER u 0 * :Real Name")
    assert "433" in [two.next().verb, two.next().verb]


def test_nick_of_who_left_before_registering_is_free(people: People) -> None:
    one = people.connect()
    one.say("NICK Alice", "QUIT")
    assert one.rest()[-1].verb == "ERROR"
    assert people("Alice")


@pytest.mark.parametrize("line", ["USER u 0 * :Other Name", "PASS secret"])
def test_what_can_be_said_once_only(people: People, line: str) -> None:
    people("Alice")[0].asks(line, "462 Alice ...")


def test_pass_is_ignored_where_there_is_none(people: People) -> None:
    alice = people.connect()
    alice.say("PASS whatever")
    assert alice.register("Alice")


@pytest.mark.parametrize("first", ["", "PASS wrong", "PASS sesam", "PASS sesame\r\nPASS wrong"])
def test_wrong_password(serve: Serve, first: str) -> None:
    with people_at(serve(*PASSWORD).port) as people:
        stranger = people.connect()
        stranger.say(*filter(None, [first]), "NICK Alice", "USER u 0 * :Real Name")
        assert [message.verb for message in stranger.rest()] == ["464", "ERROR"]


def test_right_password_is_the_last_one(serve: Serve) -> None:
    with people_at(serve(*PASSWORD).port) as people:
        alice = people.connect()
        alice.say("PASS wrong", "PASS sesame")
        assert alice.register("Alice")


def test_capabilities_hold_registration_up(people: People) -> None:
    alice = people.connect()
    alice.say("CAP LS")
    alice.sees("CAP * LS ...")
    alice.say("NICK Alice", "USER u 0 * :Real Name", "CAP LIST")
    alice.sees("CAP /Alice|[*]/ LIST :")
    alice.say("CAP REQ :no-such-thing and-another")
    alice.sees("CAP ... NAK :no-such-thing and-another")
    alice.say("CAP END")
    assert alice.welcomed()


def test_capability_command_that_is_none(people: People) -> None:
    stranger = people.connect()
    stranger.say("CAP NONSENSE")
    stranger.sees("410 * NONSENSE ...")


@pytest.mark.parametrize("line", [b"USER u 0 * :caf\xe9", "USER 😊😊😊 0 * :Real Name".encode()])
def test_name_of_foreign_bytes(people: People, line: bytes) -> None:
    stranger = people.connect()
    stranger.send(b"NICK Alice\r\n" + line + b"\r\n")
    assert stranger.next().verb in ("001", "468", "FAIL", "ERROR")


def test_username_is_marked_as_not_looked_up(people: People) -> None:
    alice = people.connect()
    alice.register("Alice", user="evan")
    assert alice.told("WHOIS Alice", "311")[0][1] == "~evan"


# PING


@pytest.mark.parametrize(
    ("line", "answer"),
    [("PING abc", "PONG {} abc"), ("PING :a b c", "PONG {} :a b c"), ("PING ::)", "PONG {} :/:[)]/"),
     ("PING", "409 Alice ..."), ("PING :", "409 Alice ...")],
)  # fmt: skip
def test_ping(people: People, line: str, answer: str) -> None:
    (alice,) = people("Alice")
    alice.say(line)
    alice.skips_to(answer.format(alice.server))
    alice.sees_nothing()


def test_pong_comes_after_what_others_said_before(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    bob.asks("CAP REQ away-notify", "CAP ... ACK away-notify")
    for number in range(20):
        alice.say(f"PRIVMSG #room :{number}", f"AWAY :{number}")
        bob.sees(f":Alice AWAY {number}")  # told at once: so the server has read the message, which is not stored yet
        bob.say("PING token")
        bob.sees(f":Alice PRIVMSG #room {number}", "PONG ... token")
        alice.sees("306 ... ...")


def test_pong_is_taken_silently(people: People) -> None:
    people("Alice")[0].asks("PONG :whatever")


# NICK


def test_nick_change_is_seen_once_by_who_shares_rooms(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    for client in (alice, bob):
        client.joins("#other")
    settle(alice, bob)
    (carol,) = people("Carol")
    alice.asks("NICK Alicia", ":Alice NICK Alicia")
    bob.sees(":Alice NICK Alicia")
    bob.sees_nothing()
    carol.sees_nothing()
    carol.say("NICK Alice")
    carol.sees(":Carol NICK Alice")
    bob.asks("PRIVMSG Alicia :hi")
    alice.sees(":Bob PRIVMSG Alicia hi")


def test_nick_change_of_case_only(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("NICK ALICE", ":Alice NICK ALICE")
    bob.sees(":Alice NICK ALICE")
    alice.asks("NICK ALICE")
    bob.sees_nothing()


@pytest.mark.parametrize(
    ("line", "answer"),
    [("NICK Bob", "433 Alice Bob :The name Bob is taken."), ("NICK bob", "433 Alice bob ..."),
     ("NICK a!b", "432 Alice a!b :Names can't contain !. Use letters, digits and - _ . (up to 32), like ab."),
     ("NICK", "431 Alice ..."), ("NICK :", "431 Alice ..."), ("NICK *", "432 Alice * ...")],
)  # fmt: skip
def test_nick_change_refused(people: People, line: str, answer: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks(line, answer)
    bob.sees_nothing()
    bob.asks("PRIVMSG Alice :still you?")
    alice.sees(":Bob PRIVMSG Alice :still you?")


def test_nick_of_the_longest_length(people: People) -> None:
    (alice,) = people("Alice")
    nick = "a" * int(alice.support["NICKLEN"])
    alice.asks(f"NICK {nick}", f":Alice NICK {nick}")
    alice.asks(f"NICK {nick}b", f"432 {nick} {nick}b ...")


# QUIT


def test_quit(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    for client in (alice, bob):
        client.joins("#other")
    settle(alice, bob)
    alice.say("QUIT :see you")
    assert alice.rest()[-1].like("ERROR :/.*see you.*/")
    bob.sees(":Alice QUIT :Quit: see you")
    bob.sees_nothing()
    assert people("Alice")


@pytest.mark.parametrize("line", ["QUIT", "QUIT :"])
def test_quit_without_a_word(people: People, line: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say(line)
    assert alice.rest()[-1].verb == "ERROR"
    bob.sees(":Alice QUIT :/Quit:? ?/")


def test_error_is_readable_though_one_goes_on_talking(people: People) -> None:
    (alice,) = people("Alice")
    alice.send(b"QUIT :bye\r\n" + b"PING x\r\n" * 1000)
    assert alice.rest()[-1].verb == "ERROR"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_connection_that_is_lost(people: People, how: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.sock.close() if how == "close" else alice.reset()
    assert bob.sees(":Alice QUIT ...").params[0]


# JOIN and PART


def test_join_of_a_new_room(people: People) -> None:
    (alice,) = people("Alice")
    alice.asks("JOIN #room", ":Alice JOIN #room", "353 Alice = #room @Alice", "366 Alice #room ...")


def test_join_of_a_room_with_a_topic(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("TOPIC #room :tea at five")
    settle(alice, bob)
    (carol,) = people("Carol")
    carol.asks(
        "JOIN #ROOM",
        ":Carol JOIN #room",
        "332 Carol #room :tea at five",
        r"333 Carol #room /Alice(!.*)?/ /\d+/",
        "353 Carol = #room :/(?=.*@Alice)(?=.*\\bBob)(?=.*\\bCarol)\\S+ \\S+ \\S+/",
        "366 Carol #room ...",
    )
    for client in (alice, bob):
        client.sees(":Carol JOIN #room")
        client.sees_nothing()


def test_join_twice(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("JOIN #room")
    bob.sees_nothing()


def test_join_of_several_is_answered_in_the_order_asked(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.joins("#third")
    alice.asks("MODE #third +k key", ":Alice MODE #third +k key")
    bob.say("PART #room")
    bob.skips_to("PART #room")
    alice.sync()
    names = [f"353 Bob {sign}" for sign in ("= #other @Bob", "= #room :@Alice Bob", "= #third :@Alice Bob")]
    bob.asks(
        "JOIN #other,inv@lid,,#third,#room,#third x,,,x,,key",
        *(":Bob JOIN #other", names[0], "366 Bob #other ..."),
        "403 Bob inv@lid ...",
        "475 Bob #third ...",
        *(":Bob JOIN #room", names[1], "366 Bob #room ..."),
        *(":Bob JOIN #third", names[2], "366 Bob #third ..."),
    )


def test_join_of_as_many_as_a_line_holds_that_cannot_be(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.say("MODE #room +k key")
    bob.say("PART #room")
    settle(alice, bob)
    (room,) = {alice.of_scene("#room")}
    line = f"JOIN {','.join([room] * ((LONGEST - 8) // (len(room) + 1)))}"
    bob.asks(line, *[f"475 Bob {room} ..."] * line.count("#"))
    assert len(line) > LONGEST - 30


@pytest.mark.parametrize("name", ["room", "#", "#a\x07b", "&local", "+x", "!y", "#" + "x" * 200])
def test_join_of_what_is_no_room(people: People, name: str) -> None:
    people("Alice")[0].asks(f"JOIN {name}", f"403|476 Alice {name} ...")


def test_join_0_leaves_all(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.joins("#other")
    alice.say("JOIN 0")
    left = {message.params[0] for message in alice.sync() if message.verb == "PART" and message.nick == "Alice"}
    assert left == {alice.of_scene("#room"), alice.of_scene("#other")}
    bob.sees(":Alice PART #room")
    alice.asks("JOIN 0")


def test_too_many_rooms(serve: Serve) -> None:
    with people_at(serve("--max-rooms", "3").port) as people:
        (alice,) = people("Alice")
        assert alice.support["CHANLIMIT"] == "#:3"
        alice.joins("#a", "#b", "#c")
        alice.asks("JOIN #d", "405 Alice #d ...")
        alice.asks("JOIN #a")
        alice.asks("PART #a", ":Alice PART #a")
        alice.joins("#d")


def test_room_of_the_longest_name(people: People) -> None:
    (alice,) = people("Alice")
    name = "#" + f"x{next(_numbers)}".ljust(int(alice.support["CHANNELLEN"]) - 1, "a")
    alice.joins(name)
    alice.asks(f"JOIN {name}b", f"403|476 Alice {name}b ...")


@pytest.mark.parametrize(
    ("line", "shown"), [("PART #room", "PART #room"), ("PART #room :so long", "PART #room :so long")]
)
def test_part(people: People, line: str, shown: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks(line, f":Alice {shown}")
    bob.sees(f":Alice {shown}")
    bob.asks("PRIVMSG #room :alone")
    alice.asks(line, "442 Alice #room ...")
    bob.sees_nothing()


def test_part_of_several(people: People) -> None:
    (alice,) = people.meet("Alice")
    alice.joins("#other")
    alice.asks(
        "PART #other,#third,#room :bye", ":Alice PART #other bye", ":Alice PART #room bye", "403|442 Alice #third ..."
    )


def test_room_without_members_is_not_shown_and_keeps_its_operator(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    alice.joins("#room")
    alice.asks("PART #room", ":Alice PART #room")
    bob.asks("MODE #room", "403 Bob #room ...")
    assert bob.told("LIST #room", "322") == []
    bob.asks("JOIN #room", ":Bob JOIN #room", "353 Bob = #room Bob", "366 Bob #room ...")
    alice.asks("JOIN #room", ":Alice JOIN #room", "353 Alice = #room :/(Bob @Alice|@Alice Bob)/", "366 Alice #room ...")


# TOPIC


def test_topic_is_told_to_all_and_kept(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("TOPIC #room", "331 Alice #room ...")
    alice.asks("TOPIC #room :tea at five", ":Alice TOPIC #room :tea at five")
    bob.sees(":Alice TOPIC #room :tea at five")
    bob.asks("TOPIC #room", "332 Bob #room :tea at five", r"333 Bob #room /Alice(!.*)?/ /\d{10,}/")
    alice.asks("TOPIC #room :", ":Alice TOPIC #room :")
    bob.sees(":Alice TOPIC #room :")
    bob.asks("TOPIC #room", "331 Bob #room ...")
    (carol,) = people("Carol")
    carol.asks("JOIN #room", ":Carol JOIN #room", "353 Carol = #room ...", "366 Carol #room ...")


@pytest.mark.parametrize(
    ("line", "answer"),
    [("TOPIC #third", "403 Carol #third ..."), ("TOPIC #third :x", "403 Carol #third ..."),
     ("TOPIC #room :x", "442 Carol #room ...")],
)  # fmt: skip
def test_topic_refused(people: People, line: str, answer: str) -> None:
    (alice,) = people.meet("Alice")
    people("Carol")[0].asks(line, answer)
    alice.sees_nothing()


def test_topic_is_cut_to_the_length_that_was_told(people: People) -> None:
    (alice,) = people.meet("Alice")
    alice.say("TOPIC #room :" + "x" * 450)
    shown = alice.sees(":Alice TOPIC #room ...").params[1]
    assert len(shown) == min(450, int(alice.support["TOPICLEN"]))


# NAMES and LIST


@pytest.mark.parametrize("name", ["#third", "invalid", "inv@lid"])
def test_names_of_what_is_not_there(people: People, name: str) -> None:
    people("Alice")[0].asks(f"NAMES {name}", f"366 Alice {name} ...")


def test_names(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    for client in (alice, carol):
        client.asks("NAMES #ROOM", "353 ... = #room :/@Alice Bob|Bob @Alice/", "366 ... /#(?i:room)\\d*/ ...")
    alice.asks("MODE #room +v Bob", ":Alice MODE #room +v Bob")
    carol.asks("NAMES #room", "353 ... = #room :/@Alice [+]Bob|[+]Bob @Alice/", "366 ... #room ...")
    bob.sync()
    bob.asks("MODE Bob +i", ":Bob MODE Bob +i")
    carol.asks("NAMES #room", "353 ... = #room @Alice", "366 ... #room ...")
    bob.asks("MODE Bob -i", ":Bob MODE Bob -i")
    carol.asks("NAMES #room", "353 ... = #room :/@Alice [+]Bob|[+]Bob @Alice/", "366 ... #room ...")


def test_names_of_many(people: People) -> None:
    nicks = [f"somebody-with-a-long-name-{number}" for number in range(30)]
    *_, last = people.meet(*nicks)
    last.say("NAMES #room")
    *names, end = last.sync()
    assert end.like(last.of_scene("366 ... #room ...")) and len(names) > 1
    assert sorted(nick.lstrip("@") for message in names for nick in message.params[3].split(" ")) == sorted(nicks)


def test_list_of_a_server_where_nobody_is(fresh: People) -> None:
    (alice,) = fresh("Alice")
    alice.say("LIST")
    assert {message.verb for message in alice.sync()} <= {"321", "323"}


def test_list_tells_rooms_with_their_people_and_topic(fresh: People) -> None:
    alice, bob = fresh.meet("Alice", "Bob")
    bob.joins("#other")
    bob.say("TOPIC #other :cake")
    settle(alice, bob)
    (carol,) = fresh("Carol")
    carol.say("LIST")
    came = carol.sync()
    assert came[-1].like("323 Carol ...")
    rooms = {message.params[1:] for message in came if message.verb == "322"}
    assert rooms == {(carol.of_scene("#room"), "2", ""), (carol.of_scene("#other"), "1", "cake")}


def test_list_of_some_rooms(people: People) -> None:
    (alice,) = people.meet("Alice")
    alice.joins("#other")
    assert [room for room, *_ in alice.told("LIST #other,#third", "322")] == [alice.of_scene("#other")]
    assert alice.told("LIST #third", "322") == []
    alice.say("LIST #third")
    assert {message.verb for message in alice.sync()} <= {"321", "323"}


@pytest.mark.parametrize(
    ("condition", "found"),
    [("*ora*", {"#orange"}), ("#orang?", {"#orange"}), ("#*", {"#orange", "#plum"}), ("*fig*", set()),
     ("!*ora*", {"#plum"}), ("!#*", set()), (">0", {"#orange", "#plum"}), (">1", {"#plum"}), ("<2", {"#orange"}),
     ("<1", set()), ("<100", {"#orange", "#plum"}), (">1,<100", {"#plum"}), ("C>0", {"#orange", "#plum"}),
     ("C<1", {"#orange", "#plum"}), ("C>1", set()), ("C<0", set()), ("T<1", {"#plum"}), ("T>1", set()),
     ("T<0", set()), ("c<1", {"#orange", "#plum"}), ("<2,*u*", set()), (">1,*u*", {"#plum"}), (">²", set()),
     ("C>²", set())],
)  # fmt: skip
def test_list_of_rooms_like_this(orchard: Irc, condition: str, found: set[str]) -> None:
    assert {room for room, *_ in orchard.told(f"LIST {condition}", "322")} == found


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Irc]:
    """Carol looks at two rooms: #orange with one, and #plum with two and a topic."""
    server = InThread(tmp_path_factory.mktemp("orchard") / "data", "--no-limits")
    with people_at(server.port) as people:
        alice, bob, carol = people("Alice", "Bob", "Carol")
        alice.joins("#orange", "#plum")
        bob.joins("#plum")
        alice.say("TOPIC #plum :ripe")
        settle(alice, bob, carol)
        yield carol
    server.close()


# INVITE and KICK


def test_invite(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    bob.asks("INVITE Carol #room", "341 Bob Carol #room")
    carol.sees(":Bob INVITE Carol #room")
    alice.sees_nothing()


@pytest.mark.parametrize(
    ("line", "answer"),
    [("INVITE Nemo #room", "401 Alice Nemo ..."), ("INVITE Bob #room", "443 Alice Bob #room ..."),
     ("INVITE Carol #third", "403|442 Alice #third ..."), ("INVITE Carol #other", "442 Alice #other ...")],
)  # fmt: skip
def test_invite_refused(people: People, line: str, answer: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people.meet("Carol", room="#other")
    alice.asks(line, answer)
    bob.sees_nothing()
    carol.sees_nothing()


def test_invite_where_it_is_needed(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    alice.asks("MODE #room +i", ":Alice MODE #room +i")
    bob.sync()
    carol.asks("JOIN #room", "473 Carol #room ...")
    bob.asks("INVITE Carol #room", "482 Bob #room ...")
    carol.sees_nothing()
    alice.asks("INVITE Carol #room", "341 Alice Carol #room")
    carol.sees(":Alice INVITE Carol #room")
    carol.joins("#room")
    carol.say("PART #room")
    carol.sync()
    carol.asks("JOIN #room", "473 Carol #room ...")


@pytest.mark.parametrize(("line", "reason"), [("KICK #room Bob :no cake", "no cake"), ("KICK #room bob", "Alice")])
def test_kick(people: People, line: str, reason: str) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    alice.asks(line, f":Alice KICK #room Bob :{reason}")
    for client in (bob, carol):
        client.sees(f":Alice KICK #room Bob :{reason}")
    alice.asks("PRIVMSG #room :gone?")
    carol.sees(":Alice PRIVMSG #room gone?")
    bob.sees_nothing()
    bob.joins("#room")


@pytest.mark.parametrize(
    ("who", "line", "answer"),
    [("Alice", "KICK #third Bob", "403 Alice #third ..."), ("Alice", "KICK #room Dora", "441 Alice Dora #room ..."),
     ("Bob", "KICK #room Carol", "482 Bob #room ..."), ("Bob", "KICK #room Alice", "482 Bob #room ..."),
     ("Dora", "KICK #room Bob", "442|482 Dora #room ...")],
)  # fmt: skip
def test_kick_refused(people: People, who: str, line: str, answer: str) -> None:
    clients = {client.nick: client for client in people.meet("Alice", "Bob", "Carol") + people("Dora")}
    clients[who].asks(line, answer)
    for client in clients.values():
        client.sees_nothing()


def test_kick_of_an_operator_of_several_and_of_oneself(people: People) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    alice.asks("MODE #room +o Bob", ":Alice MODE #room +o Bob")
    settle(bob, carol)
    bob.asks("KICK #room Alice,Carol :out", ":Bob KICK #room Alice out", ":Bob KICK #room Carol out")
    alice.sees(":Bob KICK #room Alice out")
    carol.sees(":Bob KICK #room Alice out", ":Bob KICK #room Carol out")
    bob.asks("KICK #room Bob", ":Bob KICK #room Bob Bob")


def test_kick_of_one_who_is_named_twice(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("KICK #room,#ROOM,#room Bob,bob,Alice", ":Alice KICK #room Bob Alice", ":Alice KICK #room Alice Alice")
    bob.sees(":Alice KICK #room Bob Alice")
    bob.sees_nothing()


# PRIVMSG and NOTICE


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE"])
@pytest.mark.parametrize(
    "text", ["hello there", ":-)", "\x01ACTION waves\x01", "\x01VERSION\x01", "  spaces  ", "так 😃"]
)
def test_message(people: People, verb: str, text: str) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    alice.asks(f"{verb} #room :{text}")
    alice.asks(f"{verb} bob :{text}")
    for client, targets in ((bob, ["#room", "/[Bb]ob/"]), (carol, ["#room"])):
        for target in targets:
            shown = client.sees(f":Alice {verb} {target} ...")
            assert shown.params[1] == text
            assert re.fullmatch(r"Alice!~?username@\S+", shown.source)
        client.sees_nothing()


def test_message_of_one_word_needs_no_colon(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    alice.asks("PRIVMSG Bob hi")
    bob.sees(":Alice PRIVMSG Bob hi")


def test_message_to_several(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people("Carol")
    alice.asks("PRIVMSG Carol,Nemo,#room :hi", "401 Alice Nemo ...")
    carol.sees(":Alice PRIVMSG Carol hi")
    bob.sees(":Alice PRIVMSG #room hi")


def test_message_to_oneself(people: People) -> None:
    people("Alice")[0].asks("PRIVMSG Alice :note", ":Alice PRIVMSG Alice note")


@pytest.mark.parametrize(
    ("line", "answer"),
    [("PRIVMSG", "411 Alice ..."), ("PRIVMSG Bob", "412 Alice ..."), ("PRIVMSG Bob :", "412 Alice ..."),
     ("PRIVMSG #room :", "412 Alice ..."), ("PRIVMSG Nemo :hi", "401 Alice Nemo ..."),
     ("PRIVMSG #third :hi", "401|403|404 Alice #third ..."), ("PRIVMSG #other :hi", "404 Alice #other ...")],
)  # fmt: skip
def test_message_refused_and_notice_never_answered(people: People, line: str, answer: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    (carol,) = people.meet("Carol", room="#other")
    alice.asks(line, answer)
    alice.asks(line.replace("PRIVMSG", "NOTICE"))
    bob.sees_nothing()
    carol.sees_nothing()


@pytest.mark.parametrize("sender", ["Alice", "Bob"])
def test_message_to_operators_or_voices_of_a_room(people: People, sender: str) -> None:
    clients = dict(zip(("Alice", "Bob", "Carol"), people.meet("Alice", "Bob", "Carol"), strict=True))
    alice, bob, carol = clients.values()
    alice.asks("MODE #room +v Bob", ":Alice MODE #room +v Bob")
    settle(bob, carol)
    clients[sender].asks("PRIVMSG @#room :for operators")
    clients[sender].asks("NOTICE +#room :for voices too")
    if sender == "Bob":
        alice.sees(":Bob PRIVMSG @#room :for operators", ":Bob NOTICE +#room :for voices too")
    else:
        bob.sees(":Alice NOTICE +#room :for voices too")
    for client in clients.values():
        client.sees_nothing()


# AWAY, USERHOST, ISON


@pytest.mark.parametrize("back", ["AWAY", "AWAY :"])
def test_away(people: People, back: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("AWAY :at tea", "306 Alice ...")
    bob.sees_nothing()
    bob.asks("PRIVMSG Alice :there?", "301 Bob Alice :at tea")
    bob.asks("NOTICE Alice :there?")
    bob.asks("PRIVMSG #room :there?")
    alice.sees(":Bob PRIVMSG Alice there?", ":Bob NOTICE Alice there?", ":Bob PRIVMSG #room there?")
    assert bob.told("WHOIS Alice", "301") == [("Alice", "at tea")]
    bob.asks("USERHOST Alice", "302 Bob :/Alice=-~?username@\\S+ ?/")
    assert bob.told("WHO Alice", "352")[0][5].startswith("G")
    alice.asks(back, "305 Alice ...")
    bob.asks("PRIVMSG Alice :there?")
    assert bob.told("WHOIS Alice", "301") == []
    bob.asks("USERHOST Alice", "302 Bob :/Alice=[+]~?username@\\S+ ?/")


def test_userhost_of_several(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    opered(bob)
    alice.asks("USERHOST bob Nemo Alice", "302 Alice :/Bob[*]=[+]\\S+ Alice=[+]\\S+ ?/")
    alice.asks("USERHOST Nemo", "302 Alice :/ ?/")


@pytest.mark.parametrize("line", ["ISON bob Nemo Alice", "ISON :bob Nemo Alice"])
def test_ison(people: People, line: str) -> None:
    alice, _bob = people("Alice", "Bob")
    alice.asks(line, "303 Alice :/Bob Alice ?/")
    alice.asks("ISON Nemo", "303 Alice :/ ?/")


def test_ison_of_many_cuts_no_nick(people: People) -> None:
    alice, _bob = people("Alice", "Bob")
    many = " ".join(["Bob"] * 126)
    answers = alice.told(f"ISON {many}", "303")
    assert " ".join(text for (text,) in answers) == many


# WHO


def who(client: Irc, mask: str, *replies: str) -> None:
    """Replies are compared in any order; the end names the mask."""
    client.sync()
    client.say(f"WHO {mask}")
    *came, end = client.sync()
    assert end.like(f"315 {client.nick} ... ...") and end.params[1].lower() == client.of_scene(mask.split()[0]).lower()
    left = [client.of_scene(reply) for reply in replies]
    for message in came:
        match = [pattern for pattern in left if message.like(pattern)]
        assert match, f"{message} is none of {left}"
        left.remove(match[0])
    assert not left, f"missing {left}"


def reply(client: Irc, room: str, nick: str, flags: str) -> str:
    return f"352 {client.nick} {room} /~?username/ /[0-9A-Za-z_:.-]+/ {client.server} {nick} {flags} :0 Real Name"


@pytest.mark.parametrize("mask", ["#room", "#ROOM"])
def test_who_is_in_a_room(people: People, mask: str) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    for client in (alice, bob, carol):
        client.joins("#other")
    opered(carol)
    alice.say("MODE #room +v Bob", "AWAY :tea")
    settle(alice, bob, carol)
    rows = [reply(bob, "#room", "Alice", "G@"), reply(bob, "#room", "Bob", "H+"), reply(bob, "#room", "Carol", "H[*]")]
    who(bob, mask, *(row.replace("H[*]", "H*") for row in rows))


@pytest.mark.parametrize("mask", ["Alice", "alice", "Alic*", "a?ice"])
def test_who_is_called_so(people: People, mask: str) -> None:
    alice, bob = people("Alice", "Bob")
    who(bob, mask, reply(bob, "*", "Alice", "H"))
    opered(alice)
    alice.asks("AWAY :tea", "306 Alice ...")
    who(bob, mask, reply(bob, "*", "Alice", "G*"))


@pytest.mark.parametrize("mask", ["Nemo", "Nem*", "#third"])
def test_who_is_nobody(people: People, mask: str) -> None:
    who(people("Alice")[0], mask)


def test_who_is_there(fresh: People) -> None:
    alice, bob = fresh("Alice", "Bob")
    who(bob, "*", reply(bob, "*", "Alice", "H"), reply(bob, "*", "Bob", "H"))
    assert alice.sync() == []


def test_who_of_the_invisible(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    alice.asks("MODE Alice +i", ":Alice MODE Alice +i")
    who(bob, "Ali*")
    who(bob, "Alice", reply(bob, "*", "Alice", "H"))
    alice.joins("#room")
    bob.joins("#room")
    settle(alice, bob)
    who(bob, "Ali*", reply(bob, "/[*]|#room/", "Alice", "/H@?/"))


def test_who_of_a_secret_room(people: People) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks("MODE #room +s", ":Alice MODE #room +s")
    who(people("Carol")[0], "#room")
    who(bob, "#room", reply(bob, "#room", "Alice", "H@"), reply(bob, "#room", "Bob", "H"))


@pytest.mark.parametrize("fields", ["tcuihsnfdlaor", "roaldfnshiuct"])
def test_who_with_chosen_fields_answers_in_one_order(people: People, fields: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    bob.asks(
        f"WHO Alice %{fields},123",
        f"354 Bob 123 /#room|[*]/ /~?username/ ... ... {bob.server} Alice /H@?/ ... /[0-9]+/ 0 ... :Real Name",
        "315 Bob Alice ...",
    )
    alice.sees_nothing()


@pytest.mark.parametrize(
    ("fields", "row"),
    [("%tn,321", "321 Alice"), ("%n", "Alice"), ("%na", "Alice 0"), ("%nf", "Alice H"), ("%nr", "Alice :Real Name"),
     ("%cn", "* Alice")],
)  # fmt: skip
def test_who_with_some_fields(people: People, fields: str, row: str) -> None:
    _alice, bob = people("Alice", "Bob")
    bob.asks(f"WHO Alice {fields}", f"354 Bob {row}", "315 Bob Alice ...")


# WHOIS and WHOWAS


@pytest.mark.parametrize("line", ["WHOIS {nick}", "WHOIS  {nick}", "WHOIS {server} {nick}", "WHOIS {nick} {nick}"])
@pytest.mark.parametrize("nick", ["Alice", "aLICE"])
def test_whois(people: People, line: str, nick: str) -> None:
    alice = people.connect()
    alice.register("Alice", "evan", "Alice Liddell")
    alice.joins("#room", "#other")
    (bob,) = people("Bob")
    bob.joins("#other")
    bob.say(line.format(nick=nick, server=bob.server))
    came = bob.sync()
    assert came[0].like("311 Bob Alice /~?evan/ ... * :Alice Liddell")
    assert came[-1].like(f"318 Bob {nick} ...")
    by_verb = {message.verb: message for message in came}
    assert set(by_verb) <= {"311", "312", "317", "318", "319", "378", "379"} and {"312", "319"} <= set(by_verb)
    assert by_verb["312"].like(f"312 Bob Alice {bob.server} ...")
    assert by_verb["319"].like(bob.of_scene("319 Bob Alice :/@#room\\d* @#other\\d*|@#other\\d* @#room\\d*/"))
    if "317" in by_verb:
        assert by_verb["317"].like(r"317 Bob Alice /\d+/ /\d{10,}/ ...")


def test_whois_of_oneself_and_of_an_operator(people: People) -> None:
    alice, bob = people("Alice", "Bob")
    opered(alice)
    assert alice.told("WHOIS Alice", "338")[0][1] in ("127.0.0.1", "localhost")
    assert bob.told("WHOIS Alice", "313")
    assert bob.told("WHOIS Alice", "338") == []


@pytest.mark.parametrize(
    ("mode", "seen"), [("MODE #room +s", {"#other"}), ("MODE Alice +i", {"#other"}), ("AWAY", {"#room", "#other"})]
)
def test_whois_of_who_hides(people: People, mode: str, seen: set[str]) -> None:
    (alice,) = people("Alice")
    alice.joins("#room", "#other")
    (bob,) = people("Bob")
    bob.joins("#other")
    alice.say(mode)
    alice.sync()
    (channels,) = bob.told("WHOIS Alice", "319")
    assert {name.lstrip("@") for name in channels[1].split()} == {bob.of_scene(name) for name in seen}


@pytest.mark.parametrize(
    ("line", "answers"),
    [("WHOIS Nemo", ["401 Alice Nemo ...", "318 Alice Nemo ..."]),
     ("WHOIS no.such.server Alice", ["402 Alice no.such.server ..."]), ("WHOIS", ["431 Alice ..."])],
)  # fmt: skip
def test_whois_of_nobody(people: People, line: str, answers: list[str]) -> None:
    people("Alice")[0].asks(line, *answers)


@pytest.mark.parametrize(
    ("asked", "found"),
    [("", 2), (" 1", 1), (" 2", 2), (" 9", 2), (" 0", 2), (" -1", 2), (" x", 2), (" --5", 2), (" ²", 2)],
)
def test_whowas(people: People, asked: str, found: int) -> None:
    nick = f"was{next(_numbers)}"
    for user in ("first", "second"):
        client = people.connect()
        client.register(nick, user)
        client.leave()
    (bob,) = people("Bob")
    bob.say(f"WHOWAS {nick}{asked}")
    came = bob.sync()
    entries = [message for message in came if message.verb == "314"]
    users = ["second", "first"][:found]
    assert all(message.verb in ("314", "312", "338", "369") for message in came)
    assert len(entries) == found and came[0] is entries[0]
    for message, user in zip(entries, users, strict=True):
        assert message.like(f"314 Bob {nick} /~?{user}/ ... * :Real Name")
    assert came[-1].like(f"369 Bob {nick} ...")


def test_whowas_after_a_change_of_nick(people: People) -> None:
    nick = f"was{next(_numbers)}"
    (alice,) = people(nick)
    alice.asks("NICK Alice", f":{nick} NICK Alice")
    assert alice.told(f"WHOWAS {nick.upper()}", "314")[0][0] == nick


def test_whowas_of_nobody(people: People) -> None:
    (alice,) = people("Alice")
    alice.asks("WHOWAS Nemo", "406 Alice Nemo ...", "369 Alice Nemo ...")
    alice.asks("WHOWAS", "431 Alice ...")


# Questions about the server


def lusers(client: Irc) -> dict[str, list[int]]:
    client.say("LUSERS")
    came = client.sync()
    assert len({message.verb for message in came}) == len(came)
    assert all(message.params[0] == client.nick for message in came)
    return {
        message.verb: [int(word) for param in message.params[1:] for word in param.split() if word.isdigit()][:3]
        for message in came
    }


def test_lusers(fresh: People) -> None:
    (alice,) = fresh("Alice")
    told = lusers(alice)
    assert told["251"] == [1, 0, 1] and told["255"] == [1, 0]
    assert told["265"][:2] == told["266"][:2] == [1, 1]
    stranger = fresh.connect()
    stranger.say("NICK Bob", "PING x")
    assert stranger.next().verb in ("PONG", "451")
    assert lusers(alice)["253"] == [1]
    stranger.say("USER u 0 * :Real Name")
    stranger.welcomed()
    stranger.joins("#room")
    stranger.asks("MODE Bob +i", ":Bob MODE Bob +i")
    told = lusers(alice)
    assert told["251"] == [1, 1, 1] and told["265"][:2] == [2, 2] and told["254"] == [1]
    assert told.get("253", [0]) == [0] and told.get("252", [0]) == [0]
    opered(stranger)
    assert lusers(alice)["252"] == [1]
    stranger.leave()
    told = lusers(alice)
    assert told["251"] == [1, 0, 1] and told["265"][:2] == [1, 2]
    assert told.get("252", [0]) == [0] and told.get("254", [0]) == [0]


def test_who_only_looks_whether_the_server_is_up_is_not_counted(fresh: People) -> None:
    probe = fresh.connect()
    probe.say("QUIT :just looking")
    assert probe.rest()[-1].verb == "ERROR"
    (alice,) = fresh("Alice")
    told = lusers(alice)
    assert told.get("253", [0]) == [0] and told["265"][:2] == [1, 1]


@pytest.mark.parametrize(
    ("line", "verbs", "last"),
    [("MOTD", "375|372", "376|422 Alice ..."), ("VERSION", "351|005", ""), ("INFO", "371", "374 Alice ..."),
     ("LINKS", "364", "365 Alice * ..."), ("ADMIN", "256|257|258|259|423", ""), ("STATS u", "242", "219 Alice u ..."),
     ("HELP", "704|705", "706 Alice ... ..."), ("HELP PRIVMSG", "704|705", "706 Alice /(?i)privmsg/ ..."),
     ("HELPOP", "704|705", "706 Alice ... ..."), ("STATS z", "", "219 Alice z ...")],
)  # fmt: skip
def test_what_the_server_tells_of_itself(people: People, line: str, verbs: str, last: str) -> None:
    (alice,) = people("Alice")
    alice.say(line)
    came = alice.sync()
    assert came and all(message.source == alice.server and message.params[0] == "Alice" for message in came)
    if last:
        assert came.pop().like(last)
    assert {message.verb for message in came} <= set(verbs.split("|"))


def test_help_about_nothing(people: People) -> None:
    people("Alice")[0].asks("HELP NONSENSE", "524 Alice /(?i)nonsense/ ...")


def test_version_time_and_links_name_the_server(people: People) -> None:
    (alice,) = people("Alice")
    assert alice.told("VERSION", "351")[0][1] == alice.server
    alice.asks("TIME", f"391 Alice {alice.server} ...")
    for row in alice.told("LINKS", "364"):
        assert row[1] == alice.server and row[2].startswith("0 ")


@pytest.mark.parametrize("verb", ["MOTD", "VERSION", "TIME", "ADMIN", "INFO"])
def test_question_to_a_server_that_is_not_there(people: People, verb: str) -> None:
    people("Alice")[0].asks(f"{verb} no.such.server", "402 Alice no.such.server ...")


# Operators


def test_oper(people: People) -> None:
    (alice,) = people("Alice")
    alice.say("OPER operuser operpassword")
    came = alice.sync()
    assert sorted(message.verb for message in came if message.verb != "NOTICE") == ["381", "MODE"]
    assert any(message.like("MODE Alice /[+][a-zA-Z]*o[a-zA-Z]*/") for message in came)
    alice.say("MODE Alice -o")
    alice.skips_to("MODE Alice -o")
    alice.asks("WALLOPS :hello", "481 Alice ...")


@pytest.mark.parametrize("line", ["OPER operuser wrong", "OPER nobody operpassword"])
def test_oper_refused(people: People, line: str) -> None:
    (alice,) = people("Alice")
    alice.asks(line, "464|491 Alice ...")
    alice.asks("WALLOPS :hello", "481 Alice ...")


def test_nobody_is_operator_where_none_is_named(serve: Serve) -> None:
    with people_at(serve().port) as people:
        people("Alice")[0].asks("OPER operuser operpassword", "464|491 Alice ...")


@pytest.mark.parametrize("line", ["KILL Bob :x", "KILL Alice :x", "WALLOPS :x", "REHASH", "DIE", "RESTART"])
def test_what_operators_alone_may(people: People, line: str) -> None:
    alice, bob = people.meet("Alice", "Bob")
    alice.asks(line, "481 Alice ...")
    bob.sees_nothing()


def test_mode_makes_nobody_an_operator(people: People) -> None:
    (alice,) = people("Alice")
    alice.say("MODE Alice +o")
    assert not any(message.verb == "MODE" for message in alice.sync())
    alice.asks("WALLOPS :x", "481 Alice ...")


@pytest.mark.parametrize(("line", "reason"), [("KILL bob :enough now", "enough now"), ("KILL Bob", "")])
def test_kill(people: People, line: str, reason: str) -> None:
    alice, bob, carol = people.meet("Alice", "Bob", "Carol")
    opered(alice)
    alice.say(line)
    last = bob.rest()[-1]
    assert last.verb == "ERROR" and reason in last.params[0]
    assert reason in carol.sees(":Bob QUIT ...").params[0]
    carol.sees_nothing()
    alice.sync()
    alice.asks("KILL Nemo :x", "401 Alice Nemo ...")
    assert people("Bob")


def test_wallops_reach_who_wants_them(people: People) -> None:
    alice, bob, carol = people("Alice", "Bob", "Carol")
    opered(alice)
    bob.asks("MODE Bob +w", ":Bob MODE Bob +w")
    carol.say("MODE Carol -w")
    carol.sync()
    alice.say("WALLOPS :tea is ready")
    bob.sees(":Alice WALLOPS :/.*tea is ready/")
    carol.sees_nothing()
    assert all(message.like(":Alice WALLOPS :/.*tea is ready/") for message in alice.sync())


# The other wires, in one room with these


@pytest.fixture
def lobby(serve: Serve) -> Iterator[tuple[Irc, Client]]:
    """Alice by IRC and Bob by line, both in the lobby, with nothing unread."""
    server = serve("--no-limits", "--history", "0")
    with people_at(server.port) as people:
        (alice,) = people("Alice")
        alice.joins("#lobby")
        alice.sync()
        bob = server.join("Bob")
        alice.sees(":Bob JOIN #lobby")
        bob.seen = b""
        yield alice, bob


def test_line_and_irc_talk(lobby: tuple[Irc, Client]) -> None:
    alice, bob = lobby
    alice.say("PRIVMSG #lobby :hello")
    bob.skips_to(b"Alice: hello\n")
    bob.say("hello yourself")
    alice.sees(":Bob PRIVMSG #lobby :hello yourself")
    bob.say("/me waves")
    alice.sees(":Bob PRIVMSG #lobby :\x01ACTION waves\x01")
    alice.say("PRIVMSG #lobby :\x01ACTION bows\x01")
    bob.skips_to(b"* Alice bows\n")
    bob.say("/msg alice psst")
    alice.sees(":Bob PRIVMSG Alice psst")
    alice.say("PRIVMSG bob :quiet")
    bob.skips_to(b"Alice (private): quiet\n")


def test_line_and_irc_see_each_other_come_change_and_go(lobby: tuple[Irc, Client]) -> None:
    alice, bob = lobby
    alice.asks("NAMES #lobby", "353 Alice = #lobby :/@?Alice @?Bob|@?Bob @?Alice/", "366 Alice #lobby ...")
    alice.say("TOPIC #lobby :tea")
    alice.sees(":Alice TOPIC #lobby tea")
    bob.skips_to(b"*** Alice set the topic: tea ***\n")
    bob.say("/nick Robert")
    alice.sees(":Bob NICK Robert")
    alice.say("NICK Alicia")
    alice.sees(":Alice NICK Alicia")
    bob.skips_to(b"*** Alice is now Alicia ***\n")
    bob.say("/quit see you")
    alice.sees(":Robert QUIT :/.*see you.*/")


def test_nick_that_a_line_client_has(lobby: tuple[Irc, Client]) -> None:
    lobby[0].asks("NICK bob", "433 Alice bob ...")


def test_who_leaves_the_lobby_by_irc_is_still_there_for_private_words(lobby: tuple[Irc, Client]) -> None:
    alice, bob = lobby
    alice.asks("PART #lobby :later", ":Alice PART #lobby later")
    bob.skips_to(re.compile(rb"[*]{3} Alice has left.*[*]{3}\n"))
    alice.say("PRIVMSG Bob :still here")
    bob.skips_to(b"Alice (private): still here\n")
