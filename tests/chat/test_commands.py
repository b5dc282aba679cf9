import pytest

from doubles import NOON, House, Peer
from hubbub.chat.commands.slash import ALIASES, COMMANDS, FOUND, MAX_HISTORY, opened_empty
from hubbub.model.events import (
    Clock,
    Event,
    Goodbye,
    HistoryShown,
    MembersListed,
    Notice,
    Refusal,
    RoomEntered,
    RoomsListed,
    RoomSummary,
)
from hubbub.model.queries import Since
from hubbub.text import bounds
from hubbub.text.list_pages import MAX_LISTED
from records import text_in


def answer(line: str, house: House | None = None) -> str | Event:
    """Return what Al is told when he types a line; Bo is in the lobby with him."""
    house = house or House()
    al, _ = house.enter("Al", "Bo")
    al.types(line)
    house.settle()
    (told,) = al.sees()
    return told


def code(event: str | Event) -> str:
    assert isinstance(event, Refusal)
    return event.code


def texts(event: str | Event) -> list[str]:
    assert isinstance(event, HistoryShown)
    return [text_in(entry) for entry in event.entries]


def spoken(count: int) -> House:
    """Return a house in whose lobby so much was said, a minute apart, the last of it just now."""
    house = House()
    (cy,) = house.enter("Cy")
    for number in range(count):
        house.now = NOON - 60 * (count - 1 - number)
        cy.types(f"m{number}")
        house.settle()
    return house


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("hi", "Al: hi"),
        ("//text", "Al: /text"),
        ("///", "Al: //"),
        ("  //x ", "Al:   //x"),
        ("  hi ", "Al:   hi"),
        ("\thi\tthere\t", "Al: \thi\tthere"),
        ("/etc/hosts: 127.0.0.1", "Al: /etc/hosts: 127.0.0.1"),
        ("/usr/bin/ls is broken", "Al: /usr/bin/ls is broken"),
        ("  /dev/null", "Al:   /dev/null"),
        ("/o\\", "Al: /o\\"),
        ("/* so */", "Al: /* so */"),
        ("/me/you", "Al: /me/you"),
        ("//etc/hosts", "Al: /etc/hosts"),
        (" /me waves", "* Al waves"),
        ("/me waves\tand  goes", "* Al waves\tand  goes"),
        ("/me\twaves", "* Al waves"),
        ("/me waves", "* Al waves"),
        ("/ME  waves ", "* Al waves"),
        ("\x1b[A/me waves", "* Al waves"),
        ("/topic tea", "Al # tea"),
        ("/quit", "-Al"),
        ("/quit so long", "-Al so long"),
        ("/leave", "-Al"),
        ("/nick Max", "Al > Max"),
    ],
)
def test_line_is_shown_to_the_others(line: str, shown: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types(line)
    house.settle()
    assert bo.sees() == [shown]


@pytest.mark.parametrize("line", ["/nosuch", "/nosuch text", "/", "/ me waves", "/mexico", "/help nosuch"])
def test_unknown_command_says_so_and_is_not_published(line: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types(line)
    house.settle()
    assert code(al.sees()[0]) == "no-such-command" and bo.sees() == []


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.usage[:1] not in ("", "[")])
def test_missing_argument_is_told_with_the_usage(name: str) -> None:
    told = answer(f"/{name}  ")
    assert told == Refusal("argument-missing", f"Usage: {COMMANDS[name].synopsis}")


def test_table_has_all_commands() -> None:
    assert set(COMMANDS) == set(
        "help nick who rooms join leave topic msg me re fix delete + - pin unpin pins history search since time quit "
        "op deop founder voice devoice "
        "kick ban unban mute unmute undo bans invite codes set rename oper register login password account stay store "
        "lock unlock hand hands next ask asked ok no poll vote quiet "
        "guests unregister logout link keys mentions notify dnd bell plain ignore unignore".split()
    )


def test_help_fits_a_screen_and_names_every_command() -> None:
    told = answer("/help")
    assert isinstance(told, Notice) and len(told.lines) <= 23
    everyday = [row.line for row in COMMANDS.values() if not row.group]
    assert list(told.lines[: len(everyday)]) == everyday
    assert told.lines[len(everyday)].startswith("//TEXT: ")
    assert all(len(line) <= 79 for line in told.lines[: len(everyday) + 1])
    assert all(f"/{name}" in " ".join(told.lines).split() for name, row in COMMANDS.items() if row.group)


def test_help_tells_about_a_group() -> None:
    told = answer("/help operators")
    assert told == Notice(tuple(row.line for row in COMMANDS.values() if row.group == "operators"))
    assert answer("/help /Operators") == told


def test_no_group_and_no_alias_is_a_command() -> None:
    assert not {row.group for row in COMMANDS.values()} & set(COMMANDS)
    assert not set(ALIASES) & set(COMMANDS) and set(ALIASES.values()) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("line", "shown"), [("/part", "-Al"), ("/EXIT so long", "-Al so long"), ("/action waves", "* Al waves")]
)
def test_what_other_chats_call_a_command_is_known(line: str, shown: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types(line)
    house.settle()
    assert bo.sees() == [shown]


@pytest.mark.parametrize("line", ["/help nick", "/help /nick", "/HELP NICK"])
def test_help_tells_about_one(line: str) -> None:
    assert answer(line) == Notice(("/nick NAME: Change your name.",))


@pytest.mark.parametrize(("line", "expected"), [("/nick bo", "name-taken"), ("/nick a b", "name-invalid")])
def test_nick_is_refused(line: str, expected: str) -> None:
    assert code(answer(line)) == expected


@pytest.mark.parametrize("line", ["/who", "/who Lobby", "/who #lobby"])
def test_who_lists_the_members(line: str) -> None:
    house = House()
    house.enter("cy", "Di")
    assert answer(line, house) == MembersListed("lobby", ["Al", "Bo", "cy", "Di"])


def test_who_lists_so_many() -> None:
    house = House(history=0)
    house.enter(*(f"x{number:03}" for number in range(MAX_LISTED)))
    told = answer("/who", house)
    assert isinstance(told, MembersListed) and (len(told.nicks), told.more) == (MAX_LISTED, 2)


@pytest.mark.parametrize("line", ["/who ops", "/leave ops"])
def test_room_one_is_not_in_is_refused(line: str) -> None:
    assert code(answer(line)) == "not-in-room"


def test_rooms_are_listed_the_liveliest_first_and_sleeping_ones_too() -> None:
    house = House()
    cy, di = house.enter("Cy", "Di")
    cy.types("/join zoo", "/topic lions", "/leave", "/join ops")
    di.types("/join art")
    house.settle()
    rooms = [
        RoomSummary("lobby", 4, ""),
        RoomSummary("art", 1, ""),
        RoomSummary("ops", 1, ""),
        RoomSummary("zoo", 0, "lions"),
    ]
    assert answer("/rooms", house) == RoomsListed(rooms, "lobby")


def test_secret_room_is_listed_for_those_who_are_in_it() -> None:
    house = House()
    (cy,) = house.enter("Cy")
    cy.types("/join ops", "/set secret on")
    house.settle()
    told = answer("/rooms", house)
    assert isinstance(told, RoomsListed) and [room.name for room in told.rooms if room.members] == ["lobby"]
    cy.sees()
    cy.types("/rooms")
    house.settle()
    (told,) = (event for event in cy.sees() if isinstance(event, RoomsListed))
    assert [room.name for room in told.rooms] == ["lobby", "ops"]


def busy_house(rooms: int) -> tuple[House, Peer]:
    """Return a house with so many rooms besides the lobby, and who is in all of them."""
    house = House(max_rooms=rooms + 9)
    (cy,) = house.enter("Cy")
    cy.types(*(f"/join r{number}" for number in range(rooms)))
    house.settle()
    return house, cy


def test_rooms_are_listed_up_to_a_number_and_the_others_counted() -> None:
    house, cy = busy_house(MAX_LISTED + 2)
    cy.types("/leave r97", "/leave r98", "/leave r99")  # they sleep, and are the last by name
    told = answer("/rooms", house)
    assert isinstance(told, RoomsListed) and (len(told.rooms), told.more) == (MAX_LISTED, 3)
    assert told.rooms[0].name == "lobby"


def test_a_room_that_wakes_after_the_log_was_read_is_counted() -> None:
    house, cy = busy_house(MAX_LISTED - 1)
    (al,) = house.enter("Al")
    al.types("/rooms")
    question = house.broker.questions.popleft()
    question.look()
    cy.types("/join new")
    house.settle()
    question.answer()
    (told,) = (event for event in al.sees() if isinstance(event, RoomsListed))
    assert (len(told.rooms), told.more) == (MAX_LISTED, 1)


def test_a_message_that_opened_a_room_without_people_is_known() -> None:
    house = House()
    (al,) = house.enter("Al")
    session = house.connect().session
    found = []
    for room in ("opps", "opps", "lobby"):
        house.hub.post(session, "ci", room, "hi", "r")
        house.settle()
        found.append(opened_empty(house.hub, house.broker.log[-1]))
    assert found == [True, False, False]
    al.types("/join ops", "hi")
    house.settle()
    assert not opened_empty(house.hub, house.broker.log[-1])


def test_join_is_told() -> None:
    joined = answer("/join ops")
    assert joined == RoomEntered("ops", joined.seq, "", False, operator=True, room_id="ops")
    assert answer("/join lobby") == Notice(("You are in lobby",))
    assert code(answer("/join a b")) == "room-invalid"
    refused = answer("/join Math Class")
    assert isinstance(refused, Refusal) and refused.text.endswith("Perhaps you mean math-class.")


def test_topic_is_shown() -> None:
    assert answer("/topic") == Notice(("There is no topic",))
    house = House()
    (cy,) = house.enter("Cy")
    cy.types("/topic tea")
    house.settle()
    assert answer("/topic", house) == Notice(("Topic: tea",))
    cy.types("/topic off", "/topic")
    house.settle()
    assert cy.sees()[-1] == Notice(("There is no topic",))


@pytest.mark.parametrize("line", ["/who", "/topic", "/topic tea", "/me waves", "hi", "/leave", "/history", "/search x"])
def test_in_no_room_one_is_told_to_join(line: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/leave", line)
    house.settle()
    assert code(al.sees()[-1]) == "not-in-room"


def test_msg_is_told_when_it_is_not_sent() -> None:
    assert code(answer("/msg Nobody hi")) == "no-such-name"
    assert answer("/msg Bo") == Refusal("argument-missing", "Usage: /msg NAME TEXT")


def test_history_shows_the_newest() -> None:
    assert texts(answer("/history 3", spoken(5))) == ["m2", "m3", "m4"]
    assert texts(answer("/history", spoken(30))) == [f"m{number}" for number in range(10, 30)]
    assert answer("/history") == Notice(("Nothing was said here yet",))


def test_history_shows_some_though_newcomers_are_shown_none() -> None:
    house = House(history=0)
    (al,) = house.enter("Al")
    al.types(*map(str, range(30)))
    house.settle()
    al.types("/history")
    house.settle()
    assert len(texts(al.sees()[-1])) == 20


@pytest.mark.parametrize(
    "number", ["0", "201", "-1", "x", "1.5", "²", "9" * 40, "000000001999999", "0" * 8 + "1" + "9" * 5000]
)
def test_history_takes_a_number_up_to_a_bound(number: str) -> None:
    house = House()
    assert code(answer(f"/history {number}", house)) == "number-invalid"
    assert not house.broker.queries


def test_history_that_is_long_comes_in_pieces() -> None:
    house = House(write_bytes=200)
    (al,) = house.enter("Al")
    al.types(*map(str, range(20)))
    house.settle()
    al.types(f"/history {MAX_HISTORY}")
    house.settle()
    pieces = al.sees()
    assert len(pieces) > 1
    assert [text for piece in pieces for text in texts(piece)] == [str(number) for number in range(20)]


@pytest.mark.parametrize("line", ["/history", "/search tea", "/since 1h"])
def test_log_is_read_after_what_was_said_before_is_stored(line: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("tea?", line)
    house.settle()
    assert [texts(told) for told in al.sees()] == [["tea?"]]


def test_topic_is_shown_as_it_was_set_just_before() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/topic tea", "/topic")
    house.settle()
    assert al.sees() == [Notice(("Topic: tea",))]


def test_search_shows_what_has_all_the_words() -> None:
    house = House()
    (cy,) = house.enter("Cy")
    cy.types("red fox", "red hen", "/me is a fox, red", "/join ops", "red fox elsewhere")
    house.settle()
    found = answer("/search red fox", house)
    assert texts(found) == ["red fox", "is a fox, red"] and found.tail == ()
    assert answer("/search unicorn") == Notice(("Nothing found",))


def test_search_tells_that_there_is_more() -> None:
    found = answer("/search m", spoken(FOUND + 1))
    assert texts(found)[0] == "m1" and found.tail == (f"Only the newest {FOUND} are shown",)


def test_since_shows_what_was_said_from_then_on() -> None:
    assert texts(answer("/since 2m", spoken(5))) == ["m2", "m3", "m4"]
    assert answer("/since 1m") == Notice(("Nothing was said since then",))
    assert code(answer("/since whenever")) == "time-invalid"


def test_since_tells_that_there_is_more() -> None:
    told = answer("/since 1d", spoken(MAX_HISTORY + 1))
    assert len(texts(told)) == MAX_HISTORY and len(told.tail) == 1


@pytest.mark.parametrize("line", ["/history", "/search x", "/since 1h", "/rooms"])
def test_log_that_cannot_be_read_is_told(line: str) -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    house.broker.fault = "the disk does not answer"
    al.types(line, "/time")
    assert al.untaken == 1
    house.settle()
    refusal = Refusal("broker", "The log cannot be read: the disk does not answer.")
    assert al.sees() == [refusal, Clock(NOON)]


def test_search_that_must_wait_too_long_is_told() -> None:
    house = House()
    (al,) = house.enter("Al")
    house.broker.busy = True
    al.types("/search tea")
    house.settle()
    refusal = Refusal("busy", "Not done: too many searches are waiting; try again in a while.")
    assert al.sees() == [refusal]


@pytest.mark.parametrize("line", ["/history", "/search m", "/since 1d"])
def test_what_is_missing_in_an_answer_is_told(line: str) -> None:
    house = spoken(3)
    house.broker.note = "A damaged entry is left out"
    assert answer(line, house).tail == ("A damaged entry is left out",)
    house = House()
    house.broker.note = "A damaged entry is left out"
    assert answer(line, house).lines[1:] == ("A damaged entry is left out",)


def test_since_leaves_out_what_a_wrong_clock_dated_far_ahead() -> None:
    house = spoken(3)
    answer("/since 1d", house)
    query = house.broker.queries[-1]
    assert isinstance(query, Since) and query.until == house.now + 24 * 60 * 60


def test_time_is_the_servers() -> None:
    assert answer("/time") == Clock(NOON)


def test_quit_is_goodbye() -> None:
    assert answer("/quit") == Goodbye()


def test_search_for_very_many_words_is_refused() -> None:
    assert code(answer("/search " + "a " * 40)) == "too-many-words"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/who " + "x" * (bounds.ARGUMENT_CHARS + 1), "argument-too-long"),
        ("/nick " + "é" * 2000, "argument-too-long"),
        ("/nick " + "x" * (bounds.FOLDED_CHARS + 1), "name-invalid"),
        ("/join " + "x" * (bounds.FOLDED_CHARS + 1), "room-invalid"),
        ("/who " + "x" * (bounds.FOLDED_CHARS + 1), "not-in-room"),
        ("/msg " + "x" * 4000 + " hi", "no-such-name"),
        ("/search " + "x" * (bounds.SEARCH_CHARS + 1), "too-many-words"),
        ("/topic " + "é" * (bounds.TOPIC_BYTES // 2 + 1), "topic-too-long"),
        ("/" + "x" * 4000, "no-such-command"),
    ],
    ids=lambda text: text[:9],
)
def test_text_over_its_bound_is_refused_and_not_told_back(line: str, why: str) -> None:
    told = answer(line)
    assert code(told) == why
    assert isinstance(told, Refusal) and len(told.text) < 200


def test_text_at_its_bound_is_taken() -> None:
    house = House()
    (al,) = house.enter("Al")
    topic = "é" * (bounds.TOPIC_BYTES // 2)
    al.types(f"/topic {topic}")
    house.settle()
    assert house.hub.rooms.loaded["lobby"].topic == topic


def test_reason_is_cut_between_characters() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    al.types("/quit " + "🇩🇪" * 300)
    house.settle()
    assert text_in(house.broker.log[-1]) == "🇩🇪" * (bounds.REASON_BYTES // 8)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("moderated on", MembersListed("ops", ["Cy"], operators=("Cy",))),
        ("key s3", "closed"),
        ("invite-only on", "closed"),
        ("secret on", "not-in-room"),
    ],
)
def test_who_lists_the_members_of_another_open_room(setting: str, expected: object) -> None:
    house = House()
    (cy,) = house.enter("Cy")
    cy.types("/join ops", "/topic tea", f"/set {setting}")
    house.settle()
    told = answer("/who #Ops", house)
    assert (told if isinstance(told, MembersListed) else code(told)) == expected
    if expected == "not-in-room":
        assert isinstance(told, Refusal) and told.text.replace("Ops", "nowhere") == answer_text("/who #nowhere")


def answer_text(line: str) -> str:
    told = answer(line)
    assert isinstance(told, Refusal)
    return told.text


@pytest.mark.parametrize(
    ("setting", "shown"), [("key s3", ("ops", "")), ("secret on", None), ("slow 9", ("ops", "tea"))]
)
@pytest.mark.parametrize("stays", [True, False])
def test_rooms_tell_the_topics_of_open_ones_alone(setting: str, shown: tuple[str, str] | None, stays: bool) -> None:
    house = House()
    cy, di = house.enter("Cy", "Di")
    for peer in (cy, di):
        peer.types("/join ops")
    cy.types("/topic tea", f"/set {setting}")
    house.settle()
    for peer in () if stays else (cy, di):
        peer.types("/leave ops")
        house.settle()
    told = answer("/rooms", house)
    assert isinstance(told, RoomsListed)
    assert [(room.name, room.topic) for room in told.rooms if room.name == "ops"] == ([shown] if shown else [])
