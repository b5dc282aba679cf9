"""Accounts on IRC: logging in before and after registration, and registering a name."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from irc_peering import House, IrcPeer, irc_house
from msgspec import structs
from virtual_time import virtual_time

from doubles import FakeAccounts
from hubbub.chat.users.accounts import Checked, LoginPeer, ScramAnswer
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Permit
from hubbub.text import refusals
from irc_messages import ANY, Message, fits

USER = "USER ida 0 * :Ida"
NOT = "904"


class Accounts(FakeAccounts):
    """Accounts that answer by themselves, a moment later."""

    mechanisms = ("PLAIN", "SCRAM-SHA-256")

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.asked = Later()  # type: ignore[assignment]

    def scram(self, peer: LoginPeer) -> Any:
        return Scram(self)


class Later(list[Callable[[], None]]):
    def append(self, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(0.1, call)


class Scram:
    """A SCRAM login that lets everybody in who knows the way."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._steps = [b"n,,n=Ann", b"proof", b""]

    def step(self, message: bytes, answer: ScramAnswer) -> None:
        known = self._steps.pop(0) == message
        account = self._accounts.find("Ann")
        assert account
        answers = {2: b"r=" + b"x" * 298, 1: b"v=server", 0: account}
        outcome: Any = answers[len(self._steps)] if known else refusals.LOGIN_FAILED()
        self._accounts.asked.append(lambda: answer(outcome))


def plain(name: str, secret: str = "secret") -> str:
    return "AUTHENTICATE " + base64.b64encode(f"\0{name}\0{secret}".encode()).decode()


def town(house: House, *names: str) -> Accounts:
    accounts = Accounts(*names)
    house.hub.use_accounts(accounts)
    return accounts


async def logged_in(house: House, name: str, *caps: str, nick: str = "") -> IrcPeer:
    """Return a client that has logged in by SASL while it registered; what it was greeted with is in `seen`."""
    peer: IrcPeer = await house.connect()
    peer.say("CAP LS 302", f"NICK {nick or name}", USER, f"CAP REQ :{' '.join(['sasl', *caps])}", "AUTHENTICATE PLAIN")
    await peer.awaits("AUTHENTICATE", "+")
    peer.say(plain(name))
    await peer.awaits("903", ANY, ANY)
    peer.say("CAP END")
    peer.nick = (await peer.awaits("001", ANY)).params[0]
    return peer


def verbs(messages: list[Message]) -> list[str]:
    return [one.verb for one in messages]


@virtual_time
async def test_sasl_and_registration_are_offered() -> None:
    async with irc_house() as house:
        town(house)
        ida = await house.connect()
        words = [word for one in await ida.ask("CAP LS 302") for word in one.params[-1].split()]
        assert "sasl=PLAIN,SCRAM-SHA-256" in words
        assert "draft/account-registration=before-connect,custom-account-name" in words
        (old,) = await (await house.connect()).ask("CAP LS")
        assert "sasl" in old.params[-1].split() and "draft/account-registration" in old.params[-1].split()
        assert fits((await ida.ask("CAP REQ :sasl"))[0], "CAP", "*", "ACK", "sasl")


@virtual_time
async def test_a_login_before_registration() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        ann: IrcPeer = await house.connect()
        await ann.ask("CAP LS 302", "NICK guest", USER, "CAP REQ :sasl")
        (go,) = await ann.ask("AUTHENTICATE plain")
        assert fits(go, "AUTHENTICATE", "+")
        told = await ann.ask(plain("ANN"))
        assert fits(told[0], "900", "guest", "Ann!~user@idann.account", "Ann", "You are now logged in as Ann")
        assert fits(told[1], "903", "guest", ANY) and len(told) == 2
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Ann", "wrong"))) == ["AUTHENTICATE", "904"]
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Bo"))) == ["AUTHENTICATE", "900", "903"]
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Ann"))) == ["AUTHENTICATE", "900", "903"]
        greeting = await ann.ask("CAP END")
        assert fits(greeting[0], "001", "Ann", ANY) and "900" not in verbs(greeting)
        user = house.hub.nicks.find("Ann")
        assert user and user.account == accounts.find("Ann") and user.real == "Ida"
        # Later one can log in again, but not to another account.
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Ann"))) == ["AUTHENTICATE", "900", "903"]
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Bo"))) == ["AUTHENTICATE", "907"]
        assert verbs(await ann.ask("AUTHENTICATE PLAIN", plain("Ann", "wrong"))) == ["AUTHENTICATE", "904"]
        said = [one.params[-1] for one in await ann.ask("NS IDENTIFY Bo secret", "NS IDENTIFY secret")]
        assert said[0] == "You are logged in as Ann already." and said[-1] == "You are logged in as Ann."
        assert house.hub.nicks.find("Ann") is user and ann.connection.client.account.name == "Ann"


@virtual_time
async def test_scram() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ann: IrcPeer = await house.connect()
        messages = [base64.b64encode(text).decode() or "+" for text in (b"n,,n=Ann", b"proof", b"")]
        await ann.ask("CAP LS 302", "NICK Ann", USER, "AUTHENTICATE SCRAM-SHA-256")
        first = await ann.ask(f"AUTHENTICATE {messages[0]}")
        assert [len(one.params[0]) for one in first] == [400, 1]
        (final,) = await ann.ask(f"AUTHENTICATE {messages[1]}")
        assert base64.b64decode(final.params[0]) == b"v=server"
        assert verbs(await ann.ask(f"AUTHENTICATE {messages[2]}")) == ["900", "903"]
        bad: IrcPeer = await house.connect()
        await bad.ask("AUTHENTICATE SCRAM-SHA-256")
        assert verbs(await bad.ask(f"AUTHENTICATE {messages[1]}")) == [NOT]
        assert verbs(await bad.ask("AUTHENTICATE PLAIN")) == ["AUTHENTICATE"]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["AUTHENTICATE FOO"], ["908", NOT]),
        (["AUTHENTICATE *"], ["906"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE *", "AUTHENTICATE PLAIN"], ["AUTHENTICATE", "906", "AUTHENTICATE"]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE ***"], ["AUTHENTICATE", NOT]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE +"], ["AUTHENTICATE", NOT]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE " + "A" * 450], ["AUTHENTICATE", "905"]),
        (["AUTHENTICATE PLAIN", *["AUTHENTICATE " + "A" * 400] * 11], ["AUTHENTICATE", NOT]),
        (["AUTHENTICATE PLAIN", plain("Ann", "wrong")], ["AUTHENTICATE", NOT]),
        (["AUTHENTICATE PLAIN", plain("Nobody")], ["AUTHENTICATE", NOT]),
        (["CAP LS 302", "AUTHENTICATE PLAIN", "CAP END"], ["CAP", "CAP", "AUTHENTICATE", "906"]),
    ],
)
@virtual_time
async def test_a_login_that_fails(lines: list[str], answer: list[str]) -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ida: IrcPeer = await house.connect()
        assert verbs(await ida.ask(*lines)) == answer
        assert verbs(await ida.ask("NICK ida", USER, "CAP END"))[0] == "001"


@virtual_time
async def test_a_registered_nick_needs_a_login() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ida: IrcPeer = await house.connect()
        refused, how = await ida.ask("NICK ann", USER)
        assert fits(refused, "433", "*", "ann", ANY)
        assert fits(how, "NOTICE", "*", ANY) and "/quote PASS ann:PASSWORD" in how.params[1]
        (wrong,) = await ida.ask("PASS ann:wrong")
        assert wrong.verb == "464" and "password of ann" in wrong.params[-1]
        assert verbs(await ida.ask("PASS ann:secret"))[:2] == ["900", "001"]
        bo: IrcPeer = await house.connect()
        assert verbs(await bo.ask("CAP LS 302", "NICK ann", USER)) == ["CAP", "CAP"]
        assert verbs(await bo.ask("CAP END")) == ["433", "NOTICE"]
        assert verbs(await bo.ask("NICK bo"))[0] == "001"
        refused, how = await bo.ask("NICK Ann")
        assert refused.verb == "433" and "/msg NickServ IDENTIFY Ann PASSWORD" in how.params[1]


@virtual_time
async def test_a_login_after_registration() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        guest = await house.irc("guest", join="#ops")
        bo = await house.irc("bo", join="#ops")
        told = await guest.ask("AUTHENTICATE PLAIN", plain("Ann"))
        assert [one for one in verbs(told) if one != "AUTHENTICATE"] == ["900", "903", "NICK", "MODE", "MODE"]
        assert verbs(await bo.sync()) == ["NICK", "MODE"]
        # Another client of the same person becomes one of the same user.
        other = await house.irc("other", join="#old")
        told = await other.ask("AUTHENTICATE PLAIN", plain("Ann"))
        shown = [one for one in verbs(told) if one in ("PART", "NICK", "900", "903", "JOIN")]
        assert shown == ["900", "903", "PART", "NICK", "JOIN"]
        assert await bo.sync() == []
        await other.ask("PRIVMSG #ops hi")
        assert fits((await bo.sync())[0], "PRIVMSG", "#ops", "hi")


@virtual_time
async def test_the_server_alone_sets_the_mode_of_people_who_are_logged_in() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann")
        ann = await logged_in(house, "Ann")
        assert fits((await ann.sync())[-1], "MODE", "Ann", "+r")
        assert fits((await ann.ask("MODE Ann"))[0], "221", "Ann", "+r")
        assert await ann.ask("MODE Ann -r", "MODE Ann +r") == []
        guest = await house.irc("guest")
        assert fits((await guest.ask("MODE guest +r", "MODE guest +R"))[0], "MODE", "guest", "+R")
        assert fits((await guest.ask("MODE guest"))[0], "221", "guest", "+R")
        # A guest who becomes one of Ann's clients has her modes; what one client changes, the others are shown.
        await ann.ask("MODE Ann +i")
        told = await guest.ask("AUTHENTICATE PLAIN", plain("Ann"))
        assert [one.params for one in told if one.verb == "MODE"] == [("Ann", "+ir-R")]
        assert [one.params for one in await guest.ask("MODE Ann +wi-i")] == [("Ann", "+w-i")]
        assert [one.params for one in await ann.sync()] == [("Ann", "+w-i")]
        accounts.add("Ann", operator=True)
        assert [one.params for one in await guest.sync()] == [("Ann", "+o")]


@virtual_time
async def test_a_person_takes_private_messages_only_from_people_with_an_account() -> None:
    async with irc_house() as house:
        town(house, "Ann", "Bo")
        ann, guest = await logged_in(house, "Ann"), await house.irc("guest")
        nc = await house.nc("Nina")
        await house.settle()
        assert [one.params for one in await ann.ask("MODE Ann +R")] == [("Ann", "+R")]
        (refused,) = await guest.ask("PRIVMSG Ann :hi", "NOTICE Ann :hi")
        text = "Not sent: Ann takes private messages only from people with an account."
        assert fits(refused, "477", "guest", "Ann", text)
        (refused,) = await guest.ask("PRIVMSG Ann :\x01VERSION\x01")
        assert fits(refused, "477", "guest", "Ann", text)
        nc.say("/msg Ann hi")
        assert text.removesuffix(".") in await nc.sync()
        assert await ann.sync() == []
        bo = await logged_in(house, "Bo")
        await bo.ask("PRIVMSG Ann :hello", "MODE Bo +R")
        assert fits((await ann.sync())[0], "PRIVMSG", "Ann", "hello")
        await ann.ask("MODE Ann -R")
        await guest.ask("PRIVMSG Ann :hi")
        assert fits((await ann.sync())[0], "PRIVMSG", "Ann", "hi")
        # On a terminal a command does the same, for guests as well; nobody is refused their own messages.
        nc.say("/guests", "/guests maybe", "/guests off", "/msg Nina me")
        said = await nc.sync()
        assert said.count("Usage: /guests on|off") == 2
        assert "Only people with an account can send you private messages now" in said and "(private): me" in said
        assert fits((await guest.ask("PRIVMSG Nina :hi"))[0], "477", "guest", "Nina", ANY)
        nc.say("/guests on")
        assert "Everybody can send you private messages now" in await nc.sync()
        assert await guest.ask("PRIVMSG Nina :hi") == [] and "guest (private): hi" in await nc.sync()


@virtual_time
async def test_a_further_client_is_welcomed_before_it_is_shown_the_rooms() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ann = await logged_in(house, "Ann")
        await ann.join("#ops")
        bo = await house.irc("bo", join="#ops")
        too = await logged_in(house, "Ann", nick="phone")
        shown = await too.sync()
        assert too.nick == "Ann" and verbs(shown)[0] == "002"
        last = shown[verbs(shown).index("JOIN") :]
        assert fits(last[0], "JOIN", "#ops") and last[0].nick == "Ann" and verbs(last)[1:3] == ["353", "366"]
        assert await bo.sync() == []
        await ann.sync()
        await too.ask("PRIVMSG #ops :hello")
        assert fits((await bo.sync())[0], "PRIVMSG", "#ops", "hello")


@virtual_time
async def test_an_account_that_is_closed_meanwhile_does_not_come_in() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann")
        ann: IrcPeer = await house.connect()
        await ann.ask("CAP LS 302", "NICK Ann", USER, "AUTHENTICATE PLAIN", plain("Ann"))
        accounts.add("Ann", suspended=True)
        assert "001" not in verbs(await ann.ask("CAP END"))


# --- REGISTER and VERIFY --------------------------------------------------------------------------------------------


@virtual_time
async def test_registering_before_and_after_connecting() -> None:
    async with irc_house() as house:
        accounts = town(house)
        ann: IrcPeer = await house.connect()
        (need,) = await ann.ask("REGISTER * * secret")
        assert fits(need, "FAIL", "REGISTER", "NEED_NICK", "*", ANY)
        told = await ann.ask("CAP LS 302", "NICK Ann", "REGISTER * * secret")
        assert verbs(told[2:]) == ["900", "REGISTER"] and fits(told[-1], "REGISTER", "SUCCESS", "Ann", ANY)
        assert accounts.find("ann")
        assert verbs(await ann.ask(USER, "CAP END"))[0] == "001"
        (again,) = await ann.ask("REGISTER * * secret")
        assert fits(again, "FAIL", "REGISTER", "ALREADY_AUTHENTICATED", ANY, ANY)
        bo = await house.irc("bo")
        for name in ("ann", "Ann"):
            (taken,) = await bo.ask(f"REGISTER {name} * secret")
            assert fits(taken, "FAIL", "REGISTER", "ACCOUNT_EXISTS", name, ANY)
        (bad,) = await bo.ask("REGISTER a!b * secret")
        assert fits(bad, "FAIL", "REGISTER", "BAD_ACCOUNT_NAME", "a!b", ANY)
        told = await bo.ask("REGISTER Bodo bo@example.org :my secret")
        assert verbs(told) == ["900", "REGISTER", "NICK", "MODE"] and accounts.known["bodo"][1] == "my secret"


@virtual_time
async def test_the_nick_of_a_guest_is_not_registered_by_others() -> None:
    async with irc_house() as house:
        town(house)
        await house.irc("root2")
        other: IrcPeer = await house.connect(origin="203.0.113.9")
        told = await other.ask("NICK root2", "REGISTER * * secret")
        assert fits(told[-1], "FAIL", "REGISTER", "ACCOUNT_EXISTS", "root2", ANY)


@virtual_time
async def test_an_invitation_verifies_a_registration() -> None:
    async with irc_house() as house:
        accounts = town(house)
        accounts.registration = "invite"
        ann = await house.irc("Ann")
        accounts.add("Zoe")
        for name, password, code in (
            ("Zoe", "open-sesame", "ACCOUNT_EXISTS"),
            ("*", "short", "WEAK_PASSWORD"),
            ("#ann", "open-sesame", "BAD_ACCOUNT_NAME"),
        ):
            (refused,) = await ann.ask(f"REGISTER {name} * {password}")
            assert fits(refused, "FAIL", "REGISTER", code, ANY, ANY)
        (asked,) = await ann.ask("REGISTER * * open-sesame")
        assert fits(asked, "REGISTER", "VERIFICATION_REQUIRED", "Ann", ANY)
        (wrong,) = await ann.ask("VERIFY Ann nonsense")
        assert fits(wrong, "FAIL", "VERIFY", "INVALID_CODE", "Ann", ANY)
        told = await ann.ask("VERIFY ann CODE")
        assert verbs(told) == ["900", "VERIFY", "MODE"] and fits(told[1], "VERIFY", "SUCCESS", "Ann", ANY)
        (already,) = await ann.ask("VERIFY ann CODE")
        assert fits(already, "FAIL", "VERIFY", "ALREADY_AUTHENTICATED", "ann", ANY)


@virtual_time
async def test_a_code_of_another_device_logs_in() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ann: IrcPeer = await house.connect()
        (wrong,) = await ann.ask("VERIFY Ann wrong")
        assert fits(wrong, "FAIL", "VERIFY", "INVALID_CODE", "Ann", ANY)
        assert verbs(await ann.ask("VERIFY Ann secret")) == ["900", "VERIFY"]


@virtual_time
async def test_guests_are_refused_where_an_account_is_needed() -> None:
    async with irc_house() as house:
        town(house, "Ann").guests = "no"
        ida: IrcPeer = await house.connect()
        refused, way = await ida.ask("NICK ida", USER)
        assert fits(refused, "FAIL", "*", "ACCOUNT_REQUIRED", ANY)
        assert way.params[-1] == "To register ida, type /quote REGISTER * * PASSWORD"
        told = await ida.ask("REGISTER * * secret")
        assert verbs(told)[:3] == ["900", "REGISTER", "001"]


@virtual_time
async def test_guests_who_may_only_read_say_nothing_in_texts_about_them() -> None:
    async with irc_house() as house:
        town(house, "Ann").guests = "read"
        house.hub.guests_read = True
        ann: IrcPeer = await house.connect()
        await ann.ask("CAP REQ :away-notify setname draft/metadata-2 batch", "NICK ann2", USER, "CAP END")
        await ann.ask("NS IDENTIFY Ann secret", "JOIN #lobby", "METADATA * SUB status")
        bob: IrcPeer = await house.connect()
        caps = "CAP REQ :setname draft/metadata-2 batch draft/pre-away"
        early = ("AWAY :early", "METADATA * SET status :early")
        await bob.ask(caps, *early, "NICK bob", USER, "CAP END")
        await bob.ask("JOIN #lobby", "MODE bob +i")
        told = [await bob.ask(line) for line in ("AWAY :buy", "SETNAME :buy", "METADATA * SET status :buy")]
        assert [verbs(one) for one in told] == [["NOTICE"], ["NOTICE"], ["FAIL"]]
        assert verbs(await bob.ask("AWAY")) == ["305"]
        heard = [one for one in await ann.ask() if one.verb != "PONG"]
        assert verbs(heard) == ["JOIN"] and "early" not in str(heard)


@virtual_time
async def test_guests_are_told_how_an_invitation_lets_them_in() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann")
        accounts.guests = "no"
        accounts.registration = "invite"
        ida: IrcPeer = await house.connect()
        _, way = await ida.ask("NICK ida", USER)
        assert (
            way.params[-1]
            == "To register ida, type /quote REGISTER * * PASSWORD, and then /quote VERIFY ida INVITATION"
        )
        assert verbs(await ida.ask("REGISTER * * open-sesame")) == ["REGISTER"]
        assert verbs(await ida.ask("VERIFY ida CODE"))[:3] == ["900", "VERIFY", "001"]
        accounts.registration = "closed"
        other: IrcPeer = await house.connect()
        assert verbs(await other.ask("NICK zoe", USER)) == ["FAIL"]


# --- accounts of others ---------------------------------------------------------------------------------------------


@virtual_time
async def test_accounts_are_shown_to_clients_that_ask_for_them() -> None:
    async with irc_house() as house:
        town(house, "Ann", "Zoe")
        bo = await house.irc("bo", "account-tag", "account-notify", "extended-join", "chghost", join="#ops")
        plainly = await house.irc("old", join="#ops")
        ann = await logged_in(house, "Ann")
        await ann.join("#ops")
        (joined,) = await bo.sync()
        assert fits(joined, "JOIN", "#ops", "Ann", "Ida") and joined.tags["account"] == "Ann"
        assert fits((await plainly.sync())[0], "JOIN", "#ops")
        await ann.ask("PRIVMSG #ops :hi", "PRIVMSG bo :psst")
        assert [one.tags.get("account") for one in await bo.sync()] == ["Ann", "Ann"]
        guest = await house.irc("Zoe2")
        await guest.join("#ops")
        assert fits((await bo.sync())[0], "JOIN", "#ops", "*", ANY)
        await guest.ask("AUTHENTICATE PLAIN", plain("Zoe"))
        told = await bo.sync()
        assert [str(one) for one in told if one.verb in ("CHGHOST", "ACCOUNT")] == [
            ":Zoe!~user@203.0.113.7-cloak.irc CHGHOST ~user | idzoe.account",
            ":Zoe!~user@idzoe.account ACCOUNT Zoe",
        ]
        assert not {"CHGHOST", "ACCOUNT"} & {*verbs(await plainly.sync())}
        (who, _) = await bo.ask("WHO Ann %na")
        assert who.params[1:] == ("Ann", "Ann")
        assert (await bo.ask("WHO old %na"))[0].params[1:] == ("old", "0")
        whois = await bo.ask("WHOIS Ann")
        assert any(fits(one, "330", "bo", "Ann", "Ann", ANY) for one in whois)
        assert "330" not in verbs(await bo.ask("WHOIS old"))


@pytest.mark.parametrize("mask", ["a:ann", "~a:Ann", "a:A*"])
@virtual_time
async def test_an_account_is_banned_by_its_name(mask: str) -> None:
    async with irc_house() as house:
        town(house, "Ann")
        bo = await house.irc("bo", join="#ops")
        assert verbs(await bo.ask(f"MODE #ops +b {mask}")) == ["MODE"]
        (listed, _) = await bo.ask("MODE #ops b")
        assert listed.params[2] == mask.removeprefix("~")
        ann = await logged_in(house, "Ann")
        assert verbs(await ann.ask("JOIN #ops"))[-1] == "474"
        other = await house.irc("Ann2")
        assert verbs(await other.ask("JOIN #ops"))[0] == "JOIN"
        await bo.ask(f"MODE #ops -b {mask}")
        assert verbs(await ann.ask("JOIN #ops"))[0] == "JOIN"


@virtual_time
async def test_a_channel_for_people_with_an_account() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        bo = await house.irc("bo", join="#ops")
        await bo.ask("MODE #ops +R")
        guest, ann = await house.irc("guest"), await logged_in(house, "Ann")
        assert fits((await guest.ask("JOIN #ops"))[0], "477", "guest", "#ops", ANY)
        assert any(fits(one, "JOIN", "#ops") for one in await ann.ask("JOIN #ops"))


# --- NickServ -------------------------------------------------------------------------------------------------------


def notices(messages: list[Message]) -> list[str]:
    return [one.params[1] for one in messages if one.source == "NickServ!services@hubbub.local"]


@virtual_time
async def test_nickserv_registers_and_logs_in() -> None:
    async with irc_house() as house:
        accounts = town(house, "Zoe")
        ann = await house.irc("Ann", "echo-message")
        assert notices(await ann.ask("PRIVMSG NickServ :REGISTER open-sesame")) == ["Ann is yours now."]
        assert accounts.known["ann"][1] == "open-sesame" and b"sesame" not in ann.received
        assert "already" in notices(await ann.ask("NS REGISTER other"))[0]
        other = await house.irc("phone", "echo-message")
        assert "password of Ann" in notices(await other.ask("NickServ IDENTIFY Ann wrong"))[0]
        assert notices(await other.ask("PRIVMSG nickserv :identify Ann open-sesame")) == ["You are logged in as Ann."]
        assert house.hub.nicks.find("Ann") is other.connection.client.user  # type: ignore[attr-defined]
        assert await ann.sync() == [] and b"sesame" not in other.received
        listed = notices(await ann.ask("NS SESSIONS"))
        assert len(listed) == 3
        assert notices(await ann.ask("NS SESSIONS END x")) == ["Usage: SESSIONS [END CODE]"]
        code = next(line.split()[0] for line in listed[:2] if "this one" not in line)
        assert notices(await ann.ask(f"NS SESSIONS END {code}")) == ["That connection is ended."]
        ended = (await other.rest())[-2:]
        assert verbs(ended) == ["NOTICE", "ERROR"] and ended[1].params[0].startswith("Closing Link: ")
        other = await house.irc("phone")
        await other.ask("NickServ IDENTIFY Ann open-sesame")
        assert notices(await ann.ask("NS GHOST")) == ["Your other connections are closed: 1."]
        assert notices(await ann.ask("NS REGAIN Ann x")) == ["You have your name: Ann."]
        guest = await house.irc("guest")
        for command in ("LOGOUT", "GHOST", "SET STAY on", "SESSIONS", "TOKEN", "CODE", "UNREGISTER guest"):
            assert notices(await guest.ask(f"NS {command}")) == ["You are not logged in."], command
        told = await guest.ask("NS REGAIN Zoe secret")
        assert notices(told) == ["You are logged in as Zoe."] and guest.seen == []
        guest.say("NS LOGOUT")
        assert verbs(await guest.rest()) == ["ERROR"]


@virtual_time
async def test_nickserv_takes_a_code_from_a_guest_of_any_name() -> None:
    """In any spelling, as a code of `/login`; a registered nick tries it as its own."""
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        used: list[str] = []

        def redeem(code: str, peer: LoginPeer, done: Checked) -> None:
            used.append(code)
            accounts.asked.append(lambda: done(accounts.known["ann"][0]))

        accounts.redeem = redeem  # type: ignore[method-assign]
        for words in ("BCDF-GHJK", "bcdf ghjk"):
            guest = await house.irc("guest")
            assert notices(await guest.ask(f"NS IDENTIFY {words}")) == ["You are logged in as Ann."]
        guest = await house.irc("third")
        for words in ("Bo BCDF-GHJK", "bcdf-ghjx-pw", "BCDF GHJ"):
            assert "not the password" in notices(await guest.ask(f"NS IDENTIFY {words}"))[0], words
        assert used == ["BCDF-GHJK", "bcdf ghjk"]


@virtual_time
async def test_nickserv_manages_an_account() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        ann = await logged_in(house, "Ann")
        assert notices(await ann.ask("NS CODE"))[0].startswith("On your other device, log in with the code CODE-Ann")
        assert notices(await ann.ask("NS INFO Ann"))[1] == "STAY is off, HISTORY is on."
        assert notices(await ann.ask("NS INFO Nobody")) == ["The name Nobody is not registered."]
        assert notices(await ann.ask("NS SET STAY on")) == ["STAY is on."]
        assert notices(await ann.ask("NS TOKEN end")) == ["Usage: TOKEN END ID"]
        (kept,) = await ann.ask("NICK Anna")
        assert fits(kept, "447", "Ann", "Anna", "While you are logged in, your name is Ann.")
        for command in ("TOKEN bot", "TOKEN END x"):
            assert notices(await ann.ask(f"NS {command}")) == ["You are not logged in."], command  # by the double
        assert notices(await ann.ask("NS SET STAY maybe"))[0].startswith("Usage: SET ")
        assert notices(await ann.ask("NS SET"))[0].startswith("Usage: SET ")
        assert notices(await ann.ask("NS TOKEN")) == ["End of TOKEN."]
        assert "NAME" in " ".join(notices(await ann.ask("NS")))
        assert notices(await ann.ask("NS HELP code")) == [
            "CODE: make a code that logs in another device",
            "End of HELP.",
        ]
        assert notices(await ann.ask("NS FLY")) == ["There is no command FLY. HELP lists the commands."]
        assert await ann.ask("NOTICE NickServ :IDENTIFY x") == []
        assert "your name is Ann" in notices(await ann.ask("NS UNREGISTER Bo"))[0]
        asked = notices(await ann.ask("NS UNREGISTER ann"))
        code = asked[1].split()[-1]
        assert asked[3] == f"{asked[1]} TAKE-BACK"
        assert notices(await ann.ask(f"NS UNREGISTER Ann {code} KEEP"))[0].startswith("Usage: UNREGISTER ")
        assert notices(await ann.ask(f"NS UNREGISTER Ann {code} take-back")) == ["You are not logged in."]
        assert notices(await ann.ask(f"NS UNREGISTER Ann {code}")) == ["You are not logged in."]  # by the double


# --- read markers ---------------------------------------------------------------------------------------------------


@virtual_time
async def test_the_clients_of_an_account_share_its_read_markers() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        at, later = "timestamp=2026-11-30T10:00:00.000Z", "timestamp=2026-11-30T11:00:00.000Z"
        one = await logged_in(house, "Ann", "draft/read-marker")
        await one.join("#ops")
        two, old = await logged_in(house, "Ann", "draft/read-marker"), await logged_in(house, "Ann")
        assert fits(next(iter(m for m in await two.sync() if m.verb == "MARKREAD")), "MARKREAD", "#ops", "*")
        await old.sync()
        assert fits((await one.ask(f"MARKREAD #ops {later}"))[0], "MARKREAD", "#ops", later)
        assert fits((await two.sync())[0], "MARKREAD", "#ops", later) and await old.sync() == []
        assert fits((await two.ask(f"MARKREAD #ops {at}"))[0], "MARKREAD", "#ops", later)
        assert await one.sync() == []
        three = await logged_in(house, "Ann", "draft/read-marker")
        assert any(fits(message, "MARKREAD", "#ops", later) for message in await three.sync())
        bo = await house.irc("bo", "draft/read-marker")
        assert fits((await bo.ask("MARKREAD #ops"))[0], "MARKREAD", "#ops", "*")


@virtual_time
async def test_the_read_marker_of_a_conversation_is_that_of_the_person() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        at = "timestamp=2026-11-30T10:00:00.000Z"
        ann = await logged_in(house, "Ann", "draft/read-marker")
        await ann.sync()
        assert fits((await ann.ask(f"MARKREAD bo {at}"))[0], "MARKREAD", "bo", at)
        # The name is freed, and somebody else registers it.
        accounts.freed.append(accounts.known.pop("bo")[0])
        assert fits((await ann.ask("MARKREAD bo"))[0], "MARKREAD", "bo", at)
        accounts.freed.clear()
        accounts.known["bo"] = Account(id="new", name="Bo", created=0.0), "secret"
        assert fits((await ann.ask("MARKREAD bo"))[0], "MARKREAD", "bo", "*")
        # So it is with names that nobody owns: the next guest is somebody else.
        assert fits((await ann.ask(f"MARKREAD cy {at}"))[0], "MARKREAD", "cy", at)
        for _ in range(2):
            guest = await house.irc("cy")
            assert fits((await ann.ask("MARKREAD cy"))[0], "MARKREAD", "cy", "*")
            assert fits((await ann.ask(f"MARKREAD cy {at}"))[0], "MARKREAD", "cy", at)
            guest.say("QUIT")
            await guest.rest()
        accounts.add("cy")
        assert fits((await ann.ask("MARKREAD cy"))[0], "MARKREAD", "cy", "*")
        assert set(house.hub.read_markers.of("idann")) == {"@idbo"}


@virtual_time
async def test_a_client_with_a_token_for_some_rooms_is_held_to_it() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        owner = await logged_in(house, "Ann")
        await owner.join("#ops")
        await owner.join("#lobby")
        account, secret = accounts.known["ann"]
        accounts.known["ann"] = structs.replace(account, permit=Permit(("read",), frozenset({"ops"}))), secret
        bot, bo = await logged_in(house, "Ann"), await logged_in(house, "Bo")
        assert [one.params[0] for one in await bot.sync() if one.verb == "JOIN"] == ["#ops"]
        await bo.join("#ops")
        await bo.join("#lobby")
        await bo.ask("PRIVMSG #lobby :secret", "PRIVMSG Ann :secret", "PRIVMSG #ops :hello")
        assert [one.params[-1] for one in await bot.sync() if one.verb == "PRIVMSG"] == ["hello"]
        for line in (
            "JOIN #lobby",
            "JOIN #new",
            "PRIVMSG #ops :hi",
            "PRIVMSG #lobby :hi",
            "PRIVMSG Bo :hi",
            "NAMES #new",
            "AWAY :hi",
            "SETNAME hi",
            "MODE Ann +B",
        ):
            answer = await bot.ask(line)
            assert not {"JOIN", "PRIVMSG"} & set(verbs(answer)), line
        user = house.hub.nicks.find("Ann")
        assert user and (user.away, user.real, user.modes) == ("", "Ida", frozenset())
        answer = await bot.ask("WHOIS Ann", "LIST")
        assert not any("lobby" in word for one in answer for word in one.params), answer
        assert [one for one in await bo.sync() if one.verb == "PRIVMSG"] == []
        # The room is renamed, and is not that of the token any more; then it is again.
        await owner.ask("RENAME #ops #dev")
        assert fits(next(one for one in await bot.sync() if one.verb == "PART"), "PART", "#ops")
        await bo.ask("PRIVMSG #dev :secret")
        assert await bot.sync() == []
        await owner.ask("RENAME #dev #ops")
        await bo.ask("PRIVMSG #ops :again")
        seen = await bot.sync()
        assert verbs(seen)[0] == "JOIN"
        assert any(one.params[-1] == "again" for one in seen)
        # With the password it may do everything again.
        accounts.known["ann"] = account, secret
        told = await bot.ask("NS IDENTIFY Ann secret")
        assert [one.params[0] for one in (*told, *await bot.sync()) if one.verb == "JOIN"] == ["#lobby"]


@virtual_time
async def test_a_client_whose_token_may_only_say_is_in_no_channel() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        bo = await logged_in(house, "Bo")
        await bo.join("#ops")
        await bo.ask("MODE #ops -n")
        account, secret = accounts.known["ann"]
        accounts.known["ann"] = structs.replace(account, permit=Permit(("say",), frozenset({"ops"}))), secret
        bot = await logged_in(house, "Ann")
        answer = await bot.ask("JOIN #ops", "PRIVMSG #ops :deployed")
        assert "JOIN" not in verbs(answer), answer
        assert [one.params[-1] for one in await bo.sync() if one.verb == "PRIVMSG"] == ["deployed"]
        await bo.ask("PRIVMSG #ops :secret", "PRIVMSG Ann :secret", "INVITE Ann #ops")
        assert not {"PRIVMSG", "INVITE"} & set(verbs(await bot.sync()))


@virtual_time
async def test_a_client_with_a_limited_token_does_not_change_its_account() -> None:
    async with irc_house() as house:
        town(house, "Ann")
        bot = await logged_in(house, "Ann")
        (session,) = house.hub.nicks.users["ann"].sessions
        session.permit = Permit(("read", "say"))
        house.hub.nicks.users["ann"].operator = True
        for line in ("SET PASSWORD open-sesame", "SET STAY on", "TOKEN", "CODE", "UNREGISTER Ann", "GHOST"):
            assert "lacks the scope admin" in notices(await bot.ask(f"NS {line}"))[0], line
        assert verbs(await bot.ask("KILL Ann :test")) == ["481"]


@virtual_time
async def test_nickserv_cuts_no_password_at_a_space() -> None:
    async with irc_house() as house:
        town(house, "Zoe")
        ann = await house.irc("Ann")
        assert notices(await ann.ask("NS REGISTER correct horse battery")) == ["Usage: REGISTER PASSWORD [INVITATION]"]
        assert notices(await ann.ask("NS REGISTER open-sesame")) == ["Ann is yours now."]
        assert notices(await ann.ask("NS SET PASSWORD correct horse"))[0].startswith("Usage: SET PASSWORD NEW")


@virtual_time
async def test_a_command_with_a_password_is_not_sent_as_a_message() -> None:
    async with irc_house() as house:
        ann, bo = await house.irc("Ann", join="#ops"), await house.irc("Bo", join="#ops")
        await ann.sync()
        for text in ("/register secret", " /LOGIN Ann secret", "\t/password new-secret", " /oper root secret"):
            (answer,) = await ann.ask(f"PRIVMSG #ops :{text}")
            assert "this is a command with a password" in answer.params[-1]
        await ann.ask("PRIVMSG #ops :see /login and /registered")
        assert [one.params[1] for one in await bo.sync() if one.verb == "PRIVMSG"] == ["see /login and /registered"]


@virtual_time
async def test_refusals_say_why() -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann", "Bo")
        bo = await logged_in(house, "Bo")
        await bo.join("#ops")
        account, secret = accounts.known["ann"]
        accounts.known["ann"] = structs.replace(account, permit=Permit(("read",), frozenset({"ops"}))), secret
        bot = await logged_in(house, "Ann")
        await bot.join("#ops")
        lacking = "That token does not allow that: it lacks the scope say."
        for line in ("KICK #ops Bo", "INVITE Zoe #ops"):
            (told,) = [one for one in await bot.ask(line) if one.verb != "401"] or [None]
            assert told is None or fits(told, "NOTICE", "Ann", lacking), told
        (told,) = await bot.ask("PRIVMSG #ops :hello")
        assert fits(told, "404", "Ann", "#ops", lacking)
        ida: IrcPeer = await house.connect()
        await ida.ask("NICK ida", USER, "JOIN #ops")
        await bo.ask("MODE #ops +L")
        for line in ("PRIVMSG #ops :hello", "PRIVMSG #ops :!poll tea? | yes | no", "TOPIC #ops :tea"):
            (told,) = [one for one in await ida.ask(line) if one.verb == "404"]
            assert told.params[-1] == "Not sent: only operators of ops can speak there right now."
