"""Operations that a session waits for, when what they are about has gone before their turn comes."""

from test_private_log import Post

from doubles import House, Peer
from hubbub.chat import messages, moderation
from hubbub.chat.messages import Which
from hubbub.chat.pages import MentionsPageAsked
from hubbub.chat.private import direct
from hubbub.chat.private.direct import RemoteDelivery
from hubbub.chat.private.private_log import MessageAnnounced
from hubbub.chat.rooms.missed import MissedCount
from hubbub.model.entries import Said
from hubbub.model.events import Missed, QueryResult, Refusal


def codes(peer: Peer) -> list[str]:
    return [event.code for event in peer.sees() if isinstance(event, Refusal)]


def test_a_room_that_is_not_loaded_any_more_is_one_that_the_session_is_not_in() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops", "tea")
    house.settle()
    house.forget()
    ops = house.hub.rooms.loaded["ops"]
    messages.redact(al.session, ops, Which(own=True))
    moderation.move(house.hub, al.session, ops, "dev")
    al.session.queue(MissedCount(ops.id, 0, 0.0))
    house.hub.rooms.remove(al.user, ops)
    house.settle()
    assert "ops" not in house.hub.rooms.loaded and codes(al) == ["not-in-room", "not-in-room"]
    assert not any(isinstance(event, Missed) for event in al.sees())


def test_a_conversation_of_a_session_that_has_no_account_any_more() -> None:
    post = Post("Ann", "Bo")
    bot, ann = post.house.connect(), post.log_in("Ann")
    bot.session.acts_for = ann.session.account
    messages.redact(bot.session, post.hub.private_history.room_with(bot.session, "Bo"), Which(id="x"))
    bot.session.acts_for = None
    post.settle()
    assert codes(bot) == ["not-logged-in"]


def test_a_private_message_to_somebody_who_has_gone_for_ever() -> None:
    post = Post("Ann", "Bo")
    ann = post.log_in("Ann")
    ann.session.queue(MessageAnnounced("idzoe", Said("psst"), "", "r", "Ann"))
    entry = direct._entry(post.hub, ann.session, "@Zoe", Said("psst").style, "psst", "")
    ann.session.queue(RemoteDelivery("zoe", entry, ""))
    post.settle()
    assert [one.label for one in ann.sees() if isinstance(one, Refusal)] == ["r", ""]


def test_mentions_for_a_program() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    bo.types("Ann: tea?")
    post.settle()
    post.house.forget()
    ann.session.queue(MentionsPageAsked(5, False, "r"))
    post.settle()
    (result,) = ann.sees()
    assert isinstance(result, QueryResult) and result.label == "r"
