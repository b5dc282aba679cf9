"""The subcommands `hubbub account` and `hubbub token`: they change accounts beside a running server, or without one."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
from msgspec import structs

from hubbub import config
from hubbub.accounts.registry import AccountRegistry
from hubbub.chat.users.accounts import LoginPeer
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import SCOPES, Grant, Granted
from hubbub.subcommands.options import WHERE, Command, Sentence, settings_options, typed_password
from hubbub.tools import accounts as tool
from hubbub.tools import transfer

CONSOLE = LoginPeer("the console", secure=True)
DAY = 24 * 60 * 60.0

Task = Callable[[AccountRegistry], Awaitable[Any]]
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
name_argument = click.argument("name")


@click.group()
def account() -> None:
    """Register, change and close accounts.

    The server may keep running, and acts upon a change within a second.
    """


@click.group()
def token() -> None:
    """Make, list and end the tokens with which programs log in."""


def _run(file: str | None, flags: dict[str, Any], task: Task) -> Any:
    async def run() -> Any:
        async with tool.opened(config.read(flags, file)) as accounts:
            return await task(accounts)

    return asyncio.run(run())


def _known(accounts: AccountRegistry, name: str) -> Account:
    found = accounts.find(name)
    if found is None:
        raise Sentence(f"There is no account {name}. To list them: hubbub account list", exit_code=1)
    return found


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") if at else ""


def _state(one: Account) -> str:
    closed = "deleted" if one.deleted else "suspended" if one.suspended else ""
    return closed or ("open" if one.is_open(time.time()) else "expired")


def facts(one: Account) -> dict[str, Any]:
    """Return all that is known of an account, without its secrets."""
    shown = structs.asdict(one)
    has_password = bool(shown.pop("password"))
    for name in ("scram", "permit", "grant"):
        del shown[name]
    # Others could read and send notifications at that address.
    shown["push"] = bool(one.push)
    shown["ssh_keys"] = [structs.asdict(key) for key in one.ssh_keys]
    return {**shown, "state": _state(one), "has_password": has_password}


@account.command("list", cls=Command, epilog="hubbub account list --data /var/lib/hubbub")
@settings_options(WHERE)
@json_option
def list_accounts(file: str | None, as_json: bool, **flags: Any) -> None:
    """List all accounts, with their states."""

    async def task(accounts: AccountRegistry) -> list[Account]:
        return list(accounts.vault.directory.all())

    for one in _run(file, flags, task):
        if as_json:
            click.echo(json.dumps(facts(one)))
        else:
            until = f" until {_day(one.expires)}" if one.expires else ""
            operator = " operator" if one.operator else ""
            click.echo(f"{one.name:32} {_day(one.created)} {_state(one)}{until}{operator}")


@account.command(cls=Command, epilog="hubbub account add Ann\npass show chat/ann | hubbub account add Ann --operator")
@settings_options(WHERE)
@click.option("--operator", is_flag=True, help="Make its owner an operator of the server.")
@click.option("--days", type=click.FloatRange(0), default=0.0, help="Days until nobody can log in (0: never).")
@click.option("--no-password", is_flag=True, help="For a program, which logs in with a token.")
@name_argument
def add(file: str | None, name: str, operator: bool, days: float, no_password: bool, **flags: Any) -> None:
    """Register NAME with a password, which is typed or piped in."""
    password = "" if no_password else typed_password()

    async def task(accounts: AccountRegistry) -> str:
        if no_password:
            made = await tool.ask(accounts.vault.open_account, name)
        else:
            made = await tool.ask(accounts.register, name, password, CONSOLE)
        expires = time.time() + days * DAY if days else 0.0
        edit = partial(structs.replace, operator=operator, expires=expires)
        await tool.ask(accounts.vault.directory.change, made.id, edit)
        return str(made.name)

    click.echo(f"{_run(file, flags, task)} is registered.")


@account.command(cls=Command, epilog="hubbub account passwd Ann")
@settings_options(WHERE)
@name_argument
def passwd(file: str | None, name: str, **flags: Any) -> None:
    """Change the password of NAME, which is typed or piped in. All other ways to log in to it end."""
    password = typed_password()

    async def task(accounts: AccountRegistry) -> None:
        await tool.ask(accounts.change_password, _known(accounts, name), password, CONSOLE)

    _run(file, flags, task)
    click.echo(f"{name} has a new password.")


@account.command(cls=Command, epilog="hubbub account operator Ann\nhubbub account operator Ann --remove")
@settings_options(WHERE)
@click.option("--remove", is_flag=True, help="Make its owner an operator no more.")
@name_argument
def operator(file: str | None, name: str, remove: bool, **flags: Any) -> None:
    """Make the owner of NAME a server operator, or end that.

    Server operators may act in every room. The change has its effect at once, also if the owner is here.
    """

    async def task(accounts: AccountRegistry) -> None:
        await tool.ask(accounts.change, _known(accounts, name), partial(structs.replace, operator=not remove))

    _run(file, flags, task)
    click.echo(f"{name} is {'no operator any more' if remove else 'an operator of the server'}.")


@account.command(cls=Command, epilog="hubbub account certificate Ann --add 3F:2A:…:D4")
@settings_options(WHERE)
@click.option("--add", default="", metavar="FINGERPRINT", help="Let the certificate with this SHA-256 log in.")
@click.option("--remove", default="", metavar="FINGERPRINT", help="Let it log in no more.")
@name_argument
def certificate(file: str | None, name: str, add: str, remove: str, **flags: Any) -> None:
    """Print or change the client certificates of NAME.

    With them, IRC clients log in; see --tls-client-ca of `hubbub serve`.
    """

    async def task(accounts: AccountRegistry) -> Account:
        one = _known(accounts, name)
        for change, fingerprint in ((accounts.add_certificate, add), (accounts.remove_certificate, remove)):
            if fingerprint:
                one = await tool.ask(change, one, fingerprint)
        return one

    for fingerprint in _run(file, flags, task).certificates:
        click.echo(fingerprint)


@account.command(cls=Command, epilog="hubbub account keys Ann")
@settings_options(WHERE)
@click.option("--remove", default="", metavar="FINGERPRINT", help="Let this key log in no more.")
@name_argument
def keys(file: str | None, name: str, remove: str, **flags: Any) -> None:
    """Print the ssh keys of NAME, or remove one.

    Each line has the fingerprint, the algorithm and the day on which the key was added.
    """

    async def task(accounts: AccountRegistry) -> Account:
        one = _known(accounts, name)
        return await tool.ask(accounts.remove_ssh_key, one, remove) if remove else one

    for key in _run(file, flags, task).ssh_keys:
        click.echo(f"{key.fingerprint} {key.kind} {_day(key.added)}")


@account.command(cls=Command, epilog="hubbub account reset Ann")
@settings_options(WHERE)
@name_argument
def reset(file: str | None, name: str, **flags: Any) -> None:
    """Print a code for one login of the owner of NAME.

    It is valid for 24 hours. Whoever has logged in with it can choose a new password with /password.
    """

    async def task(accounts: AccountRegistry) -> str:
        return str(await tool.ask(accounts.make_reset, _known(accounts, name)))

    click.echo(_run(file, flags, task))


@account.command(cls=Command, epilog="hubbub account suspend Ann")
@settings_options(WHERE)
@name_argument
def suspend(file: str | None, name: str, **flags: Any) -> None:
    """Let nobody log in to NAME for now, and end its sessions."""
    _suspend(file, flags, name, True)
    click.echo(f"{name} is suspended.")


@account.command(cls=Command, epilog="hubbub account resume Ann")
@settings_options(WHERE)
@name_argument
def resume(file: str | None, name: str, **flags: Any) -> None:
    """Let the owner of NAME log in again."""
    _suspend(file, flags, name, False)
    click.echo(f"{name} is open.")


def _suspend(file: str | None, flags: dict[str, Any], name: str, suspended: bool) -> None:
    async def task(accounts: AccountRegistry) -> None:
        await tool.ask(accounts.suspend, _known(accounts, name), suspended=suspended)

    _run(file, flags, task)


@account.command(cls=Command, epilog="hubbub account delete Ann --free")
@settings_options(WHERE)
@click.option("--free", is_flag=True, help="Let others register the name. Else it stays blocked for ever.")
@click.option(
    "--messages",
    type=click.Choice(["keep", "take-back"]),
    default="keep",
    help="take-back: the server deletes all messages of its owner, while it runs.",
)
@name_argument
def delete(file: str | None, name: str, free: bool, messages: str, **flags: Any) -> None:
    """Close the account NAME for ever. The messages of its owner stay, or are taken back."""
    take_back = messages == "take-back"

    async def task(accounts: AccountRegistry) -> None:
        await tool.ask(accounts.delete, _known(accounts, name), take_back=take_back, free=free)

    _run(file, flags, task)
    if take_back:
        click.echo(
            f"{name} is deleted. The server takes its messages back" + (", and then frees its name." * free or ".")
        )
    else:
        click.echo(f"{name} is deleted" + (", and its name is free." if free else "."))


@account.command(cls=Command, epilog="hubbub account export Ann")
@settings_options(WHERE)
@name_argument
def export(file: str | None, name: str, **flags: Any) -> None:
    """Print all that is stored of NAME, without its secrets.

    The first line is a JSON object with the account, its tokens and its cookies. Each other line is a message or poll
    that its owner has sent while logged in, as in `hubbub export`.
    """

    async def task(accounts: AccountRegistry) -> tuple[Account, dict[str, Any]]:
        one = _known(accounts, name)
        lists = {"tokens": accounts.tokens(one), "cookies": accounts.cookies(one)}
        return one, facts(one) | {kind: [_grant(granted) for granted in found] for kind, found in lists.items()}

    owner, found = _run(file, flags, task)
    click.echo(json.dumps(found))
    sys.stdout.flush()
    output = tool.MessagesOf(sys.stdout.buffer, owner)
    transfer.export(config.read(flags, file), output, lambda done, total: None)
    sys.stdout.buffer.flush()


@account.command(cls=Command, epilog="hubbub account invite")
@settings_options(WHERE)
def invite(file: str | None, **flags: Any) -> None:
    """Print an invitation: a code to register one name with.

    It is valid for a week.
    """

    async def task(accounts: AccountRegistry) -> str:
        return str(await tool.ask(accounts.invite))

    click.echo(_run(file, flags, task))


def _grant(granted: Granted) -> dict[str, Any]:
    return {"id": granted.id, **structs.asdict(granted.grant)}


@token.command("add", cls=Command, epilog="hubbub token add ci --name deploys --room ops --say --days 365")
@settings_options(WHERE)
@click.option("--name", "label", default="", help="What the token is for.")
@click.option("--room", "rooms", multiple=True, help="Room that it is limited to; may be given several times.")
@click.option("--read", is_flag=True, help="It may read.")
@click.option("--say", is_flag=True, help="It may speak.")
@click.option("--private", is_flag=True, help="It may read the private messages of its owner.")
@click.option("--admin", is_flag=True, help="It has the rights of an operator, if its owner is one.")
@click.option("--days", type=click.FloatRange(0), default=0.0, help="Days until it expires (0: never).")
@click.argument("owner", metavar="NAME")
def add_token(file: str | None, owner: str, label: str, rooms: tuple[str, ...], days: float, **flags: Any) -> None:
    """Print a new token of the account NAME, which is shown only now.

    Without --read, --say, --private and --admin it may read and speak. The account of a program needs no password:
    hubbub account add --no-password ci
    """
    scopes = tuple(scope for scope in SCOPES if flags.pop(scope)) or ("read", "say")
    expires = time.time() + days * DAY if days else 0.0

    async def task(accounts: AccountRegistry) -> str:
        grant = Grant(expires=expires, name=label, scopes=scopes, rooms=rooms)
        return str(await tool.ask(accounts.make_token, _known(accounts, owner), grant))

    click.echo(_run(file, flags, task))


@token.command("list", cls=Command, epilog="hubbub token list ci")
@settings_options(WHERE)
@json_option
@name_argument
def list_tokens(file: str | None, name: str, as_json: bool, **flags: Any) -> None:
    """List the tokens of the account NAME."""

    async def task(accounts: AccountRegistry) -> list[Granted]:
        return list(accounts.tokens(_known(accounts, name)))

    for one in _run(file, flags, task):
        if as_json:
            click.echo(json.dumps(_grant(one)))
            continue
        grant = one.grant
        words = [one.id, _day(grant.created), ",".join(grant.scopes), ",".join(grant.rooms) or "all rooms", grant.name]
        click.echo("  ".join([*words, f"until {_day(grant.expires)}" if grant.expires else ""]).rstrip())


@token.command("delete", cls=Command, epilog="hubbub token delete ci 3f2a9c01d4b7")
@settings_options(WHERE)
@name_argument
@click.argument("id")
def delete_token(file: str | None, name: str, id: str, **flags: Any) -> None:
    """End the token of the account NAME that has an ID in the list."""

    async def task(accounts: AccountRegistry) -> int:
        return int(await tool.ask(accounts.end_tokens, _known(accounts, name), [id]))

    if not _run(file, flags, task):
        raise Sentence(f"{name} has no token {id}.", exit_code=1)
    click.echo("The token has ended.")
