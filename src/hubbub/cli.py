"""The command line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from hubbub import config, console
from hubbub.errors import HubbubError, Refused, reason
from hubbub.model.entries import RULING, Entry, Kind
from hubbub.model.queries import Latest, Search
from hubbub.model.room_modes import without_secrets
from hubbub.model.viewer import SYSTEM
from hubbub.storage.sqlite import checking
from hubbub.storage.sqlite.backup import back_up
from hubbub.storage.sqlite.store import COPY, FILE, Size, Store
from hubbub.text.cleaning import clean
from hubbub.text.names import LOBBY, check_room
from hubbub.text.tags import shown
from hubbub.wire.line.encoder import stamped

if TYPE_CHECKING:
    from hubbub.tools.transfer import Progress

# A command imports what it alone needs: to load the server takes longer than to print a history.

# The settings that tell where a log is.
WHERE = frozenset("data broker nats_creds nats_nkey nats_ca nats_cert nats_key".split())
# The settings that mean something to the echo server.
ECHO = frozenset(
    "listen idle_timeout stall_timeout line_limit buffer max_connections max_per_address no_limits "
    "log_level log_times uvloop".split()
)


LISTS = {"listen": "[WIRE:]HOST:PORT", "host": "NAME", "trust_proxy": "ADDRESS", "operator": "NAME:HASH"}


class Sentence(click.ClickException):
    """An error, shown as one sentence on standard error and without a traceback."""

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code  # type: ignore[misc]  # click means it to be set on the instance

    def show(self, file: Any = None) -> None:
        """Print it."""
        click.echo(f"hubbub: {self.message}", err=True)


class Command(click.Command):
    """A command whose epilog is an example, kept as it is written; errors of hubbub become sentences."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. What the terminal has no character for is printed as a question mark."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            result = super().invoke(ctx)
            if sys.stdout:  # None if it was closed
                sys.stdout.flush()
        except HubbubError as error:
            raise Sentence(str(error)) from None
        return result

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in (self.epilog or "").splitlines():
                formatter.write(f"  {line}\n")


class Group(click.Group):
    """The commands, in the order in which they are told."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return list(self.commands)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command. If its output, or that of --help, cannot be written, one sentence and exit code 2 say so."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.filename is not None or error.errno == errno.EPIPE:
                raise
            # The unwritten rest would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            failure = Sentence(f"The output cannot be written: {reason(error)}.")
            failure.show()
            sys.exit(failure.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("hubbub"), message="hubbub %(version)s")
def main() -> None:
    """A chat server for every client you already have: nc, telnet, browsers, curl, IRC."""
    _open_standard_streams()
    os.umask(0o077)  # whatever hubbub makes holds what people said, or keys


def _open_standard_streams() -> None:
    """Open /dev/null where standard input, output or error is closed: else a socket or the log would get its number."""
    for number in (0, 1, 2):  # a new descriptor gets the lowest free number
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def settings_options(names: frozenset[str] = frozenset()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds a flag for each of these settings, for all if none is named."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, (kind, note, default) in reversed(list(config.table().items())):
            if not names or name in names:
                command = _option(name, kind, f"{note.description}", config.show(default), note)(command)
        return click.option("--config", "file", metavar="FILE.toml", help="Settings from a file; flags win.")(command)

    return decorate


def _option(name: str, kind: type, text: str, default: str, note: Any) -> Callable[..., Any]:
    flag = "--" + name.replace("_", "-")
    unit = (note.extra or {}).get("unit", "")
    text += f"  [default: {default}{' ' + unit if unit else ''}]"
    if kind is bool:
        return click.option(f"{flag}/{config.opposite(flag)}", name, is_flag=True, default=None, help=text)
    if kind == list[str]:
        return click.option(flag, name, multiple=True, metavar=LISTS.get(name, "TEXT"), help=text)
    metavar = {int: "N", float: "SECONDS" if unit == "s" else "X"}.get(kind, "TEXT")
    if words := re.fullmatch(r"\^\(([a-z|-]+)\)\$", note.pattern or ""):
        metavar = f"[{words[1]}]"
    return click.option(flag, name, metavar=metavar, help=text)


@main.command(epilog="hubbub serve --listen 127.0.0.1:8888 --listen '[::1]:8888' --data /var/lib/hubbub")
@settings_options()
def serve(file: str | None, **flags: Any) -> None:
    """Run the chat server."""
    from hubbub import server

    _run(config.read(flags, file), server.serve, config.exposed(flags))


@main.command(epilog="hubbub echo --listen 127.0.0.1:7777\nprintf 'one\\ntwo\\n' | nc -N 127.0.0.1 7777")
@settings_options(ECHO)
def echo(file: str | None, **flags: Any) -> None:
    """Run a server that sends every line back: to test a path."""
    from hubbub import server

    _run(config.read(flags, file), server.echo)


def _run(
    settings: config.Settings,
    program: Callable[[config.Settings], Coroutine[Any, Any, None]],
    exposed: Sequence[str] = (),
) -> None:
    output = console.set_up(settings.log_level, settings.log_times)
    for flag in exposed:
        variable = config.ENVIRONMENT + flag.removeprefix("--").replace("-", "_").upper()
        text = (
            "%s is a secret, and every user of this machine can read a command line: use the settings file or %s_FILE"
        )
        logging.getLogger("hubbub").warning(text, flag, variable)
    factory = None
    if settings.uvloop:
        with contextlib.suppress(ImportError):
            import uvloop

            factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(program(settings))
    finally:
        output.drain(1.0)


# --- reading the log, beside a running server or without one -------------------------------------------------

_data = click.option("--data", metavar="DIR", help="Folder of the log.  [default: hubbub-data]")
_format = click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Lines as in the chat, or a JSON object each.",
)  # fmt: skip


@main.command(epilog="hubbub history --room lobby --last 100 --format json")
@_data
@click.option("--room", default="lobby", show_default=True, help="Which room.")
@click.option("--last", type=click.IntRange(0), default=20, show_default=True, help="How many entries; 0 for all.")
@click.option("--all", "every", is_flag=True, help="Also joins, leaves, renames and topics.")
@click.option(
    "--kind",
    type=click.Choice(["said", "moderation"]),
    default="said",
    show_default=True,
    help="Messages, or changes to the room and its members.",
)
@_format
def history(data: str | None, room: str, last: int, every: bool, kind: str, style: str) -> None:
    """Print the messages of a room, oldest first."""
    name = _room(room)
    kinds = tuple(sorted(RULING)) if kind == "moderation" else ()
    with _log(data) as store:
        _check_known(store, name)
        found = _newest(store, Latest(name, 1000, every=every, kinds=kinds, viewer=SYSTEM), last)
        _print(
            found, style, {entry.seq: store.called_before(entry) for entry in found if entry.kind is Kind.ROOM_RENAMED}
        )


@main.command(epilog="hubbub search --room ops deploy failed")
@_data
@click.option("--room", help="Only in this room.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest.")
@_format
@click.argument("words", nargs=-1, required=True)
def search(data: str | None, room: str | None, last: int, style: str, words: tuple[str, ...]) -> None:
    """Print the newest messages that contain all of WORDS, oldest first.

    Words are found whole; page* finds pages, too. Signs and emoji are found as they are: 'C++', '->'.
    """
    where = _room(room) if room else None
    text = clean(" ".join(words))
    with _log(data) as store:
        if where:
            _check_known(store, where)
        _print(_newest(store, Search(text, 1000, where, viewer=SYSTEM), last), style)


def _check_known(store: Store, room: str) -> None:
    """Raise a sentence if the log has no such room; every room is there once somebody has joined it."""
    if room != LOBBY and not store.answer(Latest(room, 1, every=True, viewer=SYSTEM)).entries:
        raise Sentence(f"There is no room {room} in the log.", exit_code=1)


def _room(room: str) -> str:
    try:
        return check_room(room)
    except Refused as refusal:
        raise Sentence(refusal.text) from None


@contextlib.contextmanager
def _log(data: str | None) -> Iterator[Store]:
    with contextlib.closing(Store(_where(Path(config.read({"data": data}, None).data)))) as store:
        yield store
        if store.left_out:
            click.echo(f"hubbub: {_counted(store.left_out)} left out: damaged. hubbub check says more.", err=True)


def _where(folder: Path) -> Path:
    """Return where the log is: a node of a cluster has a copy of it, to search in."""
    copy = folder / COPY
    try:
        return copy if (copy / FILE).exists() and not (folder / FILE).exists() else folder
    except OSError as error:  # of another user, say
        raise Sentence(f"The data folder {folder} cannot be read: {reason(error)}.") from None


def _newest(store: Store, query: Latest | Search, count: int) -> list[Entry]:
    """Return the newest `count` entries (0: all) that a query finds, oldest first: a page at a time."""
    pages: list[Sequence[Entry]] = []
    got = 0
    while not count or got < count:
        page = store.answer(replace(query, limit=min(query.limit, count - got)) if count else query)
        if page.entries:
            pages.append(page.entries)
            got += len(page.entries)
            query = replace(query, before=page.entries[0].seq)
        if not page.more:
            if page.note and not store.left_out:
                click.echo(f"hubbub: {page.note}.", err=True)
            break
    return [entry for page in reversed(pages) for entry in page]


def _print(entries: Sequence[Entry], style: str, former: Mapping[int, str] = MappingProxyType({})) -> None:
    """Print entries; `former` has what rooms were called before those that rename them."""
    now = time.time()
    rooms = {entry.room for entry in entries}
    for entry in without_secrets(entries):
        if style == "json":
            fields = {**entry._asdict(), "tags": shown(entry.tags)}
            line = json.dumps(fields, ensure_ascii=False)
            click.echo(line if _is_shown(line) else json.dumps(fields))
        else:
            click.echo(
                (f"[{entry.room}] " if len(rooms) > 1 else "")
                + stamped(entry._replace(room=former.get(entry.seq, entry.room)), now)
            )


def _is_shown(text: str) -> bool:
    """Return whether the output has a byte sequence for each character of a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


@main.command(epilog="hubbub check --config hubbub.toml")
@settings_options()
def check(file: str | None, **flags: Any) -> None:
    """Print the settings in force, and whether the log is whole."""
    settings = config.read(flags, file)
    width = max(map(len, config.table()))
    for name, (_kind, note, default) in config.table().items():
        value = getattr(settings, name)
        unit = (note.extra or {}).get("unit", "")
        mark = "" if value == default else "  (not the default)"
        click.echo(f"{name:{width}}  {config.shown(name, value)}{' ' + unit if unit else ''}{mark}")
    if settings.ephemeral:
        click.echo("\nNothing is stored, so there is no log to check.")
        return
    with contextlib.closing(Store(_where(Path(settings.data)))) as store, _progress("Checking") as progress:
        faults = store.check(progress)
        warnings = checking.warnings(store.past, store.newest, time.time())
        size = None if faults else store.size()
    click.echo("")
    for text in warnings:
        click.echo(f"Warning: {text}")
    if size is None:
        raise Sentence("the log is damaged:\n  " + "\n  ".join(faults), exit_code=1)
    click.echo(f"The log is whole: {_sized(size)}.")


@main.command(
    "export",
    epilog="hubbub export --data /var/lib/hubbub backup.jsonl\n"
    "hubbub export --broker nats://127.0.0.1:4222 | gzip > backup.jsonl.gz",
)
@settings_options(WHERE)
@click.option("--salvage", is_flag=True, help="Save what can be read of a damaged log in --data.")
@click.argument("target", metavar="[FILE]", default="-")
def export_command(file: str | None, target: str, salvage: bool, **flags: Any) -> None:
    """Write all that is in a log to FILE or standard output, a JSON object a line.

    A server may run on it meanwhile: what it stores from now on is not in the file. If it was interrupted, start it
    again with the same FILE: it goes on where it was. Damaged entries are left out; then it ends with exit code 1,
    unless --salvage is given.
    """
    from hubbub.tools import transfer

    settings = config.read(flags, file)
    with _progress("Exporting") as progress, transfer.output(target) as output:
        done = transfer.export(settings, output, progress, salvage)
    if target != "-":
        click.echo(f"{_counted(done.entries)} in {target}.")
    if done.left_out:
        text = f"{_counted(done.left_out)} left out: damaged. All others are there."
        if not salvage:
            raise Sentence(text, exit_code=1)
        click.echo(f"hubbub: {text}", err=True)


@main.command(epilog="hubbub backup --data /var/lib/hubbub /srv/backup/2026-11-24")
@_data
@click.argument("target", metavar="FOLDER")
def backup(data: str | None, target: str) -> None:
    """Copy a log, with what is kept beside it, into FOLDER; a server may run on it meanwhile.

    FOLDER must not exist, or be empty. It appears when it is complete and checked. To restore it, stop the
    server, put FOLDER in the place of its data folder, and start it.
    """
    settings = config.read({"data": data}, None)
    if settings.broker:
        raise Sentence("a log on NATS is backed up by hubbub export.")
    with _progress("Copying") as copying, _progress("Verifying") as verifying:
        size = back_up(Path(settings.data), Path(target), copying, verifying)
    click.echo(f"{_sized(size)} in {target}.")


@main.command(
    "import",
    epilog="hubbub import --data /var/lib/hubbub backup.jsonl\n"
    "gunzip -c backup.jsonl.gz | hubbub import --broker nats://127.0.0.1:4222",
)
@settings_options(WHERE | {"replicas"})
@click.argument("source", metavar="[FILE]", default="-")
def import_command(file: str | None, source: str, **flags: Any) -> None:
    """Add to a log the entries of FILE or standard input, made by `hubbub export`, that it does not have yet.

    If it was interrupted, start it again. No server may run on --data meanwhile; on --broker nodes may.
    """
    from hubbub.tools import transfer

    settings = config.read(flags, file)
    with _progress("Importing") as progress, transfer.source(source) as lines:
        added, known = transfer.take_in(settings, lines, progress)
    click.echo(f"{_counted(added)} added" + (f"; {known:,} already there." if known else "."))


def _sized(size: Size) -> str:
    rooms = f"{size.rooms:,} {'room' if size.rooms == 1 else 'rooms'}"
    return f"{_counted(size.entries)} in {rooms}, {size.bytes / 1e6:,.1f} MB"


def _counted(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Progress]:
    """Show a bar on standard error if that is a terminal, as soon as it is known how much there is to do."""
    with contextlib.ExitStack() as shown:
        bars: list[Any] = []

        def progress(done: int, whole: int) -> None:
            if not bars and whole and sys.stderr.isatty():
                bars.append(shown.enter_context(click.progressbar(length=whole, label=label, file=sys.stderr)))
            for bar in bars:
                bar.update(done - bar.pos)
                if done >= whole:
                    shown.close()  # its line ends, so that another bar can follow

        yield progress


@main.command(epilog="hubbub password\npass show chat/operator | hubbub password")
@click.option("--password", "given", help="The password. Better not here, where others see it: type it, or pipe it in.")
def password(given: str | None) -> None:
    """Print the hash of a password, for [[operator]] in the settings."""
    from hubbub import passwords

    if given is None and sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    elif given is None:
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise Sentence("There is no password.")
    click.echo(passwords.make(given))


# --- load -----------------------------------------------------------------------------------------------------


@main.command("bench", epilog="hubbub serve --no-limits --ephemeral &\nhubbub bench --clients 200 --messages 5000")
@click.argument("address", default="127.0.0.1:8888")
@click.option("--clients", type=click.IntRange(2), default=100, show_default=True, help="How many join.")
@click.option("--senders", type=click.IntRange(1), default=10, show_default=True, help="How many of them talk.")
@click.option("--messages", type=click.IntRange(1), default=1000, show_default=True, help="How many are said in all.")
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, help="Messages per second in all; 0: as fast as it goes."
)
@click.option("--payload", type=click.IntRange(40, 3000), default=64, show_default=True, help="Bytes of a message.")
@click.option(
    "--proto",
    type=click.Choice(["line", "ws", "mixed"]),
    default="line",
    show_default=True,
    help="What they speak: lines, WebSocket, or half of each.",
)
@click.option("--room", default="bench", show_default=True, help="The room that they join.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench_command(address: str, as_json: bool, **plan: Any) -> None:
    """Load a running server at ADDRESS, and print what it delivered.

    Its limits hold for this, too: start it with --no-limits to measure the server and not the limits.
    """
    from hubbub.tools import bench

    load = bench.Plan(address, **plan)
    bar = click.progressbar(length=load.messages, label="Messages", file=sys.stderr)
    with contextlib.ExitStack() as shown:

        def progress(count: int) -> None:
            if not count:
                shown.enter_context(bar)  # not before: what goes wrong until then is said alone
            bar.update(count)

        figures = asyncio.run(bench.run(load, progress))
    click.echo(json.dumps(figures) if as_json else bench.table(figures))
    if not figures["complete"]:
        raise Sentence("not every message arrived once, in one order, at everybody.", exit_code=1)
