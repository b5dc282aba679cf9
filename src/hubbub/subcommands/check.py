"""The subcommand `hubbub check`, with its flags."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import click

from hubbub import config
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep import checking
from hubbub.subcommands.options import Command, Sentence, settings_options
from hubbub.subcommands.output import log_folder, progress_bar, sized


@click.command(cls=Command, epilog="hubbub check --config hubbub.toml")
@settings_options()
def check(file: str | None, **flags: Any) -> None:
    """Print the settings in force, and check the log for damage."""
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
    with contextlib.closing(Store(log_folder(Path(settings.data)))) as store, progress_bar("Checking") as progress:
        faults = store.check(progress)
        warnings = checking.warnings(store.past, store.newest, time.time())
        size = None if faults else store.size()
    click.echo("")
    for text in warnings:
        click.echo(f"Warning: {text}")
    if size is None:
        raise Sentence("the log is damaged:\n  " + "\n  ".join(faults), exit_code=1)
    click.echo(f"The log is whole: {sized(size)}.")
