"""What IRC people read again, mark as read, take back, say in several lines, and call by another name.

Rows are (what is sent, what must come). In requests for history `@4` is the message that was said as number 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from in_thread import InThread

from irc_caps import HISTORY, Said, Town, read, same, say, town
from irc_messages import ANY, CORE, batch, fits, only, the, told, verbs

EVENTS = (*HISTORY, "draft/event-playback")
LINES = (*CORE, "draft/multiline")
REDACT = (*CORE, "draft/message-redaction")
LONG_AGO, NEVER = "timestamp=2020-01-01T00:00:00.000Z", "timestamp=2262-01-01T00:00:00.000Z"


@pytest.fixture
def come(serve: Callable[..., InThread]) -> Iterator[Town]:
    people = town(serve)
    yield people
    people.close()


# --- reading again --------------------------------------------------------------------------------------------------

REQUESTS = [
    ("LATEST #log * 20", range(10)),
    ("LATEST #log * 5", range(5, 10)),
    ("LATEST #log * 1", range(9, 10)),
    ("LATEST #log @4 20", range(5, 10)),
    ("LATEST #log @4 2", range(8, 10)),
    ("LATEST #log @9 20", range(0)),
    ("BEFORE #log @6 20", range(6)),
    ("BEFORE #log @6 2", range(4, 6)),
    ("BEFORE #log @0 5", range(0)),
    ("AFTER #log @3 20", range(4, 10)),
    ("AFTER #log @3 3", range(4, 7)),
    ("AFTER #log @9 5", range(0)),
    ("AROUND #log @7 1", range(7, 8)),
    ("AROUND #log @7 3", range(6, 9)),
    ("BETWEEN #log @0 @9 20", range(1, 9)),
    ("BETWEEN #log @9 @0 20", range(1, 9)),
    ("BETWEEN #log @0 @9 3", range(1, 4)),
    ("BETWEEN #log @9 @0 3", range(6, 9)),
    ("BETWEEN #log @4 @5 5", range(0)),
    ("latest #log * 3", range(7, 10)),
]


@pytest.mark.parametrize("kind", ["msgid", "timestamp"])
def test_history_of_a_channel(come: Town, kind: str) -> None:
    alice = come("alice", *HISTORY, join="#log")
    bob = come("bob", *HISTORY, join="#log")
    said = [say(alice, f"PRIVMSG #log :number {number}") for number in range(10)]
    assert same(bob.sync()) == same(said)
    for request, numbers in REQUESTS:
        expected = [said[number] for number in numbers]
        for person in (alice, bob):
            assert same(read(person, request, said, kind)) == same(expected), request


def test_search(come: Town) -> None:
    alice = come("alice", *HISTORY, "soju.im/search", join="#log")
    bob = come("bob", *HISTORY, join="#log")
    said = [say((alice, bob)[number % 2], f"PRIVMSG #log :tea {number}") for number in range(6)]
    alice.sync()
    at = [message.tags["time"] for message in said]
    for request, numbers in (
        ("text=tea", range(6)),
        ("text=tea\\s4;in=#log", [4]),
        ("in=#LOG", range(6)),
        ("in=#log;limit=2", [4, 5]),
        ("from=BOB", [1, 3, 5]),
        (f"from=bob;after={at[3]}", [3, 5]),
        (f"before={at[3]};text=te*", range(4)),
        (f"after={at[1]};before={at[2]}", [1, 2]),
        ("text=cake", []),
    ):
        found = batch(alice.ask(f"SEARCH :{request}"), "soju.im/search")
        assert same(found) == same([said[number] for number in numbers]), request
    for request in ("after=yesterday;text=tea", "in=#a,b", "in=nobody", "limit=0", "text=" + "a\\s" * 40):
        (answer,) = alice.ask(f"SEARCH :{request}")
        assert fits(answer, "FAIL", "SEARCH", "INVALID_PARAMS", ANY, "Invalid parameters"), request


def test_ignored_people_are_not_read(come: Town) -> None:
    alice = come("alice", *HISTORY, "soju.im/search", join="#log")
    bob = come("bob", *HISTORY, join="#log")
    (notice,) = alice.ask("IGNORE Bob")
    assert fits(notice, "NOTICE", "alice", re.compile("You ignore bob now.*"))
    (mine, _) = said = [say(alice, "PRIVMSG #log :mine"), say(bob, "PRIVMSG #log :his")]
    bob.ask("PRIVMSG alice :psst")
    bob.ask("@+draft/react=x;+reply=" + mine.tags["msgid"] + " TAGMSG #log")
    assert alice.sync() == []
    assert same(read(alice, "LATEST #log * 20", said)) == same([mine])
    assert same(batch(alice.ask("SEARCH :in=#log"), "soju.im/search")) == same([mine])
    assert len(read(bob, "LATEST #log * 20", said)) == 2
    only(alice.ask("UNIGNORE bob"), "NOTICE", "alice", ANY)
    assert len(read(alice, "LATEST #log * 20", said)) == 2
    assert alice.ask("UNIGNORE bob")


@pytest.mark.parametrize("kind", ["msgid", "timestamp"])
def test_history_with_events(come: Town, kind: str) -> None:
    alice = come("alice", *EVENTS, join="#log")
    said = [say(alice, f"{verb} #log :number {number}") for number in range(5) for verb in ("TOPIC", "PRIVMSG")]
    for request, numbers in REQUESTS:
        expected = [said[number] for number in numbers]
        found = [message for message in read(alice, request, said, kind) if message.verb in ("TOPIC", "PRIVMSG")]
        assert same(found) == same(expected), request
    bob = come("bob", *HISTORY, join="#log")
    assert same(read(bob, "LATEST #log * 20", said)) == same(said[1::2])


def test_votes_and_corrections_take_no_place_in_history(come: Town) -> None:
    alice = come("alice", *EVENTS, join="#log")
    said = [say(alice, "PRIVMSG #log :first"), say(alice, "PRIVMSG #log :last")]
    alice.ask("POLL #log :tea? | yes | no", "VOTE #log 1", "VOTE #log 2", "VOTE #log 1", "VOTE #log 2")
    assert same(read(alice, "LATEST #log @0 2", said)[:1]) == same(said[1:])
    (poll,) = read(alice, "LATEST #log * 1", said)
    assert poll.params[-1].startswith("alice asks: tea? 1) yes 2) no [yes 0, no 1")


def test_what_is_in_history_and_what_is_not(come: Town) -> None:
    alice = come("alice", *EVENTS, join="#log")
    come("bob", join="#log").ask("PART #log :bye")
    alice.sync()
    said = [
        say(alice, line)
        for line in [
            "PRIVMSG #log :\x01ACTION waves\x01",
            "NOTICE #log :a notice",
            "@+typing=active TAGMSG #log",
            "PRIVMSG #log :  spaces  and :colons ",
        ]
    ]
    events = read(alice, "LATEST #log * 50", said)
    assert same([message for message in events if message.nick == "alice" and message.verb != "JOIN"]) == same(
        [*said[:2], said[3]]
    )
    assert {"JOIN", "PART"} <= {message.verb for message in events if message.nick == "bob"}
    reader = come("reader", *HISTORY, join="#log")
    assert same(read(reader, "LATEST #log * 50", said)) == same([said[0], said[1], said[3]])


def test_bounds_may_be_of_both_kinds(come: Town) -> None:
    alice = come("alice", *HISTORY, join="#log")
    said = [say(alice, f"PRIVMSG #log :number {number}") for number in range(5)]
    ids, times = ([message.tags[tag] for message in said] for tag in ("msgid", "time"))
    found = read(alice, f"BETWEEN #log msgid={ids[0]} timestamp={times[4]} 9", said)
    assert same(found) == same(said[1:4])
    found = read(alice, f"BETWEEN #log {NEVER} msgid={ids[2]} 1", said)
    assert same(found) == same(said[4:])


def test_history_for_those_who_know_less(come: Town) -> None:
    said = [say(come("alice", *HISTORY, join="#log"), "PRIVMSG #log :hi")]
    bare = come("bare", "draft/chathistory", join="#log")
    assert only(bare.ask("CHATHISTORY LATEST #log * 10"), "PRIVMSG", "#log", "hi").tags == {}
    timed = come("timed", "draft/chathistory", "batch", "server-time", join="#log")
    (message,) = batch(timed.ask("CHATHISTORY LATEST #log * 10"), "chathistory", "#log")
    assert message.tags.keys() == {"batch", "time"} and message.tags["time"] == said[0].tags["time"]


def test_a_labelled_request_has_its_label_on_the_batch(come: Town) -> None:
    alice = come("alice", *HISTORY, join="#log")
    messages = alice.ask("@label=h CHATHISTORY LATEST #log * 10")
    assert batch(messages, "chathistory", "#log") == []
    assert [message.tags.get("label") for message in messages] == ["h", None]
    refusal = only(alice.ask("@label=f CHATHISTORY LATEST #nowhere * 10"), "FAIL", "CHATHISTORY", ANY, ANY, ANY, ANY)
    assert refusal.tags["label"] == "f"


def test_nothing_is_read_out_to_who_can_ask(come: Town) -> None:
    say(come("alice", *HISTORY, join="#log"), "PRIVMSG #log :hi")
    assert not told(come("bob", *HISTORY).join("#log"), "PRIVMSG", "BATCH")


def test_more_than_is_given_at_once(come: Town) -> None:
    alice = come("alice", *HISTORY, join="#log")
    said = [say(alice, "PRIVMSG #log :hi")]
    assert same(read(alice, "LATEST #log * 1000000", said)) == same(said)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("LATEST #nowhere * 10", ["INVALID_TARGET", "LATEST", "#nowhere"]),
        ("LATEST #private * 10", ["INVALID_TARGET", "LATEST", "#private"]),
        (f"BEFORE #private {NEVER} 10", ["INVALID_TARGET", "BEFORE", "#private"]),
        ("SNEEZE #log * 10", ["INVALID_PARAMS", "SNEEZE"]),
        ("BEFORE #log timestamp=yesterday 10", ["INVALID_PARAMS", "BEFORE", ANY]),
        ("BEFORE #log * 10", ["INVALID_PARAMS", "BEFORE", ANY]),
        ("LATEST #log * many", ["INVALID_PARAMS", "LATEST", ANY]),
        ("LATEST #log * 0", ["INVALID_PARAMS", "LATEST", ANY]),
        ("LATEST #log * -1", ["INVALID_PARAMS", "LATEST", ANY]),
        ("TARGETS msgid=x msgid=y 10", ["INVALID_PARAMS", "TARGETS", ANY]),
        ("LATEST #log seq=1 10", [re.compile("INVALID_MSGREFTYPE|INVALID_PARAMS"), "LATEST", ANY]),
    ],
)
def test_requests_that_are_refused(come: Town, request_: str, answer: list[Any]) -> None:
    come("owner", join="#private").ask("PRIVMSG #private :secret")
    alice = come("alice", *HISTORY, join="#log")
    (refusal,) = alice.ask(f"CHATHISTORY {request_}")
    assert fits(refusal, "FAIL", "CHATHISTORY", *answer), str(refusal)


@pytest.mark.parametrize("request_", ["", "LATEST", "LATEST #log", "LATEST #log *", "BETWEEN #log * 10"])
def test_requests_that_are_too_short(come: Town, request_: str) -> None:
    alice = come("alice", *HISTORY, join="#log")
    (refusal,) = alice.ask(f"CHATHISTORY {request_}".rstrip())
    short = fits(refusal, "FAIL", "CHATHISTORY", re.compile("INVALID_PARAMS|NEED_MORE_PARAMS"))
    assert short or fits(refusal, "461", "alice", "CHATHISTORY"), str(refusal)


# --- between two ----------------------------------------------------------------------------------------------------


def test_private_messages_are_stored_nowhere(come: Town) -> None:
    """Between guests: the next holder of a name must not read them."""
    alice, bob = come("alice", *HISTORY), come("bob", *HISTORY)
    say(alice, "PRIVMSG bob :one")
    bob.sync()
    for person, peer in [(alice, "bob"), (bob, "alice"), (bob, "ALICE"), (alice, "nobody")]:
        assert read(person, f"LATEST {peer} * 10", []) == []


def test_who_takes_the_nick_of_another_reads_nothing_of_his(come: Town) -> None:
    alice, bob = come("alice", *HISTORY), come("bob", *HISTORY)
    alice.ask("PRIVMSG bob :for your eyes only")
    bob.leave()
    newcomer = come("bob", *HISTORY)
    assert read(newcomer, "LATEST alice * 10", []) == []
    assert batch(newcomer.ask(f"CHATHISTORY TARGETS {LONG_AGO} {NEVER} 10"), "draft/chathistory-targets") == []


def test_where_there_is_something_to_read(come: Town) -> None:
    alice, bob, carol = (come(nick, *HISTORY) for nick in ("alice", "bob", "carol"))
    for person in (alice, bob):
        person.join("#one")
        person.join("#two")
    come("owner", join="#private").ask("PRIVMSG #private :secret")
    alice.sync()
    say(alice, "PRIVMSG #one :earlier")
    times = {
        target: say(alice, f"PRIVMSG {target} :hi").tags["time"] for target in ("#one", "bob", "#two", "carol")
    }  # private ones are not stored

    def found(request: str) -> list[str]:
        inside = batch(alice.ask(f"CHATHISTORY TARGETS {request}"), "draft/chathistory-targets")
        assert all(fits(message, "CHATHISTORY", "TARGETS", ANY, times[message.params[1]]) for message in inside)
        return [message.params[1] for message in inside]

    one, two, last = (f"timestamp={times[target]}" for target in ("#one", "#two", "carol"))
    for request, expected in [
        (f"{LONG_AGO} {NEVER} 10", ["#one", "#two"]),
        (f"{LONG_AGO} {NEVER} 1", ["#one"]),
        (f"{NEVER} {LONG_AGO} 1", ["#two"]),
        (f"{one} {NEVER} 10", ["#two"]),
        (f"{one} {last} 10", ["#two"]),
        (f"{LONG_AGO} {one} 10", []),
        (f"{last} {two} 10", []),
    ]:
        assert found(request) == expected, request
    say(alice, "PRIVMSG #one :later")
    assert found(f"{LONG_AGO} {two} 10") == []
    carol.sync()
    assert batch(carol.ask(f"CHATHISTORY TARGETS {LONG_AGO} {NEVER} 10"), "draft/chathistory-targets") == []


# --- several lines --------------------------------------------------------------------------------------------------

CONCAT = "draft/multiline-concat"


def several(target: str, *lines: str, verb: str = "PRIVMSG", tags: str = "", ref: str = "123") -> list[str]:
    """Return what a client sends; a line that begins with `+` continues the one before it."""
    opening = f"@{tags} " if tags else ""
    inside = [
        f"@batch={ref}{f';{CONCAT}' if line[:1] == '+' else ''} {verb} {target} :{line.removeprefix('+')}"
        for line in lines
    ]
    return [f"{opening}BATCH +{ref} draft/multiline {target}", *inside, f"BATCH -{ref}"]


def spelled(messages: Said) -> list[str]:
    return [("+" if CONCAT in message.tags else "") + message.params[1] for message in messages]


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE"])
@pytest.mark.parametrize("target", ["#chan", "bob"])
@pytest.mark.parametrize(
    ("lines", "plain"),
    [
        (["hello", "#how is ", "+everyone?"], ["hello", "#how is ", "everyone?"]),
        (["", "#how is ", "+everyone?"], ["#how is ", "everyone?"]),
        (["a", "", "b"], ["a", "b"]),
        ([":colon", "\u00e9\U0001f603"], [":colon", "\u00e9\U0001f603"]),
    ],
)
def test_several_lines_are_one_message(come: Town, verb: str, target: str, lines: list[str], plain: list[str]) -> None:
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    poor, bare = come("poor", *CORE, join="#chan"), come("bare", join="#chan")
    echo = alice.ask(*several(target, *lines, verb=verb, tags="label=xyz;+a=1;no=1"))
    copy = bob.sync()
    for messages in (echo, copy):
        inside = batch(messages, "draft/multiline", target)
        assert spelled(inside) == lines
        assert all(each.verb == verb and each.params[0] == target and each.nick == "alice" for each in inside)
        assert all(each.tags.keys() <= {"batch", CONCAT} for each in inside)
        assert messages[0].nick == "alice" and messages[0].tags["+a"] == "1" and "no" not in messages[0].tags
    assert [message.tags.get("label") for message in echo] == ["xyz"] + [None] * (len(echo) - 1)
    assert not any("label" in message.tags for message in copy)
    assert [echo[0].tags[tag] for tag in ("msgid", "time")] == [copy[0].tags[tag] for tag in ("msgid", "time")]
    if target == "bob":
        assert poor.sync() == bare.sync() == []
        return
    for person in (poor, bare):
        messages = person.sync()
        assert [[each.verb, *each.params] for each in messages] == [[verb, target, line] for line in plain]
        assert all(CONCAT not in each.tags and "batch" not in each.tags for each in messages)
        if person is poor:
            assert [each.tags.get("msgid") for each in messages] == [echo[0].tags["msgid"]] + [None] * (len(plain) - 1)
            assert {(each.tags["time"], each.tags["+a"]) for each in messages} == {(echo[0].tags["time"], "1")}


def test_one_line_in_a_batch_is_a_line(come: Town) -> None:
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    (echo,) = alice.ask(*several("#chan", "only one", tags="label=xyz"))
    (copy,) = bob.sync()
    assert echo.tags["label"] == "xyz" and "label" not in copy.tags
    assert echo.params == copy.params == ("#chan", "only one")


def test_several_lines_to_one_who_does_not_know_them(come: Town) -> None:
    alice, poor = come("alice", *LINES), come("poor", *CORE)
    alice.ask(*several("poor", "one", "two"))
    assert spelled(poor.sync()) == ["one", "two"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["BATCH +1 draft/multiline #chan", "@batch=2 PRIVMSG #chan :hi"], ["MULTILINE_INVALID"]),
        (several("#chan", "hi", "+"), ["MULTILINE_INVALID"]),
        (several("#chan", "", ""), ["MULTILINE_INVALID"]),
        (several("#chan"), ["MULTILINE_INVALID"]),
        ([*several("#chan", "hi")[:2], "@batch=123 NOTICE #chan :hi", "BATCH -123"], ["MULTILINE_INVALID"]),
        ([*several("#chan", "hi")[:2], "@batch=123 TOPIC #chan :hi", "BATCH -123"], ["MULTILINE_INVALID"]),
        (
            ["BATCH +1 draft/multiline #chan", "@batch=1 PRIVMSG #else :hi", "BATCH -1"],
            ["MULTILINE_INVALID_TARGET", "#chan", "#else"],
        ),
    ],
)
def test_several_lines_that_are_no_message(come: Town, lines: list[str], code: list[str]) -> None:
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    only(alice.ask(*lines), "FAIL", "BATCH", *code, ANY)
    assert bob.sync() == []


@pytest.mark.parametrize("target", ["nobody", "#nowhere"])
def test_several_lines_to_nobody_are_refused_once(come: Town, target: str) -> None:
    (refusal,) = come("alice", *LINES).ask(*several(target, "one", "two", tags="label=n"))
    assert refusal.verb in ("401", "403", "404") and refusal.tags["label"] == "n"


def test_an_open_batch_holds_back_its_own_answer_alone(come: Town) -> None:
    alice = come("alice", *LINES, join="#chan")
    start, *_, end = several("#chan", "one", tags="label=n")
    assert alice.ask(start) == []
    assert only(alice.ask("@label=o VERSION NONSENSE"), "402", ANY, ANY, ANY).tags["label"] == "o"
    assert "704" in verbs(alice.ask("HELP"))
    refusal = only(alice.ask("@batch=123 TOPIC #chan :hi"), "FAIL", "BATCH", "MULTILINE_INVALID", ANY)
    assert refusal.tags["label"] == "n" and alice.ask(end) == []


def test_after_a_refusal_another_batch_may_begin(come: Town) -> None:
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    only(alice.ask("BATCH +1 draft/multiline #chan", "@batch=2 PRIVMSG #chan :hi"), "FAIL", "BATCH", ANY, ANY)
    echo = alice.ask(*several("#chan", "one", "two", tags="label=n"))
    assert echo[0].tags["label"] == "n"
    assert spelled(batch(bob.sync(), "draft/multiline", "#chan")) == ["one", "two"]


def limits(come: Town) -> dict[str, int]:
    messages = come().ask("CAP LS 302")
    value = re.search(r"draft/multiline=(\S+)", " ".join(message.params[-1] for message in messages))
    assert value
    return {key: int(number) for key, _, number in (word.partition("=") for word in value[1].split(","))}


def test_as_many_lines_as_are_advertised(come: Town) -> None:
    most = limits(come)["max-lines"]
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    batch(alice.ask(*several("#chan", *["hi"] * most)), "draft/multiline")
    assert len(batch(bob.sync(), "draft/multiline", "#chan")) == most
    messages = alice.ask(*several("#chan", *["hi"] * (most + 1)))
    only(messages, "FAIL", "BATCH", "MULTILINE_MAX_LINES", str(most), ANY)
    assert bob.sync() == []
    batch(alice.ask(*several("#chan", "well", "again")), "draft/multiline", "#chan")


def test_as_many_bytes_as_are_advertised(come: Town) -> None:
    most = limits(come)["max-bytes"]
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    lines = ["x" * 399] * ((most + 1) // 400)  # each has a line feed behind it, but for the last
    if left := most - (400 * len(lines) - 1):
        lines.append("x" * (left - 1))
    batch(alice.ask(*several("#chan", *lines)), "draft/multiline")
    assert spelled(batch(bob.sync(), "draft/multiline", "#chan")) == lines
    messages = alice.ask(*several("#chan", *lines, ""))
    only(messages, "FAIL", "BATCH", "MULTILINE_MAX_BYTES", str(most), ANY)
    assert bob.sync() == []


def test_nothing_is_delivered_before_the_end(come: Town) -> None:
    alice, bob = come("alice", *LINES, join="#chan"), come("bob", *LINES, join="#chan")
    *opening, end = several("#chan", "one", "two")
    assert alice.ask(*opening) == bob.sync() == []
    batch(alice.ask(end), "draft/multiline", "#chan")
    assert spelled(batch(bob.sync(), "draft/multiline", "#chan")) == ["one", "two"]


def test_several_lines_in_history(come: Town) -> None:
    alice = come("alice", *LINES, "draft/chathistory", join="#log")
    poor = come("poor", *HISTORY, join="#log")
    before = say(alice, "PRIVMSG #log :before")
    opening = alice.ask(*several("#log", "", "one ", "+more", "two"))[0]
    after = say(alice, "PRIVMSG #log :after")
    poor.sync()
    inside = batch(alice.ask("CHATHISTORY LATEST #log * 2"), "chathistory", "#log")
    start, *lines, end = inside[:-1]
    assert fits(start, "BATCH", ANY, "draft/multiline", "#log") and end.verb == "BATCH"
    assert [start.tags[tag] for tag in ("msgid", "time")] == [opening.tags[tag] for tag in ("msgid", "time")]
    assert spelled(lines) == ["", "one ", "+more", "two"]
    assert not any(tag in message.tags for message in lines for tag in ("msgid", "time"))
    assert same(inside[-1:]) == same([after])
    plain = read(poor, "LATEST #log * 3", [])
    assert [message.params[1] for message in plain] == ["before", "one ", "more", "two", "after"]
    assert [message.tags.get("msgid") for message in plain] == [
        before.tags["msgid"],
        opening.tags["msgid"],
        None,
        None,
        after.tags["msgid"],
    ]
    assert [message.params[1] for message in read(poor, "BEFORE #log @0 1", [opening])] == ["before"]


# --- what has been read ---------------------------------------------------------------------------------------------


def test_a_mark_is_a_time_however_it_is_written(come: Town) -> None:
    alice = come("alice", "draft/read-marker", join="#chan")
    for said, kept in [("26.5", "26.500"), ("26", "26.500"), ("27", "27.000"), ("27.0004", "27.000")]:
        answer = alice.ask(f"MARKREAD #chan timestamp=2019-01-05T14:33:{said}Z")
        only(answer, "MARKREAD", "#chan", f"timestamp=2019-01-05T14:33:{kept}Z")


def test_a_mark_goes_forward_only(come: Town) -> None:
    alice = come("alice", "draft/read-marker", join="#chan")
    come("bob", "draft/read-marker", join="#chan")
    alice.sync()
    for target in ("#chan", "bob", "#nosuchtarget"):
        only(alice.ask(f"MARKREAD {target}"), "MARKREAD", target, "*")
    for target in ("#chan", "bob"):
        for day, expected in [("05", "05"), ("07", "07"), ("06", "07"), ("07", "07"), ("08", "08")]:
            answer = alice.ask(f"MARKREAD {target} timestamp=2019-01-{day}T14:33:26.123Z")
            only(answer, "MARKREAD", target, f"timestamp=2019-01-{expected}T14:33:26.123Z")
        only(alice.ask(f"MARKREAD {target}"), "MARKREAD", target, "timestamp=2019-01-08T14:33:26.123Z")


@pytest.mark.parametrize("target", ["b" * 33, "#" + "r" * 33, "😀" * 60, "b" * 200, "two/parts"])
def test_a_mark_needs_a_target_that_can_be(come: Town, target: str) -> None:
    alice = come("alice", "draft/read-marker")
    for command in (f"MARKREAD {target}", f"MARKREAD {target} timestamp=2019-01-05T14:33:26.123Z"):
        answer = alice.ask(command)
        only(answer, "FAIL", "MARKREAD", "INVALID_PARAMS", "*", "This is no channel and no nick")


def test_a_mark_is_told_when_one_joins(come: Town) -> None:
    alice = come("alice", "draft/read-marker")
    order = verbs(alice.join("#chan"))
    assert order.index("JOIN") < order.index("MARKREAD") < order.index("353") < order.index("366")
    alice.ask("MARKREAD #chan timestamp=2020-03-15T10:00:00.000Z")
    alice.ask("PART #chan")
    the(alice.join("#chan"), "MARKREAD", "#chan", "timestamp=2020-03-15T10:00:00.000Z")
    the(alice.join("#other-chan"), "MARKREAD", "#other-chan", "*")
    assert not told(come("bob").join("#chan"), "MARKREAD")
    the(come("carol", "draft/read-marker", "no-implicit-names").join("#chan"), "MARKREAD", "#chan", "*")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MARKREAD", "NEED_MORE_PARAMS"),
        ("MARKREAD #chan timestamp=not-a-timestamp", "INVALID_PARAMS"),
        ("MARKREAD #chan 2020-03-15T10:00:00.000Z", "INVALID_PARAMS"),
        ("MARKREAD #chan *", "INVALID_PARAMS"),
    ],
)
def test_marks_that_are_none(come: Town, line: str, code: str) -> None:
    alice = come("alice", "draft/read-marker", join="#chan")
    (refusal,) = alice.ask(line)
    assert fits(refusal, "FAIL", "MARKREAD", code), str(refusal)
    only(alice.ask("MARKREAD #chan"), "MARKREAD", "#chan", "*")


# --- taking back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "spam and more"])
@pytest.mark.parametrize("author", ["alice", "bob"])
def test_a_message_is_taken_back(come: Town, author: str, reason: str) -> None:
    alice = come("alice", *REDACT, join="#chan")  # its operator
    bob, poor = come("bob", *REDACT, join="#chan"), come("poor", *CORE, join="#chan")
    id = say({"alice": alice, "bob": bob}[author], "PRIVMSG #chan :oops").tags["msgid"]
    for person in (alice, bob, poor):
        person.sync()
    messages = alice.ask(f"REDACT #chan {id}" + (f" :{reason}" if reason else ""))
    for found in (messages, bob.sync()):
        assert only(found, "REDACT", "#chan", id, *([reason] if reason else [])).source.startswith("alice!")
    assert not told(poor.sync(), "REDACT")
    (refusal,) = alice.ask(f"REDACT #chan {id}")
    assert fits(refusal, "FAIL", "REDACT", "UNKNOWN_MSGID", "#chan", id), str(refusal)


def test_who_may_take_back_what(come: Town) -> None:
    alice, bob, carol = (come(nick, *REDACT) for nick in ("alice", "bob", "carol"))
    for channel, first, second in [("#one", alice, bob), ("#two", bob, alice)]:
        first.join(channel)
        second.join(channel)
    for person in (alice, bob):
        person.sync()
    ids = {
        (nick, target): say(person, f"PRIVMSG {target} :hi").tags["msgid"]
        for nick, person in (("alice", alice), ("bob", bob))
        for target in ("#one", "#two", "carol")
    }
    for person in (alice, bob, carol):
        person.sync()
    forbidden, unknown, invalid = "REDACT_FORBIDDEN", "UNKNOWN_MSGID", "INVALID_TARGET"
    for person, target, id, code in [
        (bob, "#one", ids["alice", "#one"], forbidden),
        (alice, "#two", ids["bob", "#two"], forbidden),
        (alice, "#one", ids["bob", "#two"], unknown),
        (carol, "#one", ids["bob", "#one"], invalid),
        (carol, "alice", ids["alice", "carol"], invalid),
        (alice, "#nowhere", "whatever", invalid),
        (alice, "#one", "nonexistent123", unknown),
    ]:
        (refusal,) = person.ask(f"REDACT {target} {id}")
        context = [target] if code == invalid else [target, id]
        only([refusal], "FAIL", "REDACT", code, *context, ANY)
    assert alice.sync() == bob.sync() == carol.sync() == []
    for person, target, others in [(bob, "#one", [alice]), (alice, "#two", [bob])]:
        id = ids[person.nick, target]
        for found in (person.ask(f"REDACT {target} {id}"), *(other.sync() for other in others)):
            assert only(found, "REDACT", target, id).nick == person.nick


def test_what_was_taken_back_is_not_read_again(come: Town) -> None:
    alice = come("alice", *REDACT, "draft/chathistory", join="#log")
    said = [say(alice, f"PRIVMSG #log :number {number}") for number in range(3)]
    alice.ask(f"REDACT #log {said[1].tags['msgid']}")
    for request, numbers in [("LATEST #log * 9", [0, 2]), ("BEFORE #log @1 9", [0]), ("AFTER #log @1 9", [2])]:
        found = told(read(alice, request, said), "PRIVMSG")
        assert [message.params[1] for message in found] == [f"number {number}" for number in numbers], request
    reader = come("reader", *HISTORY, join="#log")
    assert all("number 1" not in message.params for message in read(reader, "LATEST #log * 9", said))


def test_taking_back_is_answered_under_its_label(come: Town) -> None:
    alice = come("alice", *REDACT, join="#chan")
    id = say(alice, "PRIVMSG #chan :oops").tags["msgid"]
    assert only(alice.ask(f"@label=r REDACT #chan {id}"), "REDACT", "#chan", id).tags["label"] == "r"
    assert the(alice.ask("@label=n REDACT #chan none"), "FAIL", "REDACT", "UNKNOWN_MSGID").tags["label"] == "n"


# --- another name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "no reason"])
def test_a_channel_gets_another_name(come: Town, reason: str) -> None:
    alice = come("alice", *HISTORY, "draft/channel-rename", join="#old")
    modern = come("modern", "draft/channel-rename", join="#old")
    plain, full = come("plain", join="#old"), come("full", "extended-join", join="#old")
    alice.ask("TOPIC #old :the topic")
    said = [say(alice, "PRIVMSG #old :hi")]
    for person in (alice, modern, plain, full):
        person.sync()
    messages = alice.ask("RENAME #old #new" + (f" :{reason}" if reason else ""))
    for found in (messages, modern.sync()):
        assert only(found, "RENAME", "#old", "#new", reason).nick == "alice"
    for person, joined in [(plain, ("#new",)), (full, ("#new", "*", f"{full.nick} Real"))]:
        found = person.sync()
        part, join, *_ = found
        assert part.nick == join.nick == person.nick and part.verb == "PART" and part.params[0] == "#old"
        assert part.params[1:] == (reason,) or (not reason and not part.params[1:])
        assert join.verb == "JOIN" and join.params == joined
        the(found, "332", person.nick, "#new", "the topic")
        names = " ".join(message.params[-1] for message in told(found, "353")).split()
        assert set(names) == {"@alice", "modern", "plain", "full"}
    plain.ask("PRIVMSG #new :well")
    the(alice.sync(), "PRIVMSG", "#new", "well")
    found = told(read(alice, "LATEST #new * 9", said), "PRIVMSG")
    assert [message.params[1] for message in found] == ["hi", "well"]
    other = come("other", join="#old")  # the old name is free
    the(other.ask("MODE #old +k beer"), "MODE", "#old", "+k", "beer")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("RENAME #mine", ["461", "alice", "RENAME"]),
        ("RENAME #nowhere #new", ["40[0-9]|442", "alice", "#nowhere"]),
        ("RENAME #theirs #new", ["482", "alice", "#theirs"]),
        ("RENAME #mine #theirs", ["FAIL", "RENAME", "CHANNEL_NAME_IN_USE", "#mine", "#theirs"]),
    ],
)
def test_names_that_a_channel_does_not_get(come: Town, line: str, answer: list[str]) -> None:
    bob = come("bob", join="#theirs")
    alice = come("alice", "draft/channel-rename", join="#theirs")
    alice.join("#mine")
    bob.sync()
    (refusal,) = alice.ask(line)
    assert re.fullmatch(answer[0], refusal.verb) and refusal.params[: len(answer) - 1] == tuple(answer[1:])
    assert bob.sync() == []


def test_who_renames_without_knowing_how_it_is_told(come: Town) -> None:
    alice = come("alice", join="#old")
    part, join, *_ = alice.ask("RENAME #old #new :typo")
    assert fits(part, "PART", "#old", "typo") and fits(join, "JOIN", "#new")
