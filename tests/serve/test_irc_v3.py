"""What IRCv3 adds to the IRC wire: capabilities, tags, labels, and all that is told about people.

Rows are (what is sent, what must come).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from in_thread import InThread

from irc_caps import Capable, Town, town
from irc_messages import ANY, CORE, Message, batch, fits, only, the, told, verbs

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PLAIN_CAPS = set(
    "away-notify batch cap-notify draft/channel-rename draft/chathistory draft/event-playback draft/message-redaction "
    "draft/multiline draft/pre-away draft/read-marker echo-message extended-join extended-monitor invite-notify "
    "labeled-response message-tags multi-prefix no-implicit-names server-time setname standard-replies "
    "userhost-in-names".split()
)
METADATA = ["draft/metadata-2", "draft/metadata-3"]


@pytest.fixture
def come(serve: Callable[..., InThread]) -> Iterator[Town]:
    people = town(serve)
    yield people
    people.close()


def listed(somebody: Capable, question: str) -> tuple[dict[str, str], int]:
    """Return the capabilities with their values that an answer has, and how many lines it took."""
    somebody.say(question)
    names: dict[str, str] = {}
    for lines in range(1, 20):
        answer = somebody.awaits("CAP", ANY, "LS")
        for word in answer.params[-1].split():
            name, _, value = word.partition("=")
            names[name] = value
        if answer.params[2] != "*":
            return names, lines
    raise AssertionError("no end of it")


# --- capabilities -------------------------------------------------------------------------------------------------


def test_what_is_advertised(come: Town) -> None:
    names, _ = listed(come(), "CAP LS 302")
    assert set(names) >= PLAIN_CAPS
    assert set(names) & set(METADATA)
    values = dict(word.partition("=")[::2] for word in names["draft/multiline"].split(","))
    assert int(values["max-bytes"]) >= 4096 and int(values["max-lines"]) >= 32
    assert {"sasl", "draft/account-registration"} <= set(names) and "sts" not in names


def test_support_tokens(come: Town) -> None:
    support = come("alice").support
    assert {"UTF8ONLY", "WHOX", "MONITOR", "BOT", "CHATHISTORY", "MSGREFTYPES"} <= set(support)
    assert support["UTF8ONLY"] == support["WHOX"] == ""
    assert len(support["BOT"]) == 1 and int(support["MONITOR"]) > 0 and int(support["CHATHISTORY"]) >= 0
    assert set(support["MSGREFTYPES"].split(",")) == {"msgid", "timestamp"}
    assert "CLIENTTAGDENY" not in support


@pytest.mark.parametrize("question", ["CAP LS", "CAP LS 301", "cap ls"])
@pytest.mark.parametrize("nick", ["", "alice"])
def test_an_old_client_gets_one_line_without_values(come: Town, question: str, nick: str) -> None:
    somebody = come(nick)
    somebody.say(question)
    line = somebody.line()
    assert len(line) <= 510 and b"=" not in line and b" LS * " not in line
    assert not told(somebody.sync(), "CAP")


def test_lines_of_a_long_list_are_no_longer_than_any(come: Town) -> None:
    somebody = come()
    somebody.say("CAP LS 302")
    lines = somebody.lines(b" CAP * LS :")
    assert all(len(line) <= 510 and b" LS * " in line for line in lines[:-1])


def test_a_version_of_the_future_is_302(come: Town) -> None:
    names, _ = listed(come(), "CAP LS 307")
    assert "max-bytes" in names["draft/multiline"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("CAP LIST", ["CAP", "*", "LIST", ""]),
        ("CAP NOTACOMMAND", ["410", "*", "NOTACOMMAND", ANY]),
        ("CAP REQ :foo", ["CAP", "*", "NAK", "foo"]),
        ("CAP REQ :foo qux bar baz qux quux", ["CAP", "*", "NAK", "foo qux bar baz qux quux"]),
        ("CAP REQ :multi-prefix foo", ["CAP", "*", "NAK", "multi-prefix foo"]),
        ("CAP REQ :foo multi-prefix", ["CAP", "*", "NAK", "foo multi-prefix"]),
        ("CAP REQ :multi-prefix", ["CAP", "*", "ACK", re.compile("multi-prefix ?")]),
        ("CAP REQ multi-prefix", ["CAP", "*", "ACK", re.compile("multi-prefix ?")]),
        ("CAP REQ :userhost-in-names batch", ["CAP", "*", "ACK", re.compile("userhost-in-names batch ?")]),
        ("CAP REQ :-batch", ["CAP", "*", "ACK", re.compile("-batch ?")]),
        ("CAP REQ :cap-notify", ["CAP", "*", "ACK", re.compile("cap-notify ?")]),
        ("CAP REQ :Batch", ["CAP", "*", "NAK", "Batch"]),
        ("CAP REQ :sasl", ["CAP", "*", "ACK", "sasl"]),
        ("CAP REQ :draft/metadata-2 draft/metadata-3", ["CAP", "*", "NAK", ANY]),
    ],
)
def test_negotiation(come: Town, line: str, answer: list[Any]) -> None:
    somebody = come()
    only(somebody.ask(line), *answer)


@pytest.mark.parametrize("verb", ["ACK", "NAK"])
def test_a_long_request_is_answered_whole_in_several_lines(come: Town, verb: str) -> None:
    words = ["batch", "-batch"] * 36 + ["extended-join" if verb == "ACK" else "nonsense"]
    alice = come("alice")
    answers = alice.ask(f"CAP REQ :{' '.join(words)}")
    assert len(answers) > 1
    assert all(fits(answer, "CAP", "alice", verb) for answer in answers)
    assert [word for answer in answers for word in answer.params[2].split()] == words
    caps = the(alice.ask("CAP LIST"), "CAP", "alice", "LIST").params[2].split()
    assert ("extended-join" in caps) is (verb == "ACK") and "batch" not in caps


def test_refused_as_a_whole_changes_nothing(come: Town) -> None:
    somebody = come()
    somebody.ask("CAP REQ :batch")
    somebody.ask("CAP REQ :-batch multi-prefix foo")
    only(somebody.ask("CAP LIST"), "CAP", "*", "LIST", re.compile("batch ?"))


@pytest.mark.parametrize("opening", ["CAP LS", "CAP LS 302", "CAP REQ :batch", "CAP REQ :foo"])
def test_negotiation_holds_the_welcome_back(come: Town, opening: str) -> None:
    somebody = come()
    somebody.ask(opening)
    somebody.ask("NICK alice")
    assert "001" not in verbs(somebody.ask("USER alice 0 * :Alice"))
    assert "001" in verbs(somebody.ask("CAP END"))
    assert somebody.ask("CAP END") == []


@pytest.mark.parametrize("opening", ["CAP LIST", "CAP END", "CAP NOTACOMMAND"])
def test_what_does_not_hold_the_welcome_back(come: Town, opening: str) -> None:
    somebody = come()
    somebody.ask(opening)
    somebody.ask("NICK alice")
    assert "001" in verbs(somebody.ask("USER alice 0 * :Alice"))


def test_a_capability_can_be_dropped_and_taken_later(come: Town) -> None:
    alice = come("alice", "echo-message", "server-time")
    names = set(the(alice.ask("CAP LIST"), "CAP", "alice", "LIST").params[2].split())
    assert names - {"cap-notify"} == {"echo-message", "server-time"}
    the(alice.ask("CAP REQ :-server-time"), "CAP", "alice", "ACK", re.compile("-server-time ?"))
    answer = the(alice.ask("CAP LIST"), "CAP", "alice", "LIST")
    assert set(answer.params[2].split()) - {"cap-notify"} == {"echo-message"} and "time" not in answer.tags
    the(alice.ask("CAP REQ :server-time"), "CAP", "alice", "ACK")
    assert "time" in the(alice.ask("PRIVMSG alice :hi")[:1], "PRIVMSG").tags


def test_ping_is_answered_before_there_is_a_nick(come: Town) -> None:
    cap, pong = come().ask("CAP LIST", "PING early")
    assert cap.verb == "CAP" and fits(pong, "PONG", ANY, "early")


# --- tags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "key", "value"),
    [
        (r"+a=fizz\:buzz", "+a", "fizz;buzz"),
        (r"+a=\s\\\r\n", "+a", " \\\r\n"),
        (r"+a=b\ad\\", "+a", "bad\\"),
        ("+a=test\\", "+a", "test"),
        ("+a=raw+:=,@", "+a", "raw+:=,@"),
        ("+a", "+a", ""),
        ("+a=", "+a", ""),
        ("+a=1;+a=2", "+a", "2"),
        ("+example.com/Foo-1=é\U0001f468", "+example.com/Foo-1", "é\U0001f468"),
        ("+b;+a=1;c=2", "+a", "1"),
    ],
)
@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE", "TAGMSG"])
def test_client_tags_arrive_as_they_were_meant(come: Town, verb: str, tags: str, key: str, value: str) -> None:
    alice, bob = come("alice", "message-tags"), come("bob", "message-tags")
    alice.ask(f"@{tags} {verb} bob" + (" :hi" if verb != "TAGMSG" else ""))
    message = bob.awaits(verb, "bob")
    assert message.tags.get(key) == value and "c" not in message.tags


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ((), set()),
        (("echo-message",), set()),
        (("server-time",), {"time"}),
        (("batch", "labeled-response"), set()),
        (("message-tags",), {"+a", "+b", "msgid"}),
        (("message-tags", "server-time"), {"+a", "+b", "msgid", "time"}),
    ],
)
def test_who_gets_which_tags(come: Town, caps: tuple[str, ...], expected: set[str]) -> None:
    alice = come("alice", *CORE, join="#tags")
    bob = come("bob", *caps, join="#tags")
    echo = the(alice.ask("@+a=1;+b;c=2;label=l;time=x;msgid=y PRIVMSG #tags :hi"), "PRIVMSG", "#tags", "hi")
    copy = only(bob.sync(), "PRIVMSG", "#tags", "hi")
    assert copy.tags.keys() == expected and copy.tags.get("msgid") in (None, echo.tags["msgid"])
    assert echo.tags.keys() == {"+a", "+b", "msgid", "time", "label"}


def test_a_message_has_one_id_for_all(come: Town) -> None:
    alice, bob, carol = (come(nick, *CORE, join="#ids") for nick in ("alice", "bob", "carol"))
    ids = []
    for target in ("#ids", "#ids", "bob", "bob"):
        echo = the(alice.ask(f"PRIVMSG {target} :hi"), "PRIVMSG")
        copies = [the(person.sync(), "PRIVMSG") for person in ((bob, carol) if target[0] == "#" else (bob,))]
        assert {copy.tags["msgid"] for copy in copies} == {echo.tags["msgid"]}
        assert {copy.tags["time"] for copy in copies} == {echo.tags["time"]}
        ids.append(echo.tags["msgid"])
    assert len(set(ids)) == len(ids) and all(ids)


def test_tagmsg_is_for_those_who_know_tags(come: Town) -> None:
    alice = come("alice", "message-tags", "echo-message", join="#tags")
    bob = come("bob", "message-tags", join="#tags")
    carol = come("carol", join="#tags")
    dave = come("dave", "server-time", "echo-message", join="#tags")
    echo = only(alice.ask("@+typing=active;x=1 TAGMSG #tags"), "TAGMSG", "#tags")
    copy = only(bob.sync(), "TAGMSG", "#tags")
    assert echo.tags["+typing"] == copy.tags["+typing"] == "active" and "x" not in copy.tags
    assert echo.tags["msgid"] == copy.tags["msgid"] and echo.source == copy.source
    assert carol.sync() == dave.sync() == []
    assert only(alice.ask("@+a TAGMSG dave"), "TAGMSG", "dave") and dave.sync() == []


@pytest.mark.parametrize(
    ("caps", "line", "answer"),
    [
        (("message-tags",), "@+a TAGMSG", "461"),
        (("message-tags",), "@+a TAGMSG nobody", "401"),
        (("message-tags",), "@+a TAGMSG #nowhere", "40[34]"),
        ((), "TAGMSG bob", "421"),
    ],
)
def test_tagmsg_that_goes_nowhere(come: Town, caps: tuple[str, ...], line: str, answer: str) -> None:
    alice, bob = come("alice", *caps), come("bob", "message-tags")
    (message,) = alice.ask(line)
    assert re.fullmatch(answer, message.verb)
    assert bob.sync() == []


@pytest.mark.parametrize("tag", ["+reply", "+draft/reply", "+draft/react", "+typing", "+draft/channel-context"])
def test_tags_of_clients_need_no_meaning_here(come: Town, tag: str) -> None:
    alice, bob = come("alice", "message-tags", join="#tags"), come("bob", "message-tags", join="#tags")
    alice.ask(f"@{tag}=l\U0001f603l PRIVMSG #tags :hi")
    assert bob.awaits("PRIVMSG").tags[tag] == "l\U0001f603l"


@pytest.mark.parametrize("verb", ["TAGMSG #long", "PRIVMSG #long :hi", "PRIVMSG #long :" + "b" * 400])
def test_tags_may_be_as_long_as_this_and_no_longer(come: Town, verb: str) -> None:
    alice = come("alice", "message-tags", "echo-message", join="#long")
    bob = come("bob", "message-tags", join="#long")
    room = 4096 - len("@foo=bar;+baz= ")
    (echo,) = alice.ask(f"@foo=bar;+baz={'a' * room} {verb}")
    (copy,) = bob.sync()
    assert echo.tags["+baz"] == copy.tags["+baz"] == "a" * room and echo.params == copy.params
    (refusal,) = alice.ask(f"@foo=bar;+baz={'a' * (room + 1)} {verb}")
    assert fits(refusal, "417", "alice") and bob.sync() == []
    (echo,) = alice.ask(f"@+baz=short {verb}")
    assert echo.tags["+baz"] == "short"


def test_time_is_the_servers_in_milliseconds(come: Town) -> None:
    alice = come("alice", "server-time", "echo-message", join="#time")
    before = datetime.now(UTC).timestamp() - 0.001
    messages = [the(alice.ask(f"{verb} #time :hi"), verb) for verb in ("PRIVMSG", "NOTICE", "TOPIC")]
    messages += alice.ask("JOIN #more")
    for message in messages:
        assert TIME.fullmatch(message.tags["time"] or ""), message
    times = [datetime.fromisoformat(message.tags["time"]).timestamp() for message in messages]  # type: ignore[arg-type]
    assert before <= times[0] <= times[1] <= times[2] <= datetime.now(UTC).timestamp()


# --- echo and labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE"])
@pytest.mark.parametrize("target", ["#echo", "bob", "#alone"])
def test_an_echo_is_what_the_others_get(come: Town, verb: str, target: str) -> None:
    alice = come("alice", "echo-message", join="#echo")
    bob = come("bob", join="#echo")
    alice.join("#alone")
    echo = only(alice.ask(f"{verb} {target} :hello everyone"), verb, target, "hello everyone")
    assert echo.tags == {} and echo.source.startswith("alice!")
    if target != "#alone":
        copy = only(bob.sync(), verb, target, "hello everyone")
        assert copy.source == echo.source
    assert bob.ask(f"{verb} alice :no echo for me") == []


@pytest.mark.parametrize(("verb", "last"), [("PRIVMSG", ["hi"]), ("NOTICE", ["hi"]), ("TAGMSG", [])])
def test_an_echo_of_what_is_said_to_some_of_a_room(come: Town, verb: str, last: list[str]) -> None:
    alice, bob, carol = (come(nick, *CORE, join="#echo") for nick in ("alice", "bob", "carol"))
    alice.ask("MODE #echo +oo bob carol")
    bob.sync(), carol.sync()
    echo = only(alice.ask(f"@label=s {verb} @#echo {''.join(last)}".strip()), verb, "@#echo", *last)
    copies = [only(person.sync(), verb, "@#echo", *last) for person in (bob, carol)]
    assert echo.tags["label"] == "s"
    assert {message.tags["msgid"] for message in copies} == {echo.tags["msgid"]}


@pytest.mark.parametrize(("caps", "copies"), [((), 1), (("echo-message",), 2)])
def test_what_one_says_to_oneself(come: Town, caps: tuple[str, ...], copies: int) -> None:
    alice = come("alice", "message-tags", "server-time", *caps)
    messages = alice.ask("PRIVMSG alice :hi")
    assert [message.params for message in messages] == [("alice", "hi")] * copies
    assert len({(message.tags["msgid"], message.tags["time"]) for message in messages}) == 1


@pytest.mark.parametrize("line", ["PRIVMSG nobody :hi", "PRIVMSG #nowhere :hi", "NOTICE nobody :hi", "PRIVMSG alice"])
def test_no_echo_of_what_failed(come: Town, line: str) -> None:
    assert not told(come("alice", "echo-message").ask(line), "PRIVMSG", "NOTICE")


@pytest.mark.parametrize(
    ("line", "verb", "params"),
    [
        ("PING token", "PONG", [ANY, "token"]),
        ("PONG token", "ACK", []),
        ("NONSENSE", "421", ["alice", "NONSENSE", ANY]),
        ("PRIVMSG nobody :hi", "401", ["alice", "nobody", ANY]),
        ("PRIVMSG bob :hi", "PRIVMSG", ["bob", "hi"]),
        ("NOTICE bob :hi", "NOTICE", ["bob", "hi"]),
        ("PRIVMSG #label :hi", "PRIVMSG", ["#label", "hi"]),
        ("AWAY :gone", "306", ["alice", ANY]),
        ("TOPIC #label :new", "TOPIC", ["#label", "new"]),
        ("NICK alicia", "NICK", ["alicia"]),
        ("PART #label", "PART", ["#label"]),
        ("CAP LIST", "CAP", ["alice", "LIST", ANY]),
        ("MONITOR C", "ACK", []),
        (b"PRIVMSG bob :hi\xaa", "FAIL", ["PRIVMSG", "INVALID_UTF8", ANY]),
    ],
)
def test_an_answer_of_one_line_has_the_label_and_no_other_tag(
    come: Town, line: str | bytes, verb: str, params: list[Any]
) -> None:
    alice = come("alice", "echo-message", "batch", "labeled-response", join="#label")
    bob = come("bob", "echo-message", "batch", "labeled-response", join="#label")
    data = line.encode() if isinstance(line, str) else line
    messages = alice.ask(b"@label=l1 " + data)
    assert only(messages, verb, *params).tags == {"label": "l1"}
    assert all(message.tags == {} for message in bob.sync())


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("JOIN #new", {"JOIN", "353", "366"}),
        ("WHOIS bob", {"311", "318"}),
        ("WHO #label", {"352", "315"}),
        ("NAMES #label", {"353", "366"}),
        ("MONITOR + bob,nobody", {"730", "731"}),
        ("MODE #label", {"324", "329"}),
    ],
)
def test_an_answer_of_several_lines_is_a_batch(come: Town, line: str, among: set[str]) -> None:
    alice = come("alice", "batch", "labeled-response", join="#label")
    come("bob", join="#label")
    alice.sync()
    messages = alice.ask(f"@label=l2 {line}")
    assert messages[0].tags == {"label": "l2"}
    assert set(verbs(batch(messages, "labeled-response"))) >= among
    assert not any("label" in message.tags for message in messages[1:])


def test_an_answer_in_which_something_is_not_shown_is_whole(come: Town) -> None:
    """A renamed channel is told as a PART and a JOIN to who does not know the message for it."""
    alice = come("alice", "batch", "labeled-response", join="#label")
    messages = alice.ask("@label=l3 RENAME #label #other")
    assert verbs(batch(messages, "labeled-response"))[:2] == ["PART", "JOIN"]


def test_the_last_answer_is_given_before_the_end(come: Town) -> None:
    alice = come("alice", "batch", "labeled-response", join="#label")
    alice.say("PRIVMSG #label :hi", "@label=q QUIT :bye")
    last = alice.rest()[-1]
    assert last.verb == "ERROR" and last.tags == {"label": "q"} and "bye" in last.params[0]


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE", "TAGMSG"])
def test_to_oneself_the_echo_alone_is_labelled(come: Town, verb: str) -> None:
    alice = come("alice", *CORE)
    messages = alice.ask(f"@label=me {verb} alice" + (" :hi" if verb != "TAGMSG" else ""))
    assert verbs(messages) == [verb, verb]
    assert sorted(message.tags.get("label", "") for message in messages) == ["", "me"]


@pytest.mark.parametrize(("text", "answer"), [("s/hi/ho/", "* ho"), ("s/tea/cake/", "s/tea/cake/")])
def test_a_labelled_correction_of_the_last_message_has_its_answer(come: Town, text: str, answer: str) -> None:
    alice = come("alice", *CORE, join="#label")
    alice.ask("PRIVMSG #label :hi")
    assert only(alice.ask(f"@label=x PRIVMSG #label :{text}"), "PRIVMSG", "#label", answer).tags["label"] == "x"


@pytest.mark.parametrize("verb", ["PRIVMSG bob :hi", "NOTICE #label :hi"])
def test_without_an_echo_a_labelled_message_is_acknowledged(come: Town, verb: str) -> None:
    alice = come("alice", "batch", "labeled-response", join="#label")
    bob = come("bob", join="#label")
    alice.sync()
    assert only(alice.ask(f"@label=x {verb}"), "ACK").tags == {"label": "x"}
    assert len(bob.sync()) == 1


def test_echoes_to_several_are_a_batch(come: Town) -> None:
    alice = come("alice", "echo-message", "batch", "labeled-response")
    targets = dict(item.partition(":")[::2] for item in alice.support.get("TARGMAX", "").split(",") if item)
    if int(targets.get("PRIVMSG", "1") or 4) < 3:
        pytest.skip("one target at a time")
    others = [come(nick) for nick in ("bob", "carl", "dora")]
    inside = batch(alice.ask("@label=many PRIVMSG bob,carl,dora :hi"), "labeled-response")
    assert [message.params[0] for message in inside] == ["bob", "carl", "dora"]
    assert all(only(other.sync(), "PRIVMSG", ANY, "hi").tags == {} for other in others)


@pytest.mark.parametrize("label", ["a", "x" * 64, "é\U0001f603", r"a\:b"])
def test_a_label_comes_back_as_it_was(come: Town, label: str) -> None:
    alice = come("alice", "batch", "labeled-response")
    alice.say(f"@label={label} PING t")
    assert alice.line().startswith(f"@label={label} ".encode())


def test_a_label_means_nothing_without_the_capability(come: Town) -> None:
    assert only(come("alice", "message-tags").ask("@label=x PING t"), "PONG", ANY, "t").tags == {}


# --- who is in a channel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("caps", "prefix"), [((), "@"), (("multi-prefix",), "@+")])
def test_all_prefixes_for_those_who_want_them(come: Town, caps: tuple[str, ...], prefix: str) -> None:
    alice = come("alice", *caps, join="#chan")
    alice.ask("MODE #chan +v alice")
    assert the(alice.ask("NAMES #chan"), "353", "alice", "=", "#chan").params[3].split() == [f"{prefix}alice"]
    flags = the(alice.ask("WHO #chan"), "352", "alice", "#chan").params[6]
    assert flags.startswith(f"H{prefix}") and ("+" in flags) == ("+" in prefix)


def test_names_with_addresses(come: Town) -> None:
    come("alice", join="#chan")
    bob = come("bob", "userhost-in-names", "multi-prefix", join="#chan")
    names = the(bob.ask("NAMES #chan"), "353", "bob", "=", "#chan").params[3].split()
    assert all(re.fullmatch(r"[@+]*\w+!\S+@\S+", name) for name in names)
    assert {name.partition("!")[0] for name in names} == {"@alice", "bob"}


def test_who_joins_is_told_with_account_and_name(come: Town) -> None:
    alice, bob = come("alice", "extended-join", join="#chan"), come("bob", join="#chan")
    alice.sync()
    carol = come("carol", "extended-join")
    the(carol.join("#chan"), "JOIN", "#chan", "*", "carol Real")
    only(alice.sync(), "JOIN", "#chan", "*", "carol Real")
    only(bob.sync(), "JOIN", "#chan")


@pytest.mark.parametrize("cap", ["no-implicit-names", "draft/no-implicit-names"])
def test_names_only_when_asked(come: Town, cap: str) -> None:
    alice = come("alice", cap)
    assert not told(alice.join("#chan"), "353", "366")
    assert verbs(alice.ask("NAMES #chan")) == ["353", "366"]


# --- away, invitations, names ---------------------------------------------------------------------------------------


def test_away_is_told_to_those_who_share_a_channel(come: Town) -> None:
    watcher, plain = come("watcher", "away-notify", join="#chan"), come("plain", join="#chan")
    stranger = come("stranger", "away-notify")
    bob = come("bob", "away-notify", join="#chan")
    for person in (watcher, bob):
        person.join("#second")
    for person in (watcher, plain, bob):
        person.sync()
    for line, answer, params in [
        ("AWAY :I'm going away", "306", ["I'm going away"]),
        ("AWAY :further", "306", ["further"]),
        ("AWAY", "305", []),
        ("AWAY :again", "306", ["again"]),
        ("AWAY :", "305", []),
    ]:
        only(bob.ask(line), answer, "bob", ANY)
        assert only(watcher.sync(), "AWAY", *params).source.startswith("bob!")
    assert plain.sync() == stranger.sync() == []


def test_who_joins_while_away(come: Town) -> None:
    watcher, plain = come("watcher", "away-notify", join="#chan"), come("plain", join="#chan")
    watcher.sync()
    bob = come("bob")
    bob.ask("AWAY :already away")
    bob.join("#chan")
    joined, away = watcher.sync()
    assert fits(joined, "JOIN", "#chan") and fits(away, "AWAY", "already away") and away.nick == "bob"
    only(plain.sync(), "JOIN", "#chan")


@pytest.mark.parametrize("text", ["", ":gone to lunch", "*"])
def test_away_before_the_welcome(come: Town, text: str) -> None:
    bob = come()
    bob.ask("CAP REQ :draft/pre-away")
    the(bob.ask(f"AWAY {text}".strip()), "306" if text else "305")
    bob.ask("NICK bob")
    bob.ask("USER bob 0 * :Bob")
    assert "001" in verbs(bob.ask("CAP END"))
    assert len(told(come("alice").ask("WHOIS bob"), "301")) == bool(text)


def test_away_before_the_welcome_needs_the_capability(come: Town) -> None:
    the(come().ask("CAP LIST", "AWAY :gone"), "451")


def test_an_invitation_is_told(come: Town) -> None:
    alice = come("alice", "invite-notify", join="#chan")
    insider = come("insider", "invite-notify", join="#chan")
    plain = come("plain", join="#chan")
    alice.ask("MODE #chan +o insider")
    for person in (insider, plain):
        person.sync()
    bob, other = come("bob"), come("other", "invite-notify")
    the(alice.ask("INVITE bob #chan"), "341", "alice", "bob", "#chan")
    for person in (insider, bob):
        assert only(person.sync(), "INVITE", "bob", "#chan").nick == "alice"
    assert plain.sync() == other.sync() == []


def test_a_new_real_name(come: Town) -> None:
    alice = come("alice", "setname", join="#chan")
    friend, plain = come("friend", "setname", join="#chan"), come("plain", join="#chan")
    for person in (alice, friend):
        person.join("#second")
    for person in (alice, friend, plain):
        person.sync()
    stranger = come("stranger", "setname")
    for person_messages in (alice.ask("SETNAME :Bruce Wayne"), friend.sync()):
        assert only(person_messages, "SETNAME", "Bruce Wayne").source.startswith("alice!")
    assert plain.sync() == stranger.sync() == []
    assert the(stranger.ask("WHOIS alice"), "311").params[-1] == "Bruce Wayne"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("SETNAME", ["461", "alice", "SETNAME", ANY]),
        ("SETNAME :", ["FAIL", "SETNAME", "INVALID_REALNAME", ANY]),
        ("SETNAME :" + "x" * 480, ["FAIL", "SETNAME", "INVALID_REALNAME", ANY]),
    ],
)
def test_real_names_that_are_none(come: Town, line: str, answer: list[Any]) -> None:
    only(come("alice", "setname").ask(line), *answer)


# --- monitoring -----------------------------------------------------------------------------------------------------


def targets(message: Message) -> set[str]:
    return {target.partition("!")[0] for target in message.params[1].split(",")}


def test_who_comes_and_goes_is_told_to_who_monitors(come: Town) -> None:
    alice = come("alice")
    assert targets(the(alice.ask("MONITOR + bob,nobody"), "731")) == {"bob", "nobody"}
    bob = come("bob")
    assert targets(the(alice.sync(), "730")) == {"bob"}
    status = alice.ask("MONITOR S")
    assert targets(the(status, "730")) == {"bob"} and targets(the(status, "731")) == {"nobody"} and len(status) == 2
    bob.ask("NICK BOB")
    assert alice.sync() == []
    bob.ask("NICK bobby")
    assert targets(the(alice.sync(), "731")) == {"BOB"}
    bob.ask("NICK bob")
    assert targets(the(alice.sync(), "730")) == {"bob"}
    bob.say("QUIT :bye")
    assert targets(alice.awaits("731")) == {"bob"}


def test_the_list_of_the_monitored(come: Town) -> None:
    alice = come("alice")

    def on_the_list() -> set[str]:
        *lists, end = alice.ask("MONITOR L")
        assert fits(end, "733", "alice") and all(fits(message, "732", "alice") for message in lists)
        return set().union(*map(targets, lists))

    come("bob")
    for line, lists in [
        ("MONITOR - nobody", set()),
        ("MONITOR + bob", {"bob"}),
        ("MONITOR + x,y,bob", {"bob", "x", "y"}),
        ("monitor - X", {"bob", "y"}),
        ("MONITOR c", set()),
    ]:
        said = alice.ask(line)
        assert (said == []) == (" + " not in line)
        assert on_the_list() == lists


def test_who_is_no_longer_monitored(come: Town) -> None:
    alice, carol = come("alice"), come("carol")
    for person in (alice, carol):
        person.ask("MONITOR + bob")
    alice.ask("MONITOR - bob")
    bob = come("bob")
    the(carol.sync(), "730")
    bob.say("QUIT")
    carol.awaits("731")
    assert alice.sync() == []


def test_masks_are_not_monitored(come: Town) -> None:
    alice = come("alice")
    assert set(verbs(alice.ask("MONITOR + *!user@127.0.0.1"))) <= {"731"}
    come("bob")
    assert alice.sync() == []


def test_the_list_is_full_some_time(come: Town) -> None:
    alice = come("alice")
    limit = int(alice.support["MONITOR"])
    for start in range(0, limit, 10):
        alice.ask("MONITOR + " + ",".join(f"m{number}" for number in range(start, min(start + 10, limit))))
    full = the(alice.ask("MONITOR + onetoomany"), "734", "alice", str(limit), "onetoomany")
    assert len(full.params) == 4


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("cap", "line", "event"),
    [
        ("away-notify", "AWAY :afk", ["AWAY", "afk"]),
        ("setname", "SETNAME :new name", ["SETNAME", "new name"]),
        ("", "AWAY :afk", []),
        ("", "SETNAME :new name", []),
    ],
)
def test_more_is_told_to_who_monitors(come: Town, early: bool, cap: str, line: str, event: list[str]) -> None:
    watcher = come("watcher", "extended-monitor", *([cap] if cap else []))
    if early:
        watcher.ask("MONITOR + bob")
    bob = come("bob", "away-notify", "setname")
    if not early:
        watcher.say("MONITOR + bob")
    only(watcher.sync(), "730", ANY, re.compile("bob(!.*)?"))
    bob.ask(line)
    messages = watcher.sync()
    assert [[message.verb, *message.params] for message in messages] == ([event] if event else [])


def test_who_monitors_and_shares_a_channel_is_told_once(come: Town) -> None:
    watcher = come("watcher", "extended-monitor", "away-notify", join="#chan")
    bob = come("bob", join="#chan")
    watcher.ask("MONITOR + bob")
    bob.ask("AWAY :afk")
    only(watcher.sync(), "AWAY", "afk")


# --- questions about people -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", ["tcuihsnfdlaor", "roaldfnshiuct", "tcuihsnfdlaor"[::2] + "cishflo"])
def test_the_fields_of_an_answer_have_one_order(come: Town, fields: str) -> None:
    alice, bob = come("alice", join="#chan"), come("bob", join="#chan")
    alice.sync()
    answer, end = bob.ask(f"WHO alice %{fields},123")
    assert fits(end, "315", "bob", "alice")
    text = [
        r"123",
        r"#chan|\*",
        r"~?alice",
        r"\S+",
        r"\S+",
        r"\S+",
        "alice",
        "H@?",
        r"\d+",
        r"\d+",
        "0",
        r"\S+",
        "alice Real",
    ]
    assert fits(answer, "354", "bob", *map(re.compile, text)) and len(answer.params) == 14, answer


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("WHO alice %tn,321", [["321", "alice"]]),
        ("WHO ALICE %nt,321", [["321", "alice"]]),
        ("WHO alice %na", [["alice", "0"]]),
        ("WHO alice %nq", [["alice"]]),
        ("WHO alice %r", [["alice Real"]]),
        ("WHO #chan %cnf", [["#chan", "alice", "H@"], ["#chan", "bob", "G"]]),
        ("WHO nobody %n", []),
    ],
)
def test_questions_for_single_fields(come: Town, question: str, answers: list[list[str]]) -> None:
    come("alice", join="#chan")
    bob = come("bob", join="#chan")
    bob.ask("AWAY :gone")
    *answer, end = bob.ask(question)
    assert sorted(list(message.params[1:]) for message in answer) == answers and set(verbs(answer)) <= {"354"}
    assert fits(end, "315", "bob", question.split()[1])


def test_a_bot_says_that_it_is_one(come: Town) -> None:
    robot, person = come("robot", join="#chan"), come("person", "message-tags", join="#chan")
    plain = come("plain", join="#chan")
    person.sync()
    char = robot.support["BOT"]
    only(robot.ask(f"MODE robot +{char}"), "MODE", "robot", re.compile(rf"\+?{char}"))
    the(person.ask("WHOIS robot"), "335", "person", "robot")
    assert not told(person.ask("WHOIS plain"), "335")
    flags = {message.params[5]: message.params[6] for message in told(person.ask("WHO #chan"), "352")}
    assert char in flags["robot"] and char not in flags["plain"]
    for target in ("person", "#chan"):
        robot.ask(f"PRIVMSG {target} :beep boop")
        assert re.search(rb"^@([^ ]*;)?(draft/)?bot[; ]", line := person.line()), line
    assert plain.awaits("PRIVMSG").tags == {}
    the(robot.ask(f"MODE robot -{char}"), "MODE", "robot")
    robot.ask("PRIVMSG person :no more")
    assert not {"bot", "draft/bot"} & set(person.awaits("PRIVMSG", "person").tags)


# --- UTF-8 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"PRIVMSG #chan :hi\xaa", "PRIVMSG"),
        (b"PRIVMSG bob :\xc3", "PRIVMSG"),
        (b"NOTICE bob :\xff", "NOTICE"),
        (b"TOPIC #chan :\xc0\xaf", "TOPIC"),
        (b"\xfe\xff hello", r"\*"),
    ],
)
def test_what_is_not_utf8_is_refused(come: Town, line: bytes, command: str) -> None:
    alice, bob = come("alice", join="#chan"), come("bob", join="#chan")
    alice.sync()
    only(alice.ask(line), "FAIL", re.compile(command), "INVALID_UTF8", ANY)
    assert bob.sync() == []
    assert alice.ask("PRIVMSG bob :still here") == []


@pytest.mark.parametrize("line", [b"USER x 0 * :i\xe8rc\xe9", "USER \U0001f60a\U0001f60a 0 * :x".encode()])
def test_a_registration_that_is_not_utf8_breaks_nothing(come: Town, line: bytes) -> None:
    bob = come()
    bob.say("NICK bob")
    assert set(verbs(bob.ask(line))) & {"FAIL", "468", "001"}
    assert told(come("alice").ask("WHOIS bob"), "318")


@pytest.mark.parametrize("size", range(380, 512, 3))
def test_nothing_is_cut_within_a_character(come: Town, size: int) -> None:
    alice, bob = come("alice"), come("bob")
    text = "a" * (size - len("PRIVMSG bob :") - 6) + "\U0001f603"
    assert not alice.ask(f"PRIVMSG bob :{text}")
    assert "".join(message.params[1] for message in bob.sync()) == text  # which was decoded strictly


# --- metadata -------------------------------------------------------------------------------------------------------


class Metadata:
    """What differs between the two generations."""

    def __init__(self, come: Town, cap: str) -> None:
        names, _ = listed(come(), "CAP LS 302")
        # The older one is granted, and not listed: it has the same limits.
        self.come, self.cap, self.tokens = come, cap, (names.get(cap) or names[METADATA[1]]).split(",")

    def person(self, nick: str, join: str = "") -> Capable:
        return self.come(nick, self.cap, "batch", join=join)

    def told(self, messages: list[Message]) -> list[list[str]]:
        """Return what notifications among these say: target, key, and the value if there is one."""
        if self.cap.endswith("2"):
            found = [message.params for message in told(messages, "METADATA")]
        else:
            found = [message.params[1:] for message in told(messages, "761", "766")]
        return [[*params[:2], *params[3:]] for params in found]


@pytest.fixture(params=METADATA)
def meta(come: Town, request: pytest.FixtureRequest) -> Metadata:
    return Metadata(come, request.param)


ME = re.compile(r"foo|\*")


def test_metadata_of_oneself(meta: Metadata) -> None:
    foo = meta.person("foo")
    assert batch(foo.ask("METADATA * LIST"), "metadata") == []
    inside = batch(foo.ask("METADATA * GET display-name avatar"), "metadata")
    assert [message.params[:3] for message in inside] == [("foo", "foo", "display-name"), ("foo", "foo", "avatar")]
    assert set(verbs(inside)) == {"766"}
    for setting, asking, value in [("*", "foo", "One"), ("foo", "*", "Two words"), ("*", "*", "->\U0001f49c<-")]:
        only(foo.ask(f"METADATA {setting} SET display-name :{value}"), "761", "foo", ME, "display-name", ANY, value)
        inside = batch(foo.ask(f"METADATA {asking} GET display-name"), "metadata")
        only(inside, "761", "foo", ME, "display-name", ANY, value)
    only(batch(foo.ask("METADATA * LIST"), "metadata"), "761", "foo", ME, "display-name", ANY, "->\U0001f49c<-")
    only(foo.ask("METADATA * SET display-name"), "766", "foo", ME, "display-name", ANY)
    only(batch(foo.ask("METADATA * GET display-name"), "metadata"), "766", "foo", ME, "display-name", ANY)
    foo.ask("METADATA * SET avatar :x")
    the(batch(foo.ask("METADATA * CLEAR"), "metadata"), "766", "foo", ME, "avatar")
    assert batch(foo.ask("METADATA * LIST"), "metadata") == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("METADATA nobody LIST", ["INVALID_TARGET", "nobody"]),
        ("METADATA #nowhere LIST", ["INVALID_TARGET", "#nowhere"]),
        ("METADATA bar SET display-name :Not Me", ["KEY_NO_PERMISSION", "bar", "display-name"]),
        ("METADATA #chan SET display-name :Not Mine", ["KEY_NO_PERMISSION", "#chan", "display-name"]),
        ("METADATA #chan CLEAR", ["KEY_NO_PERMISSION", "#chan", "*"]),
        ("METADATA * SET $key$ :x", [re.compile("INVALID_KEY|KEY_INVALID"), "$key$"]),
        ("METADATA * SNEEZE", [re.compile("INVALID_PARAMS|SUBCOMMAND_INVALID"), "SNEEZE"]),
    ],
)
def test_metadata_refused(meta: Metadata, line: str, answer: list[Any]) -> None:
    bar = meta.person("bar", "#chan")
    foo = meta.person("foo", "#chan")
    bar.sync()
    only(foo.ask(line), "FAIL", "METADATA", *answer, ANY)
    assert bar.sync() == []


@pytest.mark.parametrize("value", [b"invalid \xc3", b"abcd" * 120, "\U0001f49c".encode() * 120])
def test_metadata_values_that_are_none(meta: Metadata, value: bytes) -> None:
    foo, bar = meta.person("foo", "#chan"), meta.person("bar", "#chan")
    foo.sync()
    bar.ask("METADATA * SUB display-name")
    answer = the(foo.ask(b"METADATA * SET display-name :" + value), "FAIL", "METADATA")
    code = answer.params[1]
    assert code in ("INVALID_UTF8", "VALUE_INVALID" if meta.cap.endswith("2") else "INVALID_VALUE")
    assert len(answer.params) == (4 if code == "INVALID_VALUE" else 3)
    assert bar.sync() == []


@pytest.mark.parametrize("target", ["foo", "#chan"])
def test_metadata_is_told_to_subscribers(meta: Metadata, target: str) -> None:
    foo, bar, plain = meta.person("foo", "#chan"), meta.person("bar", "#chan"), meta.person("plain", "#chan")
    stranger = meta.person("stranger")
    for person in (bar, stranger):
        answer = person.ask("METADATA * SUB avatar display-name")
        assert told(answer, "770")[0].params[1:] == ("avatar", "display-name")
        assert set(verbs(answer)) <= {"770", "774"}
    for person in (foo, bar, plain):
        person.sync()
    foo.ask(f"METADATA {target} SET unasked :x")
    for value in ("The First", "The Second", ""):
        answer = foo.ask(f"METADATA {target} SET display-name :{value}")
        only(answer, "761" if value else "766", "foo", target, "display-name", *([ANY, value] if value else [ANY]))
        (notice,) = meta.told(bar.sync())
        assert notice == [target, "display-name", *([value] if value else [])]
    assert meta.told(stranger.sync()) == meta.told(plain.sync()) == []
    only(bar.ask("METADATA * UNSUB display-name"), "771", "bar", "display-name")
    foo.ask(f"METADATA {target} SET display-name :The Third")
    assert meta.told(bar.sync()) == []
    inside = batch(bar.ask(f"METADATA {target} GET display-name"), "metadata")
    only(inside, "761", "bar", target, "display-name", ANY, "The Third")


@pytest.mark.parametrize("target", ["foo", "#chan"])
def test_metadata_comes_with_a_channel(meta: Metadata, target: str) -> None:
    foo, bar = meta.person("foo", "#chan"), meta.person("bar")
    bar.ask("METADATA * SUB display-name avatar")
    foo.ask(f"METADATA {target} SET display-name :The First")
    assert bar.sync() == []
    assert meta.told(bar.join("#chan")) == [[target, "display-name", "The First"]]
    assert meta.told(bar.ask("METADATA #chan SYNC")) == [[target, "display-name", "The First"]]


def test_subscriptions(meta: Metadata) -> None:
    foo = meta.person("foo")

    def subscribed() -> list[str]:
        return sorted(key for message in told(foo.ask("METADATA * SUBS"), "772") for key in message.params[1:])

    for line, keys in [
        ("SUB b a", ["a", "b"]),
        ("SUB b c", ["a", "b", "c"]),
        ("UNSUB a z", ["b", "c"]),
        ("UNSUB b c", []),
    ]:
        foo.ask(f"METADATA * {line}")
        assert subscribed() == keys
    foo.ask("METADATA * SUB a")
    foo.ask("CAP REQ :-batch")
    foo.ask("CAP REQ :batch")
    assert subscribed() == []


def test_metadata_before_the_welcome(meta: Metadata) -> None:
    if "before-connect" not in meta.tokens:
        pytest.skip("not before the welcome")
    foo = meta.come()
    foo.ask(f"CAP REQ :{meta.cap} batch")
    only(foo.ask("METADATA * SET display-name :Early"), "761", ME, ME, "display-name", ANY, "Early")
    foo.ask("NICK foo")
    foo.ask("USER foo 0 * :Foo")
    burst = foo.ask("CAP END")
    starts = [number for number, message in enumerate(burst) if fits(message, "BATCH", ANY, "metadata", "foo")]
    ends = [number for number, message in enumerate(burst) if message.verb in ("376", "422")]
    assert starts and ends and starts[0] < ends[0]
    assert ["foo", "display-name", "Early"] in meta.told(burst)


def test_metadata_before_the_welcome_is_told_to_a_subscriber_after_it(meta: Metadata) -> None:
    if "before-connect" not in meta.tokens:
        pytest.skip("not before the welcome")
    watcher = meta.person("watcher")
    watcher.ask("METADATA * SUB display-name", "MONITOR + foo")
    foo = meta.come()
    foo.ask(f"CAP REQ :{meta.cap} batch")
    only(foo.ask("METADATA * SET display-name :Early"), "761", ME, ME, "display-name", ANY, "Early")
    foo.ask("NICK foo", "USER foo 0 * :Foo", "CAP END")
    assert meta.told(watcher.sync()) == [["foo", "display-name", "Early"]]


def test_metadata_without_the_capability_is_no_command(come: Town) -> None:
    only(come("foo").ask("METADATA * LIST"), "421", "foo", "METADATA", ANY)
    the(come().ask("CAP LIST", "METADATA * LIST"), "451", "*", ANY)


def test_limits_of_metadata(meta: Metadata) -> None:
    limits = dict(token.partition("=")[::2] for token in meta.tokens)
    foo = meta.person("foo")
    second = meta.cap.endswith("2")
    for number in range(int(limits["max-keys"])):
        foo.ask(f"METADATA * SET key{number} :x")
    codes = ["LIMIT_REACHED", "foo"] if second else ["LIMIT_REACHED", "SET", "foo", limits["max-keys"]]
    only(foo.ask("METADATA * SET one-more :x"), "FAIL", "METADATA", *codes, ANY)
    only(foo.ask("METADATA * SET key1 :y"), "761", "foo", ME, "key1", ANY, "y")
    for start in range(0, int(limits["max-subs"]), 10):
        foo.ask("METADATA * SUB " + " ".join(f"key{number}" for number in range(start, start + 10)))
    answer = foo.ask("METADATA * SUB key1 one-more another")
    the(answer, "770", "foo", "key1")
    codes = ["TOO_MANY_SUBS", "one-more"] if second else ["LIMIT_REACHED", "SUB", "one-more", limits["max-subs"]]
    only(told(answer, "FAIL"), "FAIL", "METADATA", *codes, ANY)


def test_metadata_of_who_comes_or_is_watched_for(meta: Metadata) -> None:
    foo, bar, watcher = meta.person("foo"), meta.person("bar", "#chan"), meta.person("watcher")
    foo.ask("METADATA * SET display-name :The First")
    for person in (bar, watcher):
        person.ask("METADATA * SUB display-name")
    assert meta.told(watcher.ask("MONITOR + foo")) == [["foo", "display-name", "The First"]]
    foo.join("#chan")
    assert meta.told(bar.sync()) == [["foo", "display-name", "The First"]]
    foo.ask("METADATA * SET display-name :The Second")
    assert meta.told(bar.sync()) == meta.told(watcher.sync()) == [["foo", "display-name", "The Second"]]
    the(bar.ask("WHOIS foo"), "760", "bar", "foo", "display-name", ANY, "The Second")
    foo.leave()
    again = meta.person("foo")  # nothing is left of who had the nick before
    assert batch(again.ask("METADATA * LIST"), "metadata") == []


def test_metadata_of_a_channel_belongs_to_who_is_there(meta: Metadata) -> None:
    foo, bar = meta.person("foo", "#chan"), meta.person("bar")
    foo.ask("METADATA #chan SET url :secret")
    only(bar.ask("METADATA #chan SET url :x"), "FAIL", "METADATA", "KEY_NO_PERMISSION", "#chan", "url", ANY)
    the(batch(bar.ask("METADATA #chan GET url"), "metadata"), "761", "bar", "#chan", "url", ANY, "secret")
    for mode in ("+i", "-i+s", "-s+k key"):
        foo.ask(f"MODE #chan {mode}")
        for question in ("GET url", "LIST", "SYNC"):
            line = f"METADATA #chan {question}"
            only(bar.ask(line), "FAIL", "METADATA", "INVALID_TARGET", "#chan", ANY)
    foo.ask("RENAME #chan #moved")
    the(batch(foo.ask("METADATA #moved LIST"), "metadata"), "761", "foo", "#moved", "url", ANY, "secret")


@pytest.mark.parametrize("word", [":", "::", ":two words", ":#no where"])
def test_metadata_that_is_odd_breaks_no_line(meta: Metadata, word: str) -> None:
    foo = meta.person("foo")
    the(foo.ask(f"METADATA * SET {word}"), "FAIL", "METADATA")
    the(foo.ask(f"METADATA * {word}"), "FAIL", "METADATA", ANY, "*", ANY)
    answer = the(foo.ask(f"METADATA * SUB display-name {word}"), "FAIL" if meta.cap.endswith("2") else "WARN")
    assert answer.params[2] == "*"


def test_metadata_answers_have_a_label(meta: Metadata) -> None:
    foo = meta.come("foo", meta.cap, "batch", "labeled-response")
    foo.ask("METADATA * SET display-name :One")
    for line in ("LIST", "GET display-name", "SET display-name :Two", "SUB a b", "CLEAR"):
        answer = foo.ask(f"@label=here METADATA * {line}")
        assert [message.tags.get("label") for message in answer] == ["here", *[None] * (len(answer) - 1)]
