"""The page's requests about accounts: logging in and out by a cookie, registering, sessions, tokens and codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial

from aiohttp import web
from msgspec import structs

from hubbub.chat.hub import Hub
from hubbub.chat.session import User
from hubbub.chat.users.accounts import Accounts, Checked, LoginPeer, close
from hubbub.errors import BrokerError, Closed, Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Grant
from hubbub.model.rates.budget import Buckets
from hubbub.model.viewer import Viewer
from hubbub.serve import qr
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.web import door
from hubbub.serve.web.credentials import Visitor, outcome_of
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import JSON, answer, problem
from hubbub.serve.web.websocket_client import Tokens, WebSocketClient
from hubbub.text import refusals
from hubbub.text.names import check_room
from hubbub.wire.web import credentials as wire
from hubbub.wire.web.site import host_name, is_loopback

COOKIE_SECONDS = 90 * 24 * 3600.0  # in which a browser must come back, to stay logged in
BODY = 10.0  # seconds in which a body must arrive
DAY = 24 * 3600.0
PICTURES = 30  # QR codes that an address can get at once: each costs some milliseconds
PICTURES_SECONDS = 60.0  # in which it can get so many again

Run = Callable[[Call], Awaitable[web.StreamResponse]]


class AccountPages:
    """Answers the page's requests about accounts.

    Args:
        hub: the hub.
        shared: the state that all connections share.
        tokens: the WebSocket sessions by their resume tokens.
        trusts: returns whether an address is that of a trusted proxy.
        transcript: returns the transcript of a room in a form, as far as a viewer may read the room.

    """

    def __init__(
        self,
        hub: Hub,
        shared: Shared,
        tokens: Tokens,
        trusts: Callable[[str], bool],
        transcript: Callable[[Call, str, str, Callable[[], Viewer]], Awaitable[web.Response]],
    ) -> None:
        self._hub = hub
        self._shared = shared
        self._tokens = tokens
        self._trusts = trusts
        self._transcript_for = transcript
        self._runs: dict[str, dict[str, Run]] = {
            "/api/account": {"GET": self._account},
            "/api/login": {"POST": self._log_in},
            "/api/register": {"POST": self._register},
            "/api/logout": {"POST": self._log_out},
            "/api/unregister": {"POST": self._unregister},
            "/api/sessions": {"GET": self._sessions},
            "/api/sessions/end": {"POST": self._end_sessions},
            "/api/tokens": {"GET": self._tokens_list, "POST": self._make_token},
            "/api/tokens/end": {"POST": self._end_tokens},
            "/api/keys": {"GET": self._keys},
            "/api/keys/end": {"POST": self._end_keys},
            "/api/link": {"POST": self._link},
            "/api/qr": {"POST": self._qr},
            "/api/door": {"GET": self._door},
            "/api/commands": {"GET": self._commands},
            "/api/transcript": {"POST": self._transcript},
        }
        self._pictures = Buckets(0 if shared.settings.no_limits else PICTURES, PICTURES_SECONDS, shared.clock)

    @property
    def _accounts(self) -> Accounts:
        return self._hub.nicks.accounts

    async def answer(self, call: Call) -> web.StreamResponse:
        """Return the response to a request; refusals become problem documents."""
        methods = self._runs.get(call.request.rel_url.raw_path)
        if methods is None:
            return problem(refusals.NOT_FOUND())
        run = methods.get(call.request.method)
        if run is None:
            allowed = ", ".join(methods)
            return problem(refusals.METHOD(method=call.request.method, allowed=allowed), {"Allow": allowed})
        try:
            response = await run(call)
        except Refused as refused:
            response = problem(refused)
        except Closed as error:
            response = problem(error.refused)
        except BrokerError as error:
            response = problem(refusals.LOG_UNREADABLE(reason=error))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def visitor(self, call: Call) -> Visitor:
        """Return the facts about the peer of a WebSocket that its handshake shows."""
        return Visitor(await self._proof(call), call.encrypted)

    # --- the account of a request ---------------------------------------------------------------------------------

    async def _proof(self, call: Call) -> Account | None:
        """Return the account that a trusted proxy or a cookie proves, whose `grant` it is then; None for a guest."""
        header = self._shared.settings.auth_header
        name = call.request.headers.get(header, "") if header else ""
        if name and self._trusts(call.dialogue.connection.peer[0]):
            found: Account = await outcome_of(partial(self._accounts.by_trusted_name, name))
            return found
        if not (cookie := self._cookie(call)):
            return None
        try:
            found = await outcome_of(partial(self._accounts.by_cookie, cookie))
        except Refused:
            return None
        return found

    async def _proven(self, call: Call) -> Account:
        if proof := await self._proof(call):
            return proof
        raise refusals.NOT_LOGGED_IN()

    def _cookie(self, call: Call) -> str:
        name = wire.cookie_name(call.request.headers.get("Host", ""))
        cookie = call.request.cookies.get(name, "")
        return cookie if len(cookie) <= wire.MAX_COOKIE else ""

    async def _body(self, call: Call, kind: type[wire.T]) -> wire.T:
        request = call.request
        if request.content_type != JSON:
            raise refusals.BODY_INVALID()
        body = await call.dialogue.read(request, wire.MAX_CREDENTIALS, BODY)
        if body is None:
            raise refusals.BODY_TOO_LONG(limit=wire.MAX_CREDENTIALS)
        found = wire.read_body(body, kind)
        if found is None:
            raise refusals.BODY_INVALID()
        return found

    # --- logging in and out ---------------------------------------------------------------------------------------

    async def _account(self, call: Call) -> web.Response:
        """Return the account of the request, and let its cookie last longer in the browser, too."""
        proof = await self._proof(call)
        response = self._info(proof.name if proof else "")
        if proof and proof.grant:
            self._set_cookie(call, response, self._cookie(call), COOKIE_SECONDS)
        return response

    async def _log_in(self, call: Call) -> web.Response:
        body = await self._body(call, wire.Credentials)

        def start(peer: LoginPeer, done: Checked) -> None:
            if body.name:
                self._accounts.log_in(body.name, body.secret, call.login_peer, done)
            else:
                self._accounts.redeem(body.secret, call.login_peer, done)

        if client := self._client(body.resume):
            session = client.session
            return await self._give_cookie(call, client, partial(self._hub.credentials.check, session, start))
        account: Account = await outcome_of(partial(start, call.login_peer))
        return await self._with_cookie(call, account, None)

    async def _register(self, call: Call) -> web.Response:
        body = await self._body(call, wire.Credentials)
        if client := self._client(body.resume):
            session = client.session
            register = self._hub.credentials.register
            start = partial(register, session, session.nick, body.secret, code=body.code)
            return await self._give_cookie(call, client, lambda outcome: start(outcome=outcome))
        name = self._hub.nicks.unregistered(body.name)
        peer = call.login_peer
        account: Account = await outcome_of(
            lambda done: self._accounts.register(name, body.secret, peer, done, body.code)
        )
        return await self._with_cookie(call, account, None)

    def _client(self, resume: str) -> WebSocketClient | None:
        client = self._tokens.get(resume)
        return client if client and client.session.user and not client.session.closed else None

    async def _transcript(self, call: Call) -> web.Response:
        """Return the transcript of a room as a file, as far as the page's session in the chat may read it."""
        body = await self._body(call, wire.TranscriptWanted)
        client = self._client(body.resume)
        if client is None:
            raise refusals.NOT_LOGGED_IN()
        viewer = partial(self._hub.viewer, client.session)
        return await self._transcript_for(call, check_room(body.room), body.format, viewer)

    async def _give_cookie(
        self, call: Call, client: WebSocketClient, start: Callable[[Callable[[Refused | None], None]], None]
    ) -> web.Response:
        """Log a session in to an account, and give its browser a cookie."""
        await outcome_of(start)
        session = client.session
        account = session.user.account if session.user else None
        if account is None:
            raise refusals.NOT_LOGGED_IN()
        account = structs.replace(account, permit=session.permit)
        return await self._with_cookie(call, account, client)

    async def _with_cookie(self, call: Call, account: Account, client: WebSocketClient | None) -> web.Response:
        if account.permit.is_limited:  # a cookie would be as good as the password
            raise refusals.TOKEN_SCOPE(scope="admin")
        browser = wire.browser_name(call.request.headers.get("User-Agent", ""))
        cookie: str = await outcome_of(partial(self._accounts.make_cookie, account, browser))
        if client:
            self._hub.holders.hold(client.session, self._accounts.grant_id(cookie))
        response = self._info(account.name)
        self._set_cookie(call, response, cookie, COOKIE_SECONDS)
        return response

    async def _log_out(self, call: Call) -> web.Response:
        proof = await self._proof(call)
        if proof and proof.grant:
            await outcome_of(partial(self._accounts.end_cookies, proof, [proof.grant]))
        response = self._info("")
        self._set_cookie(call, response, "", 0)
        return response

    async def _unregister(self, call: Call) -> web.Response:
        """Close the account of the request, if its owner gives the password or a code once more."""
        proof, body = await self._changeable(call), await self._body(call, wire.Closing)
        await outcome_of(partial(close, self._accounts, proof, body.secret, call.login_peer, body.take_back))
        response = self._info("")
        self._set_cookie(call, response, "", 0)
        return response

    def _info(self, name: str) -> web.Response:
        return answer(wire.AccountInfo(name, self._accounts.registration, self._accounts.guests))

    def _set_cookie(self, call: Call, response: web.Response, value: str, seconds: float) -> None:
        name = wire.cookie_name(call.request.headers.get("Host", ""))
        response.headers["Set-Cookie"] = wire.set_cookie(name, value, seconds, call.encrypted)

    # --- the sessions of an account -------------------------------------------------------------------------------

    async def _sessions(self, call: Call) -> web.Response:
        return self._list(await self._proven(call))

    async def _end_sessions(self, call: Call) -> web.Response:
        proof = await self._proven(call)
        ids = set((await self._body(call, wire.Endings)).ids)
        await outcome_of(partial(self._accounts.end_cookies, proof, ids))
        if user := self._user(proof):
            self._hub.end_sessions(user, ids)
        return self._list(proof, ids)

    def _user(self, account: Account) -> User | None:
        user = self._hub.nicks.find(account.name)
        return user if user and user.account and user.account.id == account.id else None

    def _list(self, account: Account, ended: Collection[str] = ()) -> web.Response:
        """Return the browsers and sessions of an account, without those that other nodes are about to end."""
        browsers = [
            wire.LoggedInBrowser(one.id, one.grant.name, one.grant.created, one.id == account.grant)
            for one in self._accounts.cookies(account)
        ]
        user = self._user(account)
        screens = self._hub.screens(user) if user else []
        sessions = [wire.OpenSession(one.id, one.wire, one.node) for one in screens if one.id not in ended]
        return answer(wire.AccountSessions(browsers, sessions))

    # --- tokens for programs --------------------------------------------------------------------------------------

    async def _changeable(self, call: Call) -> Account:
        """Return the account of a request that may make tokens and codes for it. Raises Refused."""
        proof = await self._proven(call)
        if proof.permit.is_limited:
            raise refusals.TOKEN_SCOPE(scope="admin")
        return proof

    async def _tokens_list(self, call: Call) -> web.Response:
        return self._list_tokens(await self._changeable(call))

    async def _make_token(self, call: Call) -> web.Response:
        proof = await self._changeable(call)
        body = await self._body(call, wire.TokenWanted)
        expires = self._hub.clock() + body.days * DAY if body.days else 0.0
        scopes = tuple(body.scopes) or ("read", "say")
        grant = Grant(name=body.name, scopes=scopes, rooms=tuple(body.rooms), expires=expires)
        made: str = await outcome_of(partial(self._accounts.make_token, proof, grant))
        return self._list_tokens(proof, made)

    async def _end_tokens(self, call: Call) -> web.Response:
        proof = await self._changeable(call)
        ids = (await self._body(call, wire.Endings)).ids
        await outcome_of(partial(self._accounts.end_tokens, proof, ids))
        return self._list_tokens(proof)

    def _list_tokens(self, account: Account, made: str = "") -> web.Response:
        listed = [
            wire.ListedToken(id, grant.name, grant.created, grant.expires, grant.scopes, grant.rooms)
            for id, grant in ((one.id, one.grant) for one in self._accounts.tokens(account))
        ]
        return answer(wire.AccountTokens(listed, made))

    # --- ssh keys -------------------------------------------------------------------------------------------------

    async def _keys(self, call: Call) -> web.Response:
        return _list_keys(await self._changeable(call))

    async def _end_keys(self, call: Call) -> web.Response:
        account = await self._changeable(call)
        for fingerprint in (await self._body(call, wire.Endings)).ids:
            account = await outcome_of(partial(self._accounts.remove_ssh_key, account, fingerprint))
        return _list_keys(account)

    # --- codes for other devices ----------------------------------------------------------------------------------

    async def _link(self, call: Call) -> web.Response:
        """Make a code for another device, which does not reach this page by an address of this machine alone."""
        proof = await self._changeable(call)
        await self._body(call, wire.Nothing)
        code: str = await outcome_of(partial(self._accounts.make_code, proof))
        is_near = is_loopback(host_name(call.request.headers.get("Host", "")))
        return answer(wire.LinkCode(code, self._hub.page_url if is_near else ""))

    async def _qr(self, call: Call) -> web.Response:
        text = (await self._body(call, wire.QrWanted)).text
        if self._pictures.take(call.origin):
            raise refusals.TOO_FAST()
        return answer(wire.QrPath(*qr.picture(text)))

    # --- before the chat ------------------------------------------------------------------------------------------

    async def _door(self, call: Call) -> web.Response:
        viewer = self._hub.stranger(f"~web@{self._shared.cloak(call.origin)}.web", call.origin)
        return answer(door.door(self._hub, self._shared.settings, viewer))

    async def _commands(self, call: Call) -> web.Response:
        return answer(door.commands())


def _list_keys(account: Account) -> web.Response:
    return answer(wire.AccountKeys([wire.ListedKey(key.fingerprint, key.kind, key.added) for key in account.ssh_keys]))
