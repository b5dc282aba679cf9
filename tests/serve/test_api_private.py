"""The private conversations of a token's account on the API: for nobody else, and only with the scope `private`."""

from __future__ import annotations

from urllib.parse import quote

from asking import Peer, Web, asking
from test_api_accounts import ask, registered, token

PRIVATE = "/api/v1/private"
WITH_BO = f"{PRIVATE}/Bo/messages"
ALL = (PRIVATE, WITH_BO, f"{PRIVATE}/Bo/search?q=tea")
SCOPES = ("read", "say", "private")


async def enter(web: Web, name: str, *lines: str) -> Peer:
    """Let the owner of an account come with nc and type some lines."""
    peer = await web.connect()
    await peer.sees(b"Enter your name: ")
    peer.send(f"{name}\n")
    await peer.sees(b"(it can be seen): ")
    peer.send("\n".join(["open sesame", *lines, "/time", ""]))
    await peer.sees(b" UTC ***\n")
    return peer


async def talked(web: Web) -> tuple[str, str, str]:
    """Let Ann and Bo talk in private; return tokens of Ann, Bo, and Cy, who was not there."""
    tokens = [await token(web, await registered(web, name), scopes=SCOPES) for name in ("Ann", "Bo", "Cy")]
    ann, bo = await enter(web, "Ann"), await enter(web, "Bo")
    for count in range(3):
        ann.send(f"/msg Bo green tea {count}\n")
    await bo.sees(b"(private): green tea 2\n")
    bo.send("/msg Ann no tea\n")
    await ann.sees(b"(private): no tea\n")
    return tokens[0], tokens[1], tokens[2]


def texts(page: dict[str, list[dict[str, str]]]) -> list[tuple[str, str, str]]:
    return [(entry["room"], entry["nick"], entry["text"]) for entry in page["entries"]]


async def test_both_read_and_search_a_conversation_in_pages_and_nobody_else_does() -> None:
    async with asking() as web:
        ann, bo, cy = await talked(web)
        page = (await ask(web, f"{WITH_BO}?last=2", ann)).json
        assert texts(page) == [("@Bo", "Ann", "green tea 2"), ("@Ann", "Bo", "no tea")] and page["more"]
        seq = page["entries"][0]["seq"]
        before = (await ask(web, f"{PRIVATE}/%40bo/messages?before={seq}", ann)).json
        assert [text for _, _, text in texts(before)] == ["green tea 0", "green tea 1"] and not before["more"]
        after = (await ask(web, f"{PRIVATE}/ANN/messages?after={seq}", bo)).json
        assert texts(after) == [("@Ann", "Bo", "no tea")]
        assert len((await ask(web, f"{PRIVATE}/Ann/search?q=green", bo)).json["entries"]) == 3
        assert len((await ask(web, "/api/v1/search?q=tea", ann)).json["entries"]) == 4
        plain = await ask(web, f"{WITH_BO}?last=1", ann, Accept="text/plain")
        assert plain.body.endswith(b" Bo: no tea\n")
        listed = (await ask(web, PRIVATE, ann)).json
        assert [one["name"] for one in listed["conversations"]] == ["Bo"] and listed["more"] == 0
        assert (await ask(web, PRIVATE, bo, Accept="text/plain")).body == b"Ann\n"
        assert (await ask(web, PRIVATE, cy)).json == {"conversations": [], "more": 0}
        for path in (WITH_BO, "/api/v1/search?q=tea", f"{PRIVATE}/Ann/search?q=tea"):
            assert (await ask(web, path, cy)).json["entries"] == [], path


async def test_the_list_goes_on_by_name() -> None:
    async with asking() as web:
        ann, _, _ = await talked(web)
        await enter(web, "Ann", "/msg Cy hello")
        first = await ask(web, f"{PRIVATE}?after=&limit=1", ann)
        assert [one["name"] for one in first.json["conversations"]] == ["Bo"] and first.json["more"] == 1
        link = first.headers["link"].partition(">")[0].removeprefix("<")
        rest = await ask(web, f"/api/v1/{link}", ann)
        assert [one["name"] for one in rest.json["conversations"]] == ["Cy"] and "link" not in rest.headers


async def test_a_token_without_the_scope_sees_nothing() -> None:
    async with asking() as web:
        await talked(web)
        account = web.house.accounts.find("Ann")
        assert account
        for scopes in (("read",), ("private",), ("read", "say"), ("read", "say", "admin")):
            secret = await token(web, account, scopes=scopes)
            for path in ALL:
                answer = await ask(web, path, secret)
                assert (answer.status, answer.json["code"]) == (403, "token-limited")
            if "read" in scopes:
                assert (await ask(web, "/api/v1/search?q=tea", secret)).json["entries"] == []
            assert (await ask(web, f"{WITH_BO}?id=x", secret, method="DELETE")).status == 403


async def test_guests_and_tokens_for_some_rooms_are_refused() -> None:
    async with asking() as web:
        await talked(web)
        account = web.house.accounts.find("Ann")
        assert account
        secret = await token(web, account, scopes=SCOPES, rooms=("lobby",))
        for path in ALL:
            assert ((await web.ask("GET", path)).status, (await ask(web, path, secret)).status) == (401, 403)
        assert (await ask(web, "/api/v1/search?q=tea", secret)).json["entries"] == []
        assert (await web.ask("DELETE", f"{WITH_BO}?id=x")).status == 401


async def test_other_names_lead_to_no_conversation() -> None:
    async with asking() as web:
        secret = await token(web, await registered(web), scopes=SCOPES)
        for name in ("Nemo", "\u0412o", "@", "@@Bo", "%", "a+b", "@a+b", "x" * 1000, "Bo\0", "../rooms"):
            for rest in ("messages", "search?q=tea"):
                answer = await ask(web, f"{PRIVATE}/{quote(name, safe='')}/{rest}", secret)
                assert (answer.status, answer.json["code"]) == (400, "no-such-name"), name


async def test_authors_delete_their_messages_and_both_see_it() -> None:
    async with asking() as web:
        ann, bo, cy = await talked(web)
        page = (await ask(web, WITH_BO, ann)).json
        mine, his = page["entries"][0]["id"], page["entries"][3]["id"]
        await web.ask("POST", "/api/v1/rooms/lobby/messages?name=ci", b"in the lobby")
        other = (await web.ask("GET", "/api/v1/rooms/lobby/messages?last=1")).json["entries"][0]["id"]
        screen = await enter(web, "Bo")
        done = await ask(web, f"{WITH_BO}?id={mine}&reason=typo", ann, method="DELETE")
        assert (done.status, done.json["kind"], done.json["text"], done.json["room"]) == (
            200, "redact", f"{mine} typo", "@Bo",
        )  # fmt: skip
        await screen.sees(b"*** Ann has deleted a private message ***\n")
        for secret, path, id, code in (
            (ann, WITH_BO, his, "not-yours"),
            (ann, WITH_BO, mine, "no-such-message"),
            (ann, WITH_BO, other, "no-such-message"),
            (ann, f"{PRIVATE}/Cy/messages", page["entries"][1]["id"], "no-such-message"),
            (cy, WITH_BO, page["entries"][1]["id"], "no-such-message"),
            (bo, f"{PRIVATE}/Ann/messages", page["entries"][1]["id"], "not-yours"),
            (ann, WITH_BO, "x" * 200, "query-invalid"),
        ):
            refused = await ask(web, f"{path}?id={id}", secret, method="DELETE")
            assert (refused.status, refused.json["code"]) == (400, code), (path, id)
        assert [text for _, _, text in texts((await ask(web, WITH_BO, ann)).json)] == [
            "green tea 1", "green tea 2", "no tea",
        ]  # fmt: skip
        plain = await ask(web, f"{PRIVATE}/Ann/messages?id={his}", bo, method="DELETE", Accept="text/plain")
        assert plain.status == 200 and b"deleted a message" in plain.body


async def test_a_token_sends_private_messages_of_its_account() -> None:
    async with asking() as web:
        ann, bo, _ = await talked(web)
        screens = [await enter(web, "Ann"), await enter(web, "Bo")]
        sent = await ask(web, WITH_BO, ann, method="POST", body=b"more tea?\n\tgreen")
        assert (sent.status, sent.json["room"], sent.json["nick"], sent.json["text"]) == (
            201,
            "@Bo",
            "Ann",
            "more tea?\n\tgreen",
        )
        await screens[1].sees(b"Ann (private): \tgreen\n")
        await screens[0].sees(b"green\n")
        assert texts((await ask(web, f"{PRIVATE}/Ann/messages?last=1", bo)).json) == [
            ("@Bo", "Ann", "more tea?\n\tgreen")
        ]
        lines = await ask(web, f"{PRIVATE}/Cy/messages", ann, method="POST", body=b"for later", Accept="text/plain")
        assert (lines.status, lines.body.endswith(b" Ann: for later\n")) == (201, True)
        guest = await web.connect()
        guest.send("Gus\n/time\n")
        await guest.sees(b" UTC ***\n")
        unstored = await ask(web, f"{PRIVATE}/gus/messages", ann, method="POST", body=b"hello guest")
        assert (unstored.status, unstored.json["room"], unstored.json["seq"]) == (201, "@Gus", 0)
        await guest.sees(b"Ann (private): hello guest\n")
        await screens[0].sees(b"hello guest\n")


async def test_private_messages_that_cannot_be_sent_are_refused() -> None:
    async with asking() as web:
        await talked(web)
        account = web.house.accounts.find("Ann")
        assert account
        secret = await token(web, account, scopes=SCOPES)
        for name, body, code in (
            ("Nemo", b"hello", "no-such-name"),
            ("Bo", b"", "no-text"),
            ("Bo", b"x" * 20_000, "text-too-long"),
        ):
            refused = await ask(web, f"{PRIVATE}/{name}/messages", secret, method="POST", body=body)
            assert (refused.status // 100, refused.json["code"]) == (4, code)
        for scopes in (("read", "private"), ("say",), ("read", "say")):
            limited = await token(web, account, scopes=scopes)
            assert (await ask(web, WITH_BO, limited, method="POST", body=b"hello")).status == 403
        rooms = await token(web, account, scopes=SCOPES, rooms=("lobby",))
        assert (await ask(web, WITH_BO, rooms, method="POST", body=b"hello")).status == 403
        assert (await web.ask("POST", WITH_BO, b"hello")).status == 401
        assert len((await ask(web, f"{WITH_BO}", secret)).json["entries"]) == 4
