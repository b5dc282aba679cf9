"""Who stays in the rooms while away is still there after a restart of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from housing import PROMPT, Serving, housing
from serving import until

from hubbub.model.entries import Joined, Left
from hubbub.model.queries import Latest, LogPage
from hubbub.model.viewer import SYSTEM

LOGGED_IN = b"*** You are logged in as Ann ***\n"


async def events(serving: Serving) -> list[tuple[str, type]]:
    """Return the joins and leaves in the log of the room dev."""
    read: asyncio.Future[LogPage] = asyncio.get_running_loop().create_future()
    serving.house.log.read(Latest(room="dev", limit=100, every=True, viewer=SYSTEM), read.set_result)
    return [(one.nick, type(one.body)) for one in (await read).entries if isinstance(one.body, Joined | Left)]


async def test_a_restart_is_no_leave_and_no_join_and_nothing_is_missed(tmp_path: Path) -> None:
    async with housing(tmp_path) as serving:
        ann = await serving.join("Ann")
        ann.send(b"/register open sesame\n/stay on\n/join dev\n/topic stable\n/who\n")
        await ann.skips_to(b"@Ann")
        await serving.house.store_stays()
    async with housing(tmp_path) as serving:
        user = serving.house.hub.nicks.find("Ann")
        assert user and user.account and not user.sessions
        assert sorted(room.name for room in user.rooms.values()) == ["dev", "lobby"]
        dev = serving.house.hub.rooms.loaded["dev"]
        assert dev.state.is_operator(user) and list(dev.members) == [user]
        bo = await serving.join("Bo")
        bo.send(b"/join dev\nwake up\n/who\n")
        await bo.skips_to(b"Ann")
        again = await serving.connect()
        again.send(b"Ann\nopen sesame\n")
        await again.skips_to(PROMPT)
        await again.skips_to(LOGGED_IN)
        assert b"--- 1 new in dev since " in await again.skips_to(b"Bo: wake up")
        assert await events(serving) == [("Ann", Joined), ("Bo", Joined)]
        again.send(b"/stay off\n/quit\n")
        await again.rest()
        await until(lambda: list(dev.members) != [user] and len(dev.members) == 1)
        await until(lambda: not serving.house.stays._revisions)
    async with housing(tmp_path) as serving:
        assert serving.house.hub.nicks.find("Ann") is None
