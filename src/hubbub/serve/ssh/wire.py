"""The ssh wire: its algorithms and limits, and the parts that all of its peers share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import asyncssh

from hubbub.chat.hub import Hub
from hubbub.model.accounts.account import Account
from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.hub_requests import HubRequests, Requester
from hubbub.serve.late_wire import load
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.ssh.authentication.key_file import KeyFile
from hubbub.serve.ssh.authentication.login import SshLogin
from hubbub.serve.ssh.authentication.login_queue import LoginQueue
from hubbub.serve.ssh.channel import Shapes, SshChannel
from hubbub.serve.ssh.command_client import CommandClient
from hubbub.serve.ssh.frames import FrameClock
from hubbub.serve.ssh.host_keys import HostKey
from hubbub.serve.ssh.line_client import SshLineClient
from hubbub.serve.ssh.parts import PacketListener, SshParts
from hubbub.serve.ssh.peer import SshPeer
from hubbub.serve.ssh.terminal_client import SshTerminalClient
from hubbub.wire.line.encoder import RAW
from hubbub.wire.ssh import VERSION

KEEPALIVE = (30, 3)  # seconds of silence before a peer is asked whether it is there, and questions without an answer
WINDOW = 64 * 1024  # bytes that a channel may send before it has to wait
PACKET = 32 * 1024  # bytes of a channel's data in a packet
# The key exchanges with Curve25519; all clients of the last ten years have one of them. Others are slower, or use
# curves that are not trusted. The client's order decides which one is used. Dropbear begins a key exchange before it
# has the server's list, and takes its guess for wrong if another one comes first in the list.
EXCHANGES = ("curve25519-sha256", "curve25519-sha256@libssh.org", "mlkem768x25519-sha256")
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
MACS = ("hmac-sha2-256-etm@openssh.com",)  # named in the offer; the ciphers need none


async def opened(
    hub: Hub, shared: Shared, host_keys: Sequence[HostKey], key_file: KeyFile
) -> Callable[[Caller], SshPeer]:
    """Return the factory of the clients of the wire, ready for the first peer.

    Args:
        hub: the hub.
        shared: the state that all connections share.
        host_keys: the keys that identify the server.
        key_file: the keys that the operator lets in.

    """
    # Its log would show addresses and names a second time, and not cleaned.
    asyncssh.set_log_level("CRITICAL")
    door = PacketListener()
    options = await asyncssh.SSHServerConnectionOptions.construct(
        server_factory=lambda: SshLogin(hub.nicks.accounts, key_file),
        server_host_keys=[asyncssh.import_private_key(key.private) for key in host_keys],
        server_version=VERSION,
        kex_algs=list(EXCHANGES),
        encryption_algs=list(CIPHERS),
        mac_algs=list(MACS),
        compression_algs=None,
        gss_host=None,
        agent_forwarding=False,
        line_editor=False,
        encoding=None,
        login_timeout=0,
        keepalive_interval=KEEPALIVE[0],
        keepalive_count_max=KEEPALIVE[1],
        window=WINDOW,
        max_pktsize=PACKET,
    )
    await asyncssh.listen(tunnel=door, options=options)
    queue = LoginQueue(shared.loop.call_soon, shared.loop.call_later, shared.clock, not shared.settings.no_limits)
    requests = HubRequests(hub, shared.loop, RAW)
    await load("wcwidth")
    shapes = Shapes(
        lines=partial(SshLineClient, hub, shared.settings),
        terminal=partial(SshTerminalClient, hub, shared.settings),
        command=partial(_command, hub, requests),
    )
    frames = FrameClock(shared.loop.call_later, shared.clock)
    hub.nicks.accounts.changed.append(partial(_follow, shared))
    return partial(SshPeer, SshParts(shared, door, queue, shapes, frames))


def _follow(shared: Shared, account: Account) -> None:
    """Tell the peers that an account was changed."""
    for connection in list(shared.connections):
        if isinstance(peer := connection.client, SshPeer):
            peer.account_changed(account, time.time())


def _command(hub: Hub, requests: HubRequests, channel: SshChannel) -> CommandClient:
    """Return the client that runs the command of a channel."""
    identity, outer = channel.peer.identity, channel.peer.connection
    account = identity.account
    requester = Requester(account.host if account else f"~ssh@{outer.cloak}.ssh", outer.origin, account)
    return CommandClient(hub, requests, requester, identity.wished, channel.command or "", channel)
