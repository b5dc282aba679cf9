"""A node without others: there is nobody to find, and nothing to agree on."""

from __future__ import annotations

from collections.abc import Mapping

from hubbub.chat.hub import Hub


class Solo:
    """A cluster of one node, whose log is on its own machine or in its memory."""

    secret = b""

    async def connect(self) -> None:
        """Do nothing: no other servers are needed."""

    async def meet(self, hub: Hub) -> None:
        """Do nothing: there are no users on other nodes."""

    def start(self) -> None:
        """Do nothing: there is no background work."""

    async def give_up(self) -> None:
        """Do nothing: every draft gets its outcome soon, as the log is here."""

    async def leave(self) -> None:
        """Do nothing: nobody waits for this node."""

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return an empty mapping: a node alone has nothing to say."""
        return {}
