"""The fields of an entry are the same on the API and on the WebSocket."""

import json
from typing import Any

from hubbub.model.entries import Body, Entry, Joined, Pinned, PollClosed, Polled, Quote, Said
from hubbub.model.messages import reactions
from hubbub.wire.web.frames import JsonEncoder
from hubbub.wire.web.shown_entry import Posted, shown
from hubbub.wire.web.streams import EventStreamEncoder


def entry(body: Body, tags: str = "", quote: Quote | None = None) -> Entry:
    return Entry("ops", 7, 6, 1.5, "Ann", "x.1", body, "~nc@1f.nc", tags, "", quote)


def streamed(one: Entry) -> dict[str, Any]:
    """Return an entry as the API's stream has it, which is the same as in the frames of a WebSocket."""
    data = EventStreamEncoder(lambda: "log").encode(one).partition(b"data: ")[2]
    assert data.strip() == JsonEncoder().encode(one)
    fields: dict[str, Any] = json.loads(data)
    return fields


PLAIN = {"room": "ops", "seq": 7, "prev": 6, "time": 1.5, "nick": "Ann", "id": "x.1", "host": "~nc@1f.nc", "tags": ""}


def test_a_plain_message_has_no_further_fields() -> None:
    assert streamed(entry(Said("tea"))) == PLAIN | {"kind": "message", "text": "tea"}
    assert streamed(entry(Joined("Ann A."))) == PLAIN | {"kind": "join", "text": "Ann A."}


def test_an_answer_has_the_message_that_it_answers_and_its_own_reactions() -> None:
    tags = reactions.add("+reply=x.0;edited", "👍", "Bo")
    answer = streamed(entry(Said("yes"), tags, Quote("Bob", "tea?")))
    assert answer["re"] == "x.0"
    assert answer["quote"] == {"nick": "Bob", "text": "tea?"}
    assert answer["reactions"] == {"👍": ["Bo"]}
    assert answer["edited"] is True
    assert answer["tags"] == "+reply=x.0"


def test_an_act_is_described_in_words() -> None:
    assert streamed(entry(Pinned("x.0", "Bob: tea")))["words"] == "has pinned a message of Bob: tea"


def test_a_poll_has_its_votes() -> None:
    poll = streamed(entry(Polled("tea?", ("yes", "no"))))
    assert (poll["question"], poll["answers"], poll["votes"], poll["guests"]) == ("tea?", ["yes", "no"], [0, 0], 0)
    assert "closed" not in poll
    assert streamed(entry(PollClosed("x.0"), quote=Quote("Ann", "tea? yes 1, no 0")))["quote"]["text"] == (
        "tea? yes 1, no 0"
    )


def test_an_entry_can_be_shown_in_a_form_with_more_fields() -> None:
    assert isinstance(shown(entry(Said("tea")), Posted), Posted)
