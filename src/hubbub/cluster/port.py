"""The contract of a cluster: the nodes that serve one log together.

The same contract test runs against every cluster (tests/storage/test_clusters.py).

1. The methods are called in this order, each once: `connect`, `meet`, `start` after the log has started, `give_up`
while the clients are still connected, `leave` after the log has stopped.
2. From `meet` on the hub knows the users of the other nodes, and its users are known there. Names that they hold
cannot be taken here, and private messages and ephemeral events reach them.
3. `secret` is the same on all nodes of a cluster, and known to nobody else. A node alone has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hubbub.chat.hub import Hub


class Cluster(Protocol):
    """The other nodes, as the server uses them."""

    @property
    def secret(self) -> bytes:
        """The secret that only the nodes of the cluster share, once connected; b"" for a node that is alone."""
        ...

    async def connect(self) -> None:
        """Connect to the servers that the cluster needs, before any client connects. Raises SettingsError."""
        ...

    async def meet(self, hub: Hub) -> None:
        """Give the hub the users of other nodes, and keep them up to date. Raises SettingsError."""
        ...

    def start(self) -> None:
        """Start the background work of a node, on the running loop."""
        ...

    async def give_up(self) -> None:
        """Report an outcome now for drafts that cannot be stored at the moment: the clients are about to disconnect."""
        ...

    async def leave(self) -> None:
        """Leave the cluster, so that the other nodes need not wait for this one, and release all resources."""
        ...

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return statistics for monitoring: by name, each with an explanation and a value."""
        ...
