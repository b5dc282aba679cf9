"""Rooms and their members on the API."""

from __future__ import annotations

from aiohttp import web

from hubbub.chat.commands import slash
from hubbub.model.access import Action
from hubbub.model.events import MembersListed
from hubbub.model.queries import AllRooms, RoomList
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import answer, link_to_next, plain
from hubbub.text.list_pages import ListPart
from hubbub.wire.web import api as wire


async def list_rooms(api: ApiContext, call: Call, query: wire.RoomsQuery, _: str) -> web.Response:
    """Return a list of rooms."""
    viewer = api.viewer(call)
    stored: RoomList = await api.requests.read(AllRooms(query.limit, query.after or "", viewer=viewer))
    listed = slash.rooms_of(api.hub, stored, viewer, part=ListPart(query.after, query.limit))
    # The list of the liveliest rooms has no next page. The list of all rooms is read by name, from the beginning.
    follow = listed.rooms[-1].name if query.after is not None and listed.rooms else ""
    headers = link_to_next(call, follow, query.limit) if listed.more else {}
    if plain(call):
        lines = (f"{room.name} ({room.members}) {room.topic}".rstrip() for room in listed.rooms)
        return web.Response(text="".join(line + "\n" for line in lines), headers=headers)
    rooms = [wire.RoomInfo(room.name, room.members, room.topic) for room in listed.rooms]
    return answer(wire.RoomPage(rooms, listed.more), headers=headers)


async def list_members(api: ApiContext, call: Call, query: wire.MembersQuery, room: str) -> web.Response:
    """Return a list of a room's members."""
    seen = await api.requests.may(api.requester(call), Action.SEE_MEMBERS, room)
    part = ListPart(query.after, query.limit)
    listed = slash.members_of(api.hub, room, part) if seen else MembersListed(room, ())
    headers = link_to_next(call, listed.nicks[-1], query.limit) if listed.more else {}
    if plain(call):
        return web.Response(text="".join(f"{nick}\n" for nick in listed.nicks), headers=headers)
    page = wire.MemberPage(room, list(listed.nicks), listed.more, listed.watching)
    return answer(page, headers=headers)
