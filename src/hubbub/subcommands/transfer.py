"""`hubbub export`, `hubbub import` and `hubbub backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hubbub import config
from hubbub.storage.sqlite.backup import back_up
from hubbub.subcommands.options import WHERE, Command, Sentence, data_option, settings_options
from hubbub.subcommands.output import counted, progress_bar, sized
from hubbub.tools import transfer


@click.command(
    "export",
    cls=Command,
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
    settings = config.read(flags, file)
    with progress_bar("Exporting") as progress, transfer.output(target) as output:
        done = transfer.export(settings, output, progress, salvage)
    if target != "-":
        click.echo(f"{counted(done.entries)} in {target}.")
    if done.left_out:
        text = f"{counted(done.left_out)} left out: damaged. All others are there."
        if not salvage:
            raise Sentence(text, exit_code=1)
        click.echo(f"hubbub: {text}", err=True)


@click.command(cls=Command, epilog="hubbub backup --data /var/lib/hubbub /srv/backup/2026-11-24")
@data_option
@click.argument("target", metavar="FOLDER")
def backup(data: str | None, target: str) -> None:
    """Copy a log, with what is kept beside it, into FOLDER; a server may run on it meanwhile.

    FOLDER must not exist, or be empty. It appears when it is complete and checked. To restore it, stop the
    server, put FOLDER in the place of its data folder, and start it.
    """
    settings = config.read({"data": data}, None)
    if settings.broker:
        raise Sentence("a log on NATS is backed up by hubbub export.")
    with progress_bar("Copying") as copying, progress_bar("Verifying") as verifying:
        size = back_up(Path(settings.data), Path(target), copying, verifying)
    click.echo(f"{sized(size)} in {target}.")


@click.command(
    "import",
    cls=Command,
    epilog="hubbub import --data /var/lib/hubbub backup.jsonl\n"
    "gunzip -c backup.jsonl.gz | hubbub import --broker nats://127.0.0.1:4222",
)
@settings_options(WHERE | {"replicas"})
@click.argument("source", metavar="[FILE]", default="-")
def import_command(file: str | None, source: str, **flags: Any) -> None:
    """Add to a log the entries of FILE or standard input, made by `hubbub export`, that it does not have yet.

    If it was interrupted, start it again. No server may run on --data meanwhile; on --broker nodes may.
    """
    settings = config.read(flags, file)
    with progress_bar("Importing") as progress, transfer.source(source) as lines:
        added, known = transfer.take_in(settings, lines, progress)
    click.echo(f"{counted(added)} added" + (f"; {known:,} already there." if known else "."))
