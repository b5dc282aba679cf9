"""Open the ssh wire of a server with its settings: whether there is one, the keys, and what is told about them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hubbub.chat.hub import Hub
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.serve.accept.address import wire_of
from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.late_wire import load
from hubbub.serve.sockets.connection import ClientProtocol, Shared
from hubbub.storage.host_keys import announce
from hubbub.storage.key_value import KeyValueStore
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.serve.ssh.authentication.key_file import KeyFile

log = logging.getLogger("hubbub")


class OpenedSsh(NamedTuple):
    """The factory of the clients of the wire, and the keys that the operator lets in."""

    client: Callable[[Caller], ClientProtocol]
    key_file: KeyFile


def speaks_ssh(settings: Settings) -> bool:
    """Return whether ssh clients are served. Raise SettingsError if they should be and cannot."""
    fixed = any(wire_of(address) is Wire.SSH for address in settings.listen)
    if settings.ssh == "no" and fixed:
        raise SettingsError("An address is for ssh clients, but the setting ssh is no.")
    installed = settings.ssh != "no" and find_spec("asyncssh") is not None
    if not installed and (fixed or settings.ssh == "yes"):
        raise SettingsError("For ssh clients, the Python package asyncssh is needed: pip install asyncssh")
    return installed


async def opened_ssh(hub: Hub, shared: Shared, store: KeyValueStore) -> OpenedSsh:
    """Load the ssh wire, which takes long, and return it.

    Args:
        hub: the hub.
        shared: the state that all connections share.
        store: the key-value store of the log.

    Raises:
        SettingsError: a key cannot be read or written.

    """
    await load("hubbub.serve.ssh.wire")
    from hubbub.serve.ssh import host_keys, wire
    from hubbub.serve.ssh.authentication.key_file import KeyFile

    settings = shared.settings
    keys = host_keys.host_keys(settings)
    key_file = KeyFile(Path(settings.ssh_keys) if settings.ssh_keys else None)
    announce(store, [key.get_fingerprint() for key in keys], _warn_of_another_host_key)
    for key in keys:
        log.info("The ssh host key's fingerprint is %s (%s)", key.get_fingerprint(), key.get_algorithm())
    return OpenedSsh(await wire.opened(hub, shared, keys, key_file), key_file)


def _warn_of_another_host_key(before: str) -> None:
    log.warning(
        "Another node, or an earlier start, has shown ssh clients another host key (%s): clients warn of an attack "
        "now. Give all nodes the same one with --ssh-host-key.",
        before,
    )
