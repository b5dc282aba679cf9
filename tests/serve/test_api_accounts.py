"""The API with a token: a program acts for an account, within the token's rooms and scopes."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import msgspec
import pytest
from asking import Answer, Web, asking
from msgspec import structs
from serving import until

from hubbub.accounts.records.keyring import digest
from hubbub.chat.users.accounts import LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Grant, Granted
from hubbub.storage.key_value import Item

HERE = LoginPeer("127.0.0.1", True)
LOBBY = "/api/v1/rooms/lobby"
ALL = (
    f"{LOBBY}/messages",
    f"{LOBBY}/search?q=x",
    f"{LOBBY}/members",
    f"{LOBBY}/stream",
    "/api/v1/rooms",
    "/api/v1/search?q=x",
)


async def outcome(web: Web, ask: Any, *arguments: Any, **more: Any) -> Any:
    """Return what the accounts call back with."""
    found: list[Any] = []
    ask(*arguments, done=found.append, **more)
    await until(lambda: found)
    assert not isinstance(found[0], Refused), found[0].text
    return found[0]


async def registered(web: Web, name: str = "Ann") -> Account:
    account: Account = await outcome(web, web.house.accounts.register, name, "open sesame", HERE)
    return account


async def token(web: Web, account: Account, **fields: Any) -> str:
    made: str = await outcome(web, web.house.accounts.make_token, account, Grant(**fields))
    return made


async def expire_soon(web: Web, secret: str) -> None:
    """Let a token expire in a moment: only now, so that nothing before has to be done in time."""
    store, key = web.house.backend.key_values, f"token/{digest(secret)}"
    item: Item = await outcome(web, store.get, key)
    grant = structs.replace(msgspec.json.decode(item.value, type=Grant), expires=time.time() + 0.2)
    await outcome(web, store.put, key, msgspec.json.encode(grant), item.revision)


async def ask(web: Web, path: str, secret: str, body: bytes | None = None, **more: Any) -> Answer:
    method = more.pop("method", "GET" if body is None else "POST")
    return await web.ask(method, path, body, Authorization=f"Bearer {secret}", **more)


async def test_a_program_speaks_under_the_name_of_its_account() -> None:
    async with asking() as web:
        account = await registered(web)
        bo = await web.join("Bo")
        secret = await token(web, account)
        answer = await ask(web, f"{LOBBY}/messages", secret, b"deployed")
        assert (answer.status, answer.json["nick"], answer.json["host"]) == (201, "Ann", account.host)
        await bo.sees(b"Ann: deployed\n")
        assert (await ask(web, f"{LOBBY}/messages?name=ANN", secret, b"again")).json["nick"] == "Ann"
        refused = await ask(web, f"{LOBBY}/messages?name=Bob", secret, b"as another")
        assert (refused.status, refused.json["code"]) == (400, "name-kept")
        stranger = await web.ask("POST", f"{LOBBY}/messages?name=Ann", b"stolen")
        assert (stranger.status, stranger.json["code"]) == (409, "name-registered")
        nameless = await web.ask("POST", f"{LOBBY}/messages", b"nobody")
        assert (nameless.status, nameless.json["detail"]) == (400, "The query lacks name, as in ?name=…")


@pytest.mark.parametrize("secret", ["hub_wrong", "", "x" * 5000])
@pytest.mark.parametrize("path", ALL)
async def test_a_wrong_token_is_answered_with_a_challenge(path: str, secret: str) -> None:
    async with asking() as web:
        answer = await ask(web, path, secret)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json["detail"] == "That token is wrong, ended or too old."


async def test_a_token_that_has_ended_or_whose_account_is_closed_is_refused() -> None:
    async with asking() as web:
        account = await registered(web)
        accounts = web.house.accounts
        late, ended, kept = [await token(web, account, expires=end) for end in (1.0, 0.0, 0.0)]
        assert (await ask(web, ALL[0], late)).status == 401
        assert (await ask(web, ALL[0], ended)).status == 200
        await outcome(web, accounts.end_tokens, account, [accounts.grant_id(ended)])
        assert (await ask(web, ALL[0], ended)).status == 401
        await outcome(web, accounts.suspend, account)
        assert (await ask(web, ALL[0], kept)).json["code"] == "account-closed"


async def test_other_schemes_are_not_for_this_server() -> None:
    async with asking() as web:
        assert (await web.ask("GET", ALL[0], Authorization="Basic YTpi")).status == 200


async def test_scopes_and_rooms_of_a_token_hold() -> None:
    async with asking() as web:
        account = await registered(web)
        reads, says = await token(web, account, scopes=("read",)), await token(web, account, scopes=("say",))
        answer = await ask(web, f"{LOBBY}/messages", reads, b"hello")
        assert (answer.status, answer.json["code"]) == (403, "token-limited")
        assert {(await ask(web, path, says)).status for path in ALL} == {403}
        assert (await ask(web, f"{LOBBY}/messages", says, b"hello")).status == 201
        ops = await token(web, account, rooms=("#Ops",))
        assert (await ask(web, "/api/v1/rooms/ops/messages", ops, b"hello")).status == 201
        refused = [path for path in ALL if LOBBY in path]
        assert [(await ask(web, path, ops)).json["code"] for path in refused] == ["token-limited"] * len(refused)


async def test_a_token_for_some_rooms_finds_these_alone() -> None:
    async with asking() as web:
        account = await registered(web)
        full, ops = await token(web, account), await token(web, account, rooms=("#Ops", "tea"))
        for room in ("ops", "lobby", "garden"):
            assert (await ask(web, f"/api/v1/rooms/{room}/messages", full, b"some words")).status == 201
        for secret, rooms in ((full, ["garden", "lobby", "ops"]), (ops, ["ops"])):
            listed = (await ask(web, "/api/v1/rooms?after=", secret)).json["rooms"]
            assert [room["name"] for room in listed] == rooms
            found = (await ask(web, "/api/v1/search?q=words&last=1", secret)).json["entries"]
            assert [one["room"] for one in found] == ["garden" if secret == full else "ops"]


@pytest.mark.parametrize(("headers", "status"), [({}, 403), ({"X_Forwarded_Proto": "https"}, 200)])
async def test_a_token_is_refused_where_others_can_read_it(headers: dict[str, str], status: int) -> None:
    async with asking(trust_proxy=["127.0.0.1"]) as web:
        secret = await token(web, await registered(web))
        answer = await ask(web, ALL[0], secret, X_Forwarded_For="192.0.2.1", **headers)
        assert answer.status == status
        assert (await ask(web, ALL[0], secret)).status == 200, "from this machine"


@pytest.mark.parametrize(("guests", "reading"), [("read", 200), ("no", 401)])
async def test_what_guests_may_do_holds_here_too(guests: str, reading: int) -> None:
    async with asking(guests=guests) as web:
        assert {(await web.ask("GET", path)).status for path in ALL if "stream" not in path} == {reading}
        answer = await web.ask("POST", f"{LOBBY}/messages?name=ci", b"hello")
        assert (answer.status, answer.json["code"]) == (401, "account-required")
        secret = await token(web, await registered(web))
        assert (await ask(web, f"{LOBBY}/messages", secret, b"hello")).status == 201
        assert (await ask(web, ALL[0], secret)).status == 200


async def test_a_program_sees_the_closed_rooms_that_its_owner_is_in() -> None:
    async with asking() as web:
        secret = await token(web, await registered(web))
        ann = await web.connect()
        await ann.sees(b"Enter your name: ")
        ann.send("Ann\n")
        await ann.sees(b"(it can be seen): ")
        ann.send("open sesame\n/join den\n/set secret on\nhush\n/time\n")
        await ann.sees(b" UTC ***\n")
        path = "/api/v1/rooms/den/messages"
        assert [one["text"] for one in (await ask(web, path, secret)).json["entries"]] == ["hush"]
        assert not (await web.ask("GET", path)).json["entries"]
        stream = await web.connect()
        stream.ask("GET", "/api/v1/rooms/den/stream", Authorization=f"Bearer {secret}")
        await stream.head()
        assert (await ask(web, path, secret, b"from a script")).status == 201
        await stream.sees(b"from a script")
        ann.send("/leave den\n")
        await stream.rest()
        assert not (await ask(web, path, secret)).json["entries"]


async def test_only_a_token_for_it_has_the_rights_of_a_server_operator() -> None:
    async with asking() as web:
        account = await registered(web)
        await outcome(web, web.house.accounts.change, account, partial(structs.replace, operator=True))
        bo = await web.join("Bo")
        bo.send("/join den\n/set secret on\n/time\n")
        await bo.sees(b" UTC ***\n")
        plain, full = await token(web, account, scopes=("read", "say")), await token(web, account)
        names = [
            [room["name"] for room in (await ask(web, "/api/v1/rooms", one)).json["rooms"]] for one in (plain, full)
        ]
        assert names == [["lobby"], ["den", "lobby"]] or names == [["lobby"], ["lobby", "den"]]


@pytest.mark.parametrize("how", ["ended", "expired"])
async def test_the_sessions_of_a_token_end_with_it_on_every_wire(how: str) -> None:
    async with asking() as web:
        account, accounts = await registered(web), web.house.accounts
        secret = await token(web, account)
        nc, irc, kept = await web.connect(), await web.connect(), await web.connect()
        irc.send(f"PASS Ann:{secret}\r\nNICK Ann\r\nUSER a 0 * :a\r\n")
        await irc.sees(b" 001 Ann ")
        for peer, proof in ((nc, secret), (kept, "open sesame")):
            await peer.sees(b"Enter your name: ")
            peer.send("Ann\n")
            await peer.sees(b"(it can be seen): ")
            peer.send(f"{proof}\n/time\n")
            await peer.sees(b" UTC ***\n")
        socket = await web.talk()
        await socket.say(type="hello", name="Ann", password=secret)
        await socket.sees("welcome")
        if how == "ended":
            await outcome(web, accounts.end_tokens, account, [accounts.grant_id(secret)])
        else:
            await expire_soon(web, secret)
        for peer in (nc, irc):
            assert b"no longer valid" in await peer.rest()
        assert (await socket.closed())[0] == 1008
        kept.send("/time\n")
        assert b"has left" not in await kept.sees(b" UTC ***\n")


@pytest.mark.parametrize("how", ["token", "suspended", "password", "other"])
async def test_a_stream_ends_with_its_token(how: str) -> None:
    async with asking() as web:
        account, accounts = await registered(web), web.house.accounts
        secret, other = await token(web, account), await token(web, account)
        stream = await web.connect()
        stream.ask("GET", f"{LOBBY}/stream", Authorization=f"Bearer {secret}")
        await stream.head()
        if how == "suspended":
            await outcome(web, accounts.suspend, account)
        elif how == "password":
            await outcome(web, accounts.change_password, account, "another one", HERE)
        else:
            found: list[Granted] = list(accounts.tokens(account))
            ids = [one.id for one in found if (one.id == accounts.grant_id(secret)) is (how == "token")]
            await outcome(web, accounts.end_tokens, account, ids)
        if how == "other":
            await web.say("lobby", "still there")
            await stream.sees(b"still there")
            assert (await ask(web, ALL[0], other)).status == 401
        else:
            await stream.rest()


async def test_mentions_are_listed_for_the_rooms_of_a_token_until_they_are_read() -> None:
    async with asking() as web:
        account = await registered(web)
        everywhere, ops = await token(web, account), await token(web, account, rooms=("ops",))
        for room in ("lobby", "ops"):
            await web.say(room, f"@Ann in {room}")
        listed = await ask(web, "/api/v1/mentions", everywhere)
        assert [one["text"] for one in listed.json["entries"]] == ["@Ann in lobby", "@Ann in ops"]
        assert [one["text"] for one in (await ask(web, "/api/v1/mentions", ops)).json["entries"]] == ["@Ann in ops"]
        assert (await web.ask("GET", "/api/v1/mentions")).status == 401
        assert (await ask(web, "/api/v1/mentions", await token(web, account, scopes=("say",)))).status == 403
        ann = await web.talk()
        await ann.say(type="hello", name="Ann", password="open sesame", rooms={"ops": None})
        await ann.sees("joined", room="ops")
        for room in ("ops", "@nobody"):
            await ann.say(type="read", room=room, time=1e12, label="r")
            await ann.sees("done", label="r")
        left = await ask(web, "/api/v1/mentions?unread=true", everywhere)
        assert [one["text"] for one in left.json["entries"]] == ["@Ann in lobby"]
        await ann.say(type="mentions", unread=True, label="m")
        assert [one["text"] for one in (await ann.sees("page"))["entries"]] == ["@Ann in lobby"]
        guest = await web.talk("Guest")
        await guest.say(type="read", room="lobby", time=1.0, label="r")
        await guest.sees("done", label="r")
