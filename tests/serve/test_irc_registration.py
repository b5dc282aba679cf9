"""Coming in by IRC: names, passwords, capabilities, and what is no IRC client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from irc_peering import House, IrcPeer, irc_house
from virtual_time import virtual_time

from hubbub.text.refusals import LOGINS_BUSY, TOO_MANY
from irc_messages import ANY, fits, the, told, verbs

USER = "USER ida 0 * :Ida"


async def greeted(house: House, *lines: str | bytes) -> IrcPeer:
    """Return a client that came in by these lines."""
    ida: IrcPeer = await house.connect()
    ida.say(*lines)
    ida.nick = (await ida.awaits("001", ANY)).params[0]
    await ida.sync()
    return ida


# --- ornaments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "username", "real"),
    [
        ("USER ida 0 * :Ida B.", "~ida", "Ida B."),
        (b"USER jose 0 * :Jos\xe9", "~jose", "Jos\ufffd"),
        (b"USER jos\xe9 0 * :Jose", "~jos", "Jose"),
        (b"USER \xe9 0 * :\xff\xfe", "~user", "\ufffd\ufffd"),
        ("USER Иван 0 * :Иван", "~user", "Иван"),
        ("USER José 0 * :José", "~Jose", "José"),
        ("USER 😊 0 * :😊", "~user", "😊"),
        ("USER !@* 0 * :x", "~user", "x"),
        (f"USER {'u' * 300} 0 * :{'r' * 170}", f"~{'u' * 20}", "r" * 150),
        ("USER ida x y :\x02\x1b[31mbold", "~ida", "bold"),
        ("USER a b c d", "~a", "d"),
        ("user ida 0 * :lower case", "~ida", "lower case"),
        (":ida!i@h USER ida 0 * :with a source", "~ida", "with a source"),
        ("@+x=y USER ida 0 * :with a tag", "~ida", "with a tag"),
    ],
)
@virtual_time
async def test_no_user_or_real_name_keeps_a_client_out(user: str | bytes, username: str, real: str) -> None:
    async with irc_house() as house:
        ida = await greeted(house, "NICK ida", user)
        whois = the(await ida.ask("WHOIS ida"), "311", "ida", "ida")
        assert (whois.params[2], whois.params[-1]) == (username, real)


@pytest.mark.parametrize(
    "first",
    [
        ["PASS"],
        ["PASS "],
        ["PASS :"],
        ["pass :"],
        ["PASS wanted-by-nobody"],
        [b"PASS \xff"],
        ["CAP"],
        ["CAP SNEEZE"],
        ["CAP :"],
        ["cap clear"],
        ["CAP END"],
        ["CAP LIST"],
        ["CAP LS 302", "CAP REQ :sasl", "AUTHENTICATE PLAIN", "CAP END"],
        ["CAP LS", "CAP REQ :nothing-known", "CAP END"],
        ["CAP LS 99999999999999999999", "CAP END"],
        ["PING x", "PONG y"],
        ["AUTHENTICATE", "AUTHENTICATE *"],
        ["STARTTLS"],
        ["", "\r", " "],
        ["NICK", "NICK :"],
        ["JOIN :"],  # irssi does so
        ["JOIN #a", "MODE x"],
    ],
)
@virtual_time
async def test_nothing_before_it_keeps_a_client_out(first: list[str | bytes]) -> None:
    async with irc_house() as house:
        ida = await greeted(house, *first, "NICK ida", USER)
        assert ida.nick == "ida"
        ida = await greeted(house, "NICK ann", *first, USER)
        assert ida.nick == "ann"


@virtual_time
async def test_the_whole_registration_may_come_with_sources_in_lower_case() -> None:
    async with irc_house(irc_password="sesame") as house:
        ida = await greeted(house, ":x PASS sesame", ":ida nick ida", ":ida!i@h  user ida 0 * :Ida")
        assert ida.nick == "ida"


@pytest.mark.parametrize("line", [b"QUIT :adi\xf3s", b"QUIT :\xff", b"quit"])
@virtual_time
async def test_a_quit_that_is_not_utf8_is_a_quit(line: bytes) -> None:
    async with irc_house() as house:
        nina, ida = await house.irc("Nina", join="#ops"), await house.irc("Ida", join="#ops")
        ida.say(line)
        await ida.rest()
        assert told(await nina.sync(), "QUIT")


@pytest.mark.parametrize("text", [b"PART #ops :adi\xf3s", b"AWAY :adi\xf3s"])
@virtual_time
async def test_reasons_that_are_not_utf8_are_shown_with_a_replacement(text: bytes) -> None:
    async with irc_house() as house:
        nina, ida = await house.irc("Nina", "away-notify", join="#ops"), await house.irc("Ida", join="#ops")
        ida.say(text)
        await ida.sync()
        (shown,) = await nina.sync()
        assert shown.verb == text.split()[0].decode() and shown.params[-1] == "adi\ufffds"


@virtual_time
async def test_a_nick_that_is_not_utf8_is_refused_by_a_sentence() -> None:
    async with irc_house() as house:
        ida = await house.connect()
        for _ in range(5):
            ida.say(b"NICK jos\xe9")
        refusals = await ida.ask(USER)
        assert verbs(refusals) == ["432"] * 5 and "UTF-8" in refusals[0].params[-1]
        await greeted(house, "NICK jose", USER)


# --- names ----------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_name_is_held_by_nobody_before_the_registration() -> None:
    async with irc_house() as house:
        squatters = [await house.connect() for _ in range(12)]
        for squatter in squatters:
            assert not await squatter.ask("NICK ida")
        nina = await house.nc("Ida")
        assert await nina.sync() == ""
        assert not [one for one in squatters if one.ended]
        assert fits((await squatters[0].ask(USER))[0], "433", "*", "ida")


@virtual_time
async def test_first_registration_gets_the_name() -> None:
    async with irc_house() as house:
        first, second = await house.connect(), await house.connect()
        for one in (first, second):
            assert not await one.ask("CAP LS 302", "NICK ida", USER) or True
        await second.ask("CAP END")
        (refusal,) = told(await first.ask("CAP END"), "433")
        assert refusal.params[1] == "ida"
        assert (await first.ask("NICK ida_"))[0].verb == "001"


@pytest.mark.parametrize(
    ("name", "code"), [("a b", "461"), ("#ida", "432"), ("admin", "432"), (":", "431"), ("x" * 40, "432")]
)
@virtual_time
async def test_names_that_cannot_be_are_refused_at_once(name: str, code: str) -> None:
    async with irc_house() as house:
        ida = await house.connect()
        answers = await ida.ask(f"NICK {name}")
        assert verbs(answers) == ([code] if code != "461" else [])  # of two words the first is taken
        assert (await ida.ask("NICK ida", USER))[0].verb == "001"


@virtual_time
async def test_a_client_that_goes_before_it_is_in_leaves_nothing() -> None:
    async with irc_house() as house:
        for lines in (["NICK ida"], ["NICK ida", USER], ["CAP LS", "NICK ida", USER]):
            ida = await house.connect()
            ida.say(*lines)
            ida.vanish()
            await asyncio.sleep(1)
            assert not house.hub.users and not house.network.unregistered and not house.network.clients


# --- what is no IRC client ------------------------------------------------------------------------------------------

HEADERS = ["Host: 127.0.0.1", "Content-Type: text/plain", "Origin: http://evil.example", ""]
REGISTRATION = ["NICK victim", "USER v 0 * :v", "JOIN #lobby", "PRIVMSG #lobby :spam"]


@pytest.mark.parametrize(
    "verb", ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE", "PRI", "get"]
)
@virtual_time
async def test_http_is_ended_at_once(verb: str) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#lobby")
        browser = await house.connect()
        browser.say(f"{verb} / HTTP/1.1", *HEADERS, *REGISTRATION)
        (error,) = await browser.rest()
        assert error.verb == "ERROR" and "HTTP" in error.params[-1]
        assert not await nina.sync()


@pytest.mark.parametrize(
    "junk",
    [
        HEADERS,
        ["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"],
        [b"\xff\xfe", b"\x80\x81", b"\xfe"],
        ["x" * 20000] * 3,
        ["JOIN #a"] * 3,
    ],
)
@virtual_time
async def test_three_things_that_only_registered_clients_say_end_it(junk: list[Any]) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#lobby")
        stranger = await house.connect()
        stranger.say(*junk, *REGISTRATION)
        assert (await stranger.rest())[-1].verb == "ERROR"
        assert not await nina.sync()
        assert not house.network.unregistered


# --- capabilities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hubbub.local", "irc.example.org"])
@virtual_time
async def test_all_capabilities_fit_in_one_line(name: str) -> None:
    async with irc_house(server_name=name) as house:
        ida = await house.connect()
        (answer,) = await ida.ask("CAP LS 302")
        assert answer.params[:2] == ("*", "LS") and len(answer.params) == 3
        assert {"server-time", "batch", "draft/chathistory"} <= set(answer.params[-1].split())
        assert len(ida.lines[0]) <= 510


@virtual_time
async def test_what_does_not_fit_in_a_line_comes_in_several() -> None:
    async with irc_house(server_name="x" * 63) as house:
        ida = await house.connect()
        answers = await ida.ask("CAP LS 302")
        assert [len(answer.params) for answer in answers] == [4] * (len(answers) - 1) + [3] and len(answers) > 1
        assert "message-tags" in answers[0].params[-1] and max(map(len, ida.lines)) <= 510


@pytest.mark.parametrize("cap", ["draft/no-implicit-names", "draft/metadata-2"])
@virtual_time
async def test_older_names_of_capabilities_are_granted_though_not_listed(cap: str) -> None:
    async with irc_house() as house:
        ida = await house.connect()
        (listed,) = await ida.ask("CAP LS 302")
        assert cap not in listed.params[-1]
        assert fits((await ida.ask(f"CAP REQ {cap}"))[0], "CAP", "*", "ACK", cap)


@virtual_time
async def test_a_client_that_wants_sasl_is_let_in_without() -> None:
    async with irc_house() as house:
        ida = await house.connect()
        assert "sasl" not in (await ida.ask("CAP LS 302"))[0].params[-1]
        assert fits((await ida.ask("CAP REQ :sasl"))[0], "CAP", "*", "NAK", "sasl")
        (refusal,) = await ida.ask("AUTHENTICATE PLAIN")
        assert refusal.verb == "904"
        assert (await ida.ask("NICK ida", USER, "CAP END"))[0].verb == "001"
        assert (await ida.ask("AUTHENTICATE PLAIN"))[0].verb == "904"


@virtual_time
async def test_the_welcome_tells_no_host() -> None:
    async with irc_house() as house:
        welcome = (await (ida := await house.connect()).register("Ida"))[0]
        assert welcome.params[-1] == "Welcome to the hubbub Network, Ida"
        assert ida.nick == "Ida"


# --- web gateways ---------------------------------------------------------------------------------------------------

GATE = {"webirc_from": ["203.0.113.7", "10.0.0.0/8"], "webirc_password": "$argon2id$x"}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("198.51.100.4", "198.51.100.4"),
        ("2001:db8::1", "2001:db8::/64"),
        ("0::ffff:198.51.100.4", "198.51.100.4"),
        ("::ffff:198.51.100.4", "198.51.100.4"),
    ],
)
@virtual_time
async def test_web_gateway_gives_the_address_of_its_client(address: str, host: str) -> None:
    async with irc_house(**GATE) as house:
        counted: list[tuple[str, str]] = []
        house.shared.recount = lambda before, after: counted.append((before, after))  # type: ignore[func-returns-value]
        webirc = f"WEBIRC gate-way lounge host.example {':' if address.startswith(':') else ''}{address}"
        ida = await greeted(house, webirc, "NICK ida", USER)
        assert the(await ida.ask("WHOIS ida"), "311").params[3] == f"{host}-cloak.irc"
        assert counted == [("203.0.113.7", host)]
        assert fits((await ida.ask(webirc))[0], "462")


@pytest.mark.parametrize(
    ("line", "origin", "settings"),
    [
        ("WEBIRC wrong lounge host 198.51.100.4", "203.0.113.7", GATE),
        ("WEBIRC gate-way lounge host 198.51.100.4", "203.0.113.8", GATE),
        ("WEBIRC gate-way lounge host nonsense", "203.0.113.7", GATE),
        ("WEBIRC gate-way lounge host 198.51.100.4", "203.0.113.7", {}),
        ("WEBIRC gate-way lounge host 198.51.100.4", "203.0.113.7", {**GATE, "webirc_password": ""}),
    ],
)
@virtual_time
async def test_webirc_from_other_addresses_is_refused(line: str, origin: str, settings: dict[str, Any]) -> None:
    async with irc_house(**settings) as house:
        stranger = await house.connect(origin=origin)
        stranger.say(line, "NICK ida", USER)
        assert verbs(await stranger.rest()) == ["ERROR"]
        assert not house.network.clients


@virtual_time
async def test_gateway_whose_password_cannot_be_checked_is_asked_to_try_again() -> None:
    async with irc_house(**GATE) as house:
        house.network.verify_gateway = lambda password, done: done(None)
        stranger = await house.connect()
        stranger.say("WEBIRC gate-way lounge host 198.51.100.4")
        assert LOGINS_BUSY().text in (await stranger.rest())[-1].params[-1]


@virtual_time
async def test_a_gateway_that_says_too_little_may_go_on() -> None:
    async with irc_house(**GATE) as house:
        assert (await greeted(house, "WEBIRC gate-way", "NICK ida", USER)).nick == "ida"


@pytest.mark.parametrize(
    ("encrypted", "options", "safe"),
    [(True, " :secure", True), (False, " :secure", False), (True, "", False), (True, " :local-port=1 secure x", True)],
)
@virtual_time
async def test_gateway_reports_whether_its_client_is_encrypted(encrypted: bool, options: str, safe: bool) -> None:
    async with irc_house(**GATE) as house:
        ida = await house.connect(secure=encrypted)
        ida.say(f"WEBIRC gate-way lounge host 198.51.100.4{options}")
        await ida.register("ida")
        assert bool(told(await ida.ask("WHOIS ida"), "671")) is safe


@virtual_time
async def test_connection_limit_applies_behind_a_gateway() -> None:
    async with irc_house(**GATE) as house:
        house.shared.recount = lambda before, after: TOO_MANY()
        ida = await house.connect()
        ida.say("WEBIRC gate-way lounge host 198.51.100.4")
        assert TOO_MANY().text in (await ida.rest())[-1].params[-1]
        await asyncio.sleep(15)
        assert house.gone[0].origin == "203.0.113.7"
