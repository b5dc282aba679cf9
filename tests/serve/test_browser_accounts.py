"""Accounts at the WebSocket and at the addresses that the page uses: forms, cookies and sessions."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import Any

import pytest
from asking import Answer, Talker, Web, asking
from test_api_accounts import outcome, registered, token

from hubbub.model.accounts.account import SshKey
from hubbub.serve.web import account_pages
from hubbub.serve.web.credentials import outcome_of

SECRET = "open sesame"


async def post(web: Web, path: str, cookie: str = "", headers: dict[str, str] | None = None, **body: Any) -> Answer:
    more = {"Content_Type": "application/json"} | ({"Cookie": cookie} if cookie else {}) | (headers or {})
    return await web.ask("POST", f"/api/{path}", json.dumps(body).encode(), **more)


async def get(web: Web, path: str, cookie: str = "") -> Answer:
    return await web.ask("GET", f"/api/{path}", **({"Cookie": cookie} if cookie else {}))


def cookie_of(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["set-cookie"].partition(";")[0]


async def talk(web: Web, cookie: str, **fields: Any) -> Talker:
    name, _, value = cookie.partition("=")
    talker = await web.talk(headers={"Cookie": f"{name}-{web.port}={value}"})  # the name is that for its Host
    talker.welcome = await talker.hello(**({"name": "Ann"} | fields))
    return talker


async def test_a_form_registers_a_name_and_the_cookie_logs_its_browser_in() -> None:
    async with asking() as web:
        answer = await post(web, "register", name="Ann", secret=SECRET, headers={"User_Agent": "Firefox/1 (Linux)"})
        assert answer.json == {"name": "Ann", "registration": "open", "guests": "yes"}
        value, *attributes = answer.headers["set-cookie"].split("; ")
        assert value.startswith("hubbub=") and len(value) == len("hubbub=") + 43
        assert attributes == ["Path=/", "Max-Age=7776000", "HttpOnly", "SameSite=Strict"]
        assert answer.headers["cache-control"] == "no-store"
        assert (await get(web, "account", value)).json["name"] == "Ann"
        assert (await get(web, "account")).json["name"] == ""
        ann = await talk(web, value, name="whatever")
        assert ann.welcome["nick"] == "Ann"
        assert (await ann.sees("joined"))["room"] == "lobby"
        listed = (await get(web, "sessions", value)).json
        assert [(one["name"], one["current"]) for one in listed["browsers"]] == [("Firefox on Linux", True)]
        assert [one["wire"] for one in listed["sessions"]] == ["websocket"]


async def test_a_visit_renews_the_cookie_in_the_browser() -> None:
    async with asking() as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        assert cookie_of(await get(web, "account", value)) == value


async def test_a_login_needs_the_password_or_a_code() -> None:
    async with asking() as web:
        account = await registered(web)
        wrong = await post(web, "login", name="Ann", secret="guess")
        assert (wrong.status, wrong.json["code"]) == (401, "wrong-password") and "set-cookie" not in wrong.headers
        assert cookie_of(await post(web, "login", name="ann", secret=SECRET))
        for fields in ({"name": "Ann"}, {}):
            code = await outcome(web, web.house.accounts.make_code, account)
            assert (await post(web, "login", secret=code, **fields)).json["name"] == "Ann"
            assert (await post(web, "login", secret=code, **fields)).status == 401, "only once"


@pytest.mark.parametrize(
    ("body", "type_", "answer"),
    [
        (b"", "application/json", "an object with the fields of this request"),
        (b"{", "application/json", "an object with the fields of this request"),
        (b'{"secret":"\xff"}', "application/json", "an object with the fields of this request"),
        (b'{"secret":"open sesame","name":"%b"}' % (b"x" * 3000), "application/json", "none of them too long"),
        (b'{"secret":"open sesame"}', "text/plain", "must be application/json"),
        (b'{"secret":"%b"}' % (b"x" * 5000), "application/json", "at most 4096 bytes"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_with_the_reason(body: bytes, type_: str, answer: str) -> None:
    async with asking() as web:
        for path in ("login", "register"):
            refused = await web.ask("POST", f"/api/{path}", body, Content_Type=type_)
            assert refused.status in (400, 413)
            assert answer in refused.json["detail"] and "message" not in refused.json["detail"]


async def test_a_password_that_is_too_long_is_refused_in_the_words_of_the_other_wires() -> None:
    async with asking() as web:
        account = await registered(web)
        long = SECRET * 100
        refused = await post(web, "register", name="Bob", secret=long)
        assert (refused.status, refused.json["code"]) == (400, "weak-password")
        for fields in ({"name": account.name}, {}):
            assert (await post(web, "login", secret=long, **fields)).json["code"] == "wrong-password"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
async def test_pages_of_other_sites_cannot_post(origin: str) -> None:
    async with asking() as web:
        for path in ("login", "register", "logout", "sessions/end"):
            answer = await post(web, path, headers={"Origin": origin}, name="Ann", secret=SECRET)
            assert answer.status == 403
        assert (
            await post(web, "register", headers={"Origin": "http://localhost"}, name="Ann", secret=SECRET)
        ).status == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "status"),
    [
        ("POST", "login", "text/plain", b'{"secret": "x"}', 400),
        ("POST", "login", "application/json", b"{", 400),
        ("POST", "login", "application/json", b'{"secret": 5}', 400),
        ("POST", "login", "application/json", b"x" * 5000, 413),
        ("GET", "login", "", None, 405),
        ("GET", "nonsense", "", None, 404),
        ("GET", "sessions", "", None, 401),
        ("POST", "sessions/end", "application/json", b'{"ids": []}', 401),
    ],
)
async def test_other_requests_are_refused(method: str, path: str, kind: str, body: bytes | None, status: int) -> None:
    async with asking() as web:
        answer = await web.ask(method, f"/api/{path}", body, Content_Type=kind)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False)])
async def test_the_cookie_is_secure_under_tls_and_passwords_need_it(proto: str, secure: bool) -> None:
    async with asking(trust_proxy=["127.0.0.1"], host=["chat.example"]) as web:
        account = await registered(web)
        code = await outcome(web, web.house.accounts.make_code, account)
        far = {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": proto, "Host": "chat.example:8443"}
        answer = await post(web, "login", name="Ann", secret=SECRET, headers=far)
        assert answer.status == (200 if secure else 403)
        answer = await post(web, "login", name="Ann", secret=code, headers=far)
        assert cookie_of(answer).startswith("hubbub-8443=")
        assert answer.headers["set-cookie"].endswith("; Secure") is secure


async def test_a_guest_in_the_chat_registers_and_stays_in_the_session() -> None:
    async with asking() as web:
        guest = await web.talk("Ann")
        await guest.sees("joined")
        answer = await post(web, "register", name="Ann", secret=SECRET, resume=guest.welcome["resume"])
        value = cookie_of(answer)
        assert (await guest.sees("account"))["name"] == "Ann"
        again = await post(web, "register", secret=SECRET, resume=guest.welcome["resume"])
        assert (again.status, again.json["code"]) == (400, "logged-in-already")
        assert (await post(web, "register", name="Ann", secret=SECRET)).json["code"] == "name-registered"
        assert (await post(web, "logout", value)).headers["set-cookie"].startswith("hubbub=; Path=/; Max-Age=0")
        assert (await guest.closed())[0] == 1008
        assert (await get(web, "account", value)).json["name"] == ""


async def test_a_guest_in_the_chat_logs_in() -> None:
    async with asking() as web:
        await registered(web)
        guest = await web.talk("Bo")
        resume = guest.welcome["resume"]
        assert (await post(web, "login", name="Ann", secret="guess", resume=resume)).status == 401
        assert cookie_of(await post(web, "login", name="Ann", secret=SECRET, resume=resume))
        assert (await guest.sees("nick"))["nick"] == "Ann"
        assert (await guest.sees("account"))["name"] == "Ann"


async def test_two_tabs_are_one_person_and_a_reload_is_no_noise() -> None:
    async with asking() as web:
        bo = await web.join("Bo")
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        one = await talk(web, value)
        await bo.sees(b"*** Ann has joined the chat ***\n")
        two = await talk(web, value)
        await two.sees("joined")
        await one.say(type="say", room="lobby", text="from one", label="m1")
        stored = await one.sees("stored")
        assert [entry["text"] for entry in (await two.sees("entries"))["entries"]] == ["from one"]
        await one.socket.close()
        await two.socket.close()
        await web.say("lobby", "while away")
        back = await talk(web, value, rooms={"lobby": stored["seq"]})
        assert (await back.sees("missed", room="lobby"))["count"] == 1
        assert [frame["type"] for frame in back.before] == ["account", "joined"]
        await back.sees("entries")
        await back.say(type="say", room="lobby", text="back", label="m2")
        assert await bo.sees(b"Ann: back\n") == b"Ann: from one\nci: while away\nAnn: back\n"


async def test_an_owner_ends_other_browsers_and_sessions() -> None:
    async with asking() as web:
        here = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        there = cookie_of(await post(web, "login", name="Ann", secret=SECRET))
        mine, other = await talk(web, here), await talk(web, there)
        nc = await web.connect()
        await nc.sees(b"Enter your name: ")
        nc.send("Ann\n")
        await nc.sees(b"(it can be seen): ")
        nc.send(f"{SECRET}\n/time\n")
        await nc.sees(b" UTC ***\n")
        listed = (await get(web, "sessions", here)).json
        ids = [one["id"] for one in listed["browsers"] if not one["current"]]
        ids += [one["id"] for one in listed["sessions"] if one["wire"] == "line"]
        assert len(ids) == 2
        left = (await post(web, "sessions/end", here, ids=ids)).json
        assert [one["current"] for one in left["browsers"]] == [True] and len(left["sessions"]) == 1
        assert (await other.closed())[0] == 1008
        assert b"You have ended this session" in await nc.rest()
        assert (await get(web, "account", there)).json["name"] == ""
        await mine.say(type="say", room="lobby", text="still here", label="m1")
        await mine.sees("stored")


async def test_an_owner_closes_the_account_with_the_password() -> None:
    async with asking() as web:
        here = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        ann = await talk(web, here)
        assert (await post(web, "unregister", secret=SECRET)).json["code"] == "not-logged-in"
        assert (await post(web, "unregister", here, secret="guess")).json["code"] == "wrong-password"
        assert (await get(web, "account", here)).json["name"] == "Ann"
        answer = await post(web, "unregister", here, secret=SECRET, take_back=True)
        assert answer.json["name"] == "" and "Max-Age=0" in answer.headers["set-cookie"]
        await ann.closed()
        assert web.house.accounts.find("Ann").deleted
        assert (await post(web, "login", name="Ann", secret=SECRET)).json["code"] == "wrong-password"


async def test_an_owner_lists_and_removes_ssh_keys() -> None:
    async with asking() as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        assert (await get(web, "keys")).status == (await post(web, "keys/end", ids=["x"])).status == 401
        assert (await get(web, "keys", value)).json == {"keys": []}
        accounts = web.house.accounts
        for one in ("SHA256:a", "SHA256:b"):
            key = SshKey(fingerprint=one, kind="ssh-ed25519")
            await outcome_of(partial(accounts.add_ssh_key, accounts.find("Ann"), key))
        listed = (await get(web, "keys", value)).json["keys"]
        assert [(key["id"], key["kind"]) for key in listed] == [
            ("SHA256:a", "ssh-ed25519"),
            ("SHA256:b", "ssh-ed25519"),
        ]
        left = (await post(web, "keys/end", value, ids=["SHA256:a"])).json["keys"]
        assert [key["id"] for key in left] == ["SHA256:b"]
        assert (await post(web, "keys/end", value, ids=["SHA256:x"])).json["code"] == "bad-value"


async def test_an_owner_makes_lists_and_ends_tokens() -> None:
    async with asking() as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        assert (await get(web, "tokens")).status == (await post(web, "tokens", name="x")).status == 401
        assert (await get(web, "tokens", value)).json == {"tokens": [], "made": ""}
        made = (await post(web, "tokens", value, name="ci", scopes=["say"], rooms=["#Ops", "ops"], days=1)).json
        (one,) = made["tokens"]
        assert (one["name"], one["scopes"], one["rooms"]) == ("ci", ["say"], ["ops"])
        assert abs(one["expires"] - one["created"] - 24 * 3600) < 60
        secret = {"Authorization": f"Bearer {made['made']}"}
        for room, status in (("ops", 201), ("lobby", 403)):
            path = f"/api/v1/rooms/{room}/messages"
            assert (await web.ask("POST", path, b"hi", **secret)).status == status
        assert (await web.ask("GET", "/api/tokens", **secret)).status == 401, "a token makes no token"
        full = (await post(web, "tokens", value)).json["tokens"][1]
        assert (full["scopes"], full["rooms"], full["expires"]) == (["read", "say"], [], 0)
        assert made["made"] not in str((await get(web, "tokens", value)).json)
        for wrong in ({"days": -1}, {"scopes": ["root"]}, {"rooms": ["x"] * 51}, {"rooms": ["a b"]}):
            assert (await post(web, "tokens", value, **wrong)).status == 400, wrong
        left = (await post(web, "tokens/end", value, ids=[one["id"]])).json["tokens"]
        assert [token["id"] for token in left] == [full["id"]]


async def test_an_owner_gets_a_code_for_another_device_and_anybody_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_pages, "PICTURES", 3)
    monkeypatch.setattr(account_pages, "PICTURES_SECONDS", 36_000)
    async with asking(no_limits=False) as web:
        web.house.hub.page_url = "http://192.0.2.1:8888/"
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        assert (await post(web, "link")).status == 401
        made = (await post(web, "link", value)).json
        assert made["page"] == "http://192.0.2.1:8888/", "this page has an address of this machine alone"
        assert cookie_of(await post(web, "login", secret=made["code"]))
        picture = (await post(web, "qr", text="http://192.0.2.1:8888/#link=BCDFGHJK")).json
        assert picture["path"].startswith("M4 4h7") and picture["size"] == 37
        for wrong in ("", "x" * 301):
            assert (await post(web, "qr", text=wrong)).status == 400
        assert [(await post(web, "qr", text="x")).status for _ in range(3)] == [200, 200, 429]


async def test_a_bot_says_hello_with_a_token_or_password() -> None:
    async with asking() as web:
        account = await registered(web, "ci")
        full = await token(web, account)
        bot = await web.talk()
        for guess in ("guess", SECRET * 100):
            await bot.say(type="hello", name="ci", password=guess, label="h1")
            assert (await bot.sees("error"))["code"] == "wrong-password"
        await bot.say(type="hello", name="ci", password=full, label="h2")
        assert (await bot.next()) | {"tag": "", "log": "", "resume": ""} == {
            "type": "welcome", "nick": "ci", "tag": "", "log": "", "resume": "", "label": "h2", "edit_minutes": 15,
        }  # fmt: skip
        await bot.sees("joined", room="lobby")
        second = await web.talk()
        await second.say(type="hello", name="ci", password=SECRET, rooms={"ops": None})
        assert {(await second.sees("joined"))["room"] for _ in range(2)} == {"lobby", "ops"}
        await outcome(web, web.house.accounts.end_tokens, account, [web.house.accounts.grant_id(full)])
        assert (await bot.closed())[0] == 1008
        await second.say(type="say", room="lobby", text="here", label="m1")
        await second.sees("stored")


async def test_a_bot_with_a_limited_token_is_held_to_it() -> None:
    async with asking() as web:
        account = await registered(web, "ci")
        for room in ("ops", "lobby"):
            await web.ask("POST", f"/api/v1/rooms/{room}/messages?name=Bo", b"words")
        bot = await web.talk()
        await bot.say(type="hello", name="ci", password=await token(web, account, rooms=("Ops",)))
        assert (await bot.sees("joined"))["room"] == "ops"
        for request in (
            {"type": "join", "room": "lobby"},
            {"type": "history", "room": "lobby"},
            {"type": "msg", "to": "ci", "text": "psst"},
        ):
            await bot.say(**request, label="l1")
            assert (await bot.sees("error"))["code"] == "token-limited"
        await bot.say(type="search", words="words", label="f1")
        assert [entry["room"] for entry in (await bot.sees("page"))["entries"]] == ["ops"]
        await bot.say(type="say", room="ops", text="here", label="m1")
        await bot.sees("stored")
        # One that may not read is in no room, and posts as the API does.
        secret = await token(web, account, rooms=("ops",), scopes=("say",), expires=web.house.hub.clock() + 3600)
        poster = await web.talk()
        await poster.say(type="hello", name="ci", password=secret)
        await poster.sees("welcome")
        await poster.say(type="say", room="ops", text="deployed", label="m2")
        assert (await poster.sees("stored"))["room"] == "ops"
        await poster.say(type="say", room="lobby", text="deployed", label="m3")
        assert (await poster.sees("error"))["code"] == "token-limited"
        await outcome(web, web.house.accounts.end_tokens, account, [web.house.accounts.grant_id(secret)])
        assert (await poster.closed())[0] == 1008


async def test_a_resumed_session_ends_with_its_cookie_too() -> None:
    async with asking() as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        first = await talk(web, value)
        again = await web.talk()
        await again.hello(name="Ann", resume=first.welcome["resume"])
        assert (await first.closed())[0] == 4001
        await post(web, "logout", value)
        assert (await again.closed())[0] == 1008


async def test_a_trusted_proxy_names_the_account() -> None:
    async with asking(trust_proxy=["127.0.0.1"], auth_header="Remote-User") as web:
        talker = await web.talk(headers={"Remote-User": "Ann"})
        assert (await talker.hello(name="x"))["nick"] == "Ann"
        assert (await web.ask("GET", "/api/account", Remote_User="Ann")).json["name"] == "Ann"
        assert (await web.ask("GET", "/api/account")).json["name"] == ""
        assert (await web.ask("GET", "/api/account", Remote_User="a b")).status == 400
    async with asking(auth_header="Remote-User") as web:
        assert (await web.ask("GET", "/api/account", Remote_User="Ann")).json["name"] == ""


@pytest.mark.parametrize("proxy", [False, True])
async def test_an_account_may_be_closed_between_handshake_and_hello(proxy: bool) -> None:
    async with asking(trust_proxy=["127.0.0.1"], auth_header="Remote-User") as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET)).partition("=")[2]
        cookie = {"Cookie": f"hubbub-{web.port}={value}"}
        talker = await web.talk(headers={"Remote-User": "Ann"} if proxy else cookie)
        account = web.house.accounts.find("Ann")
        await outcome(web, web.house.accounts.suspend, account)
        if not proxy:
            assert (await talker.closed())[0] == 1008
            return
        await talker.say(type="hello", name="Ann")
        assert (await talker.sees("error"))["code"] == "account-closed"


async def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking() as web:
        value = cookie_of(await post(web, "register", name="Ann", secret=SECRET))
        await post(web, "login", name="Ann", secret="a wrong guess")
        await talk(web, value)
        text = repr([vars(one) for one in caplog.records if not one.name.startswith("websockets.client")])
        assert SECRET not in text and "a wrong guess" not in text and value.partition("=")[2] not in text


async def test_a_limited_token_gets_no_cookie() -> None:
    async with asking() as web:
        account = await registered(web)
        limited, full = await token(web, account, scopes=("read", "say")), await token(web, account)
        assert cookie_of(await post(web, "login", name="Ann", secret=full))
        refused = await post(web, "login", name="Ann", secret=limited)
        guest = await web.talk("Bo")
        too = await post(web, "login", name="Ann", secret=limited, resume=guest.welcome["resume"])
        for answer in (refused, too):
            assert answer.json["code"] == "token-limited" and "set-cookie" not in answer.headers
        assert (await guest.sees("account"))["name"] == "Ann"


async def test_the_door_says_what_the_server_is_and_who_is_here_as_far_as_a_stranger_may_know() -> None:
    about = {"network": "Riverside", "description": "Lessons and clubs.", "motd": "Be kind."}
    async with asking(**about) as web:
        nobody = (await get(web, "door")).json
        assert nobody == {
            "name": "Riverside", "description": "Lessons and clubs.", "motd": "Be kind.",
            "people": 0, "names": [], "kept": False, "keep_days": 0.0,
        }  # fmt: skip
        await web.join("Bo")
        await web.join("Al")
        said = (await get(web, "door")).json
        assert (said["people"], said["names"]) == (2, ["Al", "Bo"])
        commands = (await get(web, "commands")).json["commands"]
        assert {
            "name": "kick",
            "usage": "NAME [REASON]",
            "help": "Remove somebody from the room.",
            "group": "operators",
        } in commands
    async with asking(guests="no", description="Riverside", network="Riverside") as web:
        said = (await get(web, "door")).json
        assert (said["people"], said["names"], said["description"]) == (0, [], "")


async def test_page_saves_the_transcript_of_a_room_that_its_session_may_read() -> None:
    async with asking() as web:
        ada, bob = await web.talk("Ada"), await web.talk("Bob")
        await ada.say(type="join", room="ops")
        await ada.sees("joined", room="ops")
        await ada.say(type="command", room="ops", line="/set invite-only on")
        await ada.say(type="say", room="ops", text="secret", label="s")
        await ada.sees_label("s")
        wanted = {"room": "ops", "format": "text"}
        answer = await post(web, "transcript", resume=ada.welcome["resume"], **wanted)
        assert answer.status == 200 and "Ada: secret" in answer.body.decode()
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''ops.txt"
        assert (await post(web, "transcript", resume=bob.welcome["resume"], **wanted)).status == 403
        assert (await post(web, "transcript", resume="guessed", **wanted)).status == 401
