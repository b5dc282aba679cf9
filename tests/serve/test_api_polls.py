"""Polls on the API: asked, voted in and ended by programs, with the rights of their accounts."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from asking import Web, asking
from test_api_accounts import ask, registered, token
from test_api_private import enter

POLLS, VOTES = "/api/v1/rooms/ops/polls", "/api/v1/rooms/ops/votes"
DOUBT = "(1 vote by guests who can vote again under another name)"


async def programs(web: Web, *names: str) -> list[str]:
    """Return tokens of accounts whose owners are in a room, the first one as its operator."""
    tokens = [await token(web, await registered(web, name)) for name in names]
    for name in names:
        await enter(web, name, "/join ops")
    return tokens


async def test_programs_ask_vote_and_end_with_one_vote_for_each_account() -> None:
    async with asking() as web:
        ann, bo = await programs(web, "Ann", "Bo")
        seen = await web.talk("Cy")
        await seen.say(type="join", room="ops")
        asked = await ask(web, POLLS, bo, "tea? | yes | nö".encode())
        poll = asked.json
        assert asked.status == 201 and (poll["nick"], poll["question"], poll["answers"]) == (
            "Bo",
            "tea?",
            ["yes", "nö"],
        )
        assert (poll["votes"], poll["guests"], poll["mine"], poll["closed"]) == ([0, 0], 0, 0, False)
        for body, votes in (("1", [1, 0]), ("NÖ", [0, 1]), ("nö", [0, 1]), ("0", [0, 0]), ("2", [0, 1])):
            voted = await ask(web, VOTES, ann, body.encode())
            assert (voted.status, voted.json["votes"]) == (200, votes)
        assert voted.json["mine"] == 2 and voted.json["id"] == poll["id"]
        await ask(web, f"{VOTES}?id={poll['id']}", bo, b"yes")
        listed = (await ask(web, POLLS, bo)).json["polls"]
        assert [(one["id"], one["votes"], one["mine"]) for one in listed] == [(poll["id"], [1, 1], 1)]
        assert [one["mine"] for one in (await web.ask("GET", POLLS)).json["polls"]] == [0]
        cy = await web.connect()
        await cy.sees(b"Enter your name: ")
        cy.send("Di\n/join ops\n/vote 1\n/time\n")
        await cy.sees(b" UTC ***\n")
        lines = await ask(web, POLLS, bo, Accept="text/plain")
        assert lines.body.decode() == f"Bo asks: tea? yes 2, nö 1 {DOUBT} (is open)\n"
        ended = await ask(web, f"{POLLS}?id={quote(poll['id'])}", bo, method="DELETE", Accept="text/plain")
        assert ended.body.decode() == f"Bo asks: tea? yes 2, nö 1 {DOUBT} (has ended)\n"
        assert (await ask(web, POLLS, bo)).json == {"polls": []}
        kinds: list[str] = []
        while "poll-end" not in kinds:
            kinds += [one["kind"] for one in (await seen.sees("entries"))["entries"]]


async def test_operators_end_the_polls_of_others() -> None:
    async with asking() as web:
        ann, bo = await programs(web, "Ann", "Bo")
        first = (await ask(web, POLLS, ann, b"tea? | yes | no")).json["id"]
        second = (await ask(web, POLLS, bo, b"cake? | yes | no")).json["id"]
        refused = await ask(web, f"{POLLS}?id={first}", bo, method="DELETE")
        assert (refused.status, refused.json["code"]) == (400, "not-yours")
        for id in (first, second):
            assert (await ask(web, f"{POLLS}?id={id}", ann, method="DELETE")).json["closed"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", POLLS, b"tea?", 400, "bad-value"),
        ("POST", POLLS, b"x" * 20000, 413, "text-too-long"),
        ("POST", VOTES, b"1", 400, "no-such-message"),
        ("POST", f"{VOTES}?id=x.1", b"1", 400, "no-such-message"),
        ("POST", "/api/v1/rooms/other/polls", b"tea? | yes | no", 400, "not-in-room"),
        ("POST", "/api/v1/rooms/other/votes", b"1", 400, "not-in-room"),
        ("DELETE", "/api/v1/rooms/other/polls?id=x.1", None, 400, "not-in-room"),
        ("DELETE", POLLS, None, 400, "query-invalid"),
        ("DELETE", f"{POLLS}?id=x.1", None, 400, "no-such-message"),
    ],
)
async def test_what_is_no_poll_or_not_allowed_is_refused(
    method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async with asking() as web:
        (ann,) = await programs(web, "Ann")
        answer = await ask(web, path, ann, body, method=method)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert (await web.ask(method, path, body)).status in (400, 401, 413)


async def test_guests_only_read_and_a_muted_account_does_not_vote() -> None:
    async with asking() as web:
        ann, bo = await programs(web, "Ann", "Bo")
        await ask(web, POLLS, ann, b"tea? | yes | no")
        for path in (POLLS, VOTES):
            assert (await web.ask("POST", path, b"1")).json["code"] == "not-logged-in"
        wrong = await ask(web, VOTES, bo, b"maybe")
        assert (wrong.status, wrong.json["code"]) == (400, "bad-value")
        await enter(web, "Ann", "/join ops", "/mute Bo yes")
        assert (await ask(web, VOTES, bo, b"1")).json["code"] == "muted"


async def test_polls_of_a_closed_or_secret_room_are_for_its_members() -> None:
    async with asking() as web:
        ann, bo = await programs(web, "Ann", "Bo")
        await ask(web, POLLS, ann, b"tea? | yes | no")
        await enter(web, "Ann", "/join ops", "/set invite-only on")
        assert (await web.ask("GET", POLLS)).json["code"] == "closed"
        await enter(web, "Ann", "/join ops", "/set secret on")
        assert (await web.ask("GET", POLLS)).json == {"polls": []}
        assert len((await ask(web, POLLS, bo)).json["polls"]) == 1
        reader = await token(web, web.house.accounts.find("Ann"), scopes=("read",))
        assert (await ask(web, POLLS, reader, b"tea? | yes | no")).json["code"] == "token-limited"
