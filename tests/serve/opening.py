"""The whole chat server in an event loop of the tests' own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving import until

from hubbub.config import Settings
from hubbub.serve.accept.tls import Certificate
from hubbub.startup.app import App


@asynccontextmanager
async def opened(
    settings: Settings, all_wires: bool = True, begin: Callable[[App], None] = lambda house: None
) -> AsyncIterator[tuple[App, int]]:
    """Yield the server and the port at which it listens; at the end all of its connections are closed.

    `begin` is called with the server when nothing of it runs yet.

    Without `all_wires` only nc and telnet are served until `open_wires` is called.
    """
    house = App(asyncio.get_running_loop(), settings)
    begin(house)
    async with asyncio.TaskGroup() as tasks:
        front = house.accept(tasks)
        await house.cluster.connect()
        await house.cluster.meet(house.hub)
        port = int(front.bind()[0][0].rpartition(":")[2])
        if settings.tls != "no":
            house.certificate = Certificate(settings)
        house.start_storage()
        await house.load_accounts()
        front.listen()
        if all_wires:
            await house.open_wires()
        try:
            yield house, port
        finally:
            front.close()
            for connection in list(house.shared.connections):
                connection.abort()
            await until(lambda: not house.shared.connections and not front.admission.count)
            for sock in front.admission.leaving:  # they were turned away when it stopped
                sock.close()
            if house.web:
                await house.web.stop()
            await house.log.stop(1.0)
            await house.cluster.leave()
