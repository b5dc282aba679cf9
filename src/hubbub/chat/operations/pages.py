"""Pages of the log that programs ask for; each reply has the label of its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from hubbub.chat.operations.asking import LogQuestion, question
from hubbub.chat.session import Session
from hubbub.errors import BrokerError
from hubbub.model.events import QueryResult
from hubbub.model.queries import LogPage

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub


class PageAsked(LogQuestion, frozen=True):
    """A program asks for a page of the log, under the label of its request."""

    label: str


def _page(hub: Hub, session: Session, asked: PageAsked, page: LogPage) -> QueryResult:
    return QueryResult(asked.label, hub.private_history.shown(session, page))


class MentionsPageAsked(Struct, frozen=True):
    """A program asks for the newest messages that mention the session's account; with `unread`, for those alone."""

    limit: int
    unread: bool
    label: str


def _mentions(
    hub: Hub, session: Session, asked: MentionsPageAsked, done: Callable[[LogPage | BrokerError], None]
) -> None:
    hub.mentions.of_session(session, asked.limit, asked.unread, done)


def _mentions_page(hub: Hub, session: Session, asked: MentionsPageAsked, page: LogPage) -> QueryResult:
    return QueryResult(asked.label, page)


OPERATIONS = (question(PageAsked, _page), question(MentionsPageAsked, _mentions_page, _mentions))
