"""Open the ssh wire of a server with its settings: whether there is one, its keys, and the log's lines about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.chat.hub import Hub
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.serve.accept.address import wire_of
from hubbub.serve.late_wire import LateWire, load, on_thread
from hubbub.serve.sockets.connection import Shared
from hubbub.storage.host_keys import announce
from hubbub.storage.key_value import KeyValueStore
from hubbub.wire.sniff import Wire

if TYPE_CHECKING:
    from hubbub.serve.ssh.authentication.key_file import KeyFile
    from hubbub.serve.ssh.host_keys import HostKey

log = logging.getLogger("hubbub")


def speaks_ssh(settings: Settings) -> bool:
    """Return whether ssh clients are served. Raise SettingsError if they should be and cannot."""
    fixed = any(wire_of(address) is Wire.SSH for address in settings.listen)
    if settings.ssh == "no" and fixed:
        raise SettingsError("An address is for ssh clients, but the setting ssh is no.")
    installed = settings.ssh != "no" and find_spec("asyncssh") is not None
    if not installed and (fixed or settings.ssh == "yes"):
        raise SettingsError("For ssh clients, the Python package asyncssh is needed: pip install asyncssh")
    return installed


class SshOpening:
    """Opens the ssh wire: the host keys at the start, the rest when the first client comes.

    Args:
        hub: the hub.
        shared: the state that all connections share.
        store: the key-value store of the log.
        wire: the wire, where the first clients wait.

    """

    def __init__(self, hub: Hub, shared: Shared, store: KeyValueStore, wire: LateWire) -> None:
        self.key_file: KeyFile | None = None  # that the operator lets in; None until the wire is loaded
        self._hub = hub
        self._shared = shared
        self._store = store
        self._wire = wire
        self._host_keys: Sequence[HostKey]

    async def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Read the host keys and tell their fingerprints, and let the wire be loaded by a task when it is needed.

        A file of keys needs asyncssh, and its faults end the start. So the wire is loaded at once if there is one.

        Raises:
            SettingsError: a key cannot be read or written.

        """
        await load("hubbub.serve.ssh.host_keys")
        from hubbub.serve.ssh.host_keys import host_keys

        keys = self._host_keys = await on_thread(partial(host_keys, self._shared.settings))
        announce(self._store, [key.fingerprint for key in keys], _warn_of_another_host_key)
        for key in keys:
            log.info("The ssh host key's fingerprint is %s (%s)", key.fingerprint, key.kind)
        if self._shared.settings.ssh_keys:
            await self._load()
        else:
            self._wire.load_when_needed(tasks, self._load)

    async def _load(self) -> None:
        await load("hubbub.serve.ssh.wire")
        from hubbub.serve.ssh import wire
        from hubbub.serve.ssh.authentication.key_file import KeyFile

        path = self._shared.settings.ssh_keys
        key_file = self.key_file = KeyFile(Path(path) if path else None)
        self._wire.open(await wire.opened(self._hub, self._shared, self._host_keys, key_file))


def _warn_of_another_host_key(before: str) -> None:
    log.warning(
        "Another node, or an earlier start, has shown ssh clients another host key (%s): clients warn of an attack "
        "now. Give all nodes the same one with --ssh-host-key.",
        before,
    )
