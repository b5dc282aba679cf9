"""Operations that a session waits for, when what they are about has gone before their turn comes."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from msgspec import Struct, msgpack
from test_account_users import SlowRegistry
from test_private_log import Post

from doubles import FakeMentions, House, Peer
from hubbub.chat import messages, moderation
from hubbub.chat.classroom.lists import ListChange, ListChanged, Lists
from hubbub.chat.classroom.questions import Question, Questions
from hubbub.chat.commands.moderation import OpeningTold
from hubbub.chat.messages import Which
from hubbub.chat.nodes.person import Person
from hubbub.chat.operations import waiting
from hubbub.chat.operations.pages import MentionsPageAsked
from hubbub.chat.private import direct
from hubbub.chat.private.direct import RemoteDelivery
from hubbub.chat.private.private_log import MessageAnnounced
from hubbub.chat.rooms.missed import MissedCount
from hubbub.chat.session import Session
from hubbub.chat.turns import ClientStep, OperationKind, by_name
from hubbub.model.accounts.account import SshKey
from hubbub.model.entries import Kind, Said
from hubbub.model.events import Acknowledged, MembersListed, Missed, Notice, Private, QueryResult, Refusal
from records import text_in


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


def test_a_session_does_not_wait_for_an_answer_that_failed() -> None:
    class Broken(Struct):
        pass

    house = House()
    (al,) = house.enter("Al")
    begin = OperationKind(Broken, lambda *_: 1 // 0, lambda session, request, done: done(None), holds=False)
    al.session.client_operations = by_name(begin)
    with pytest.raises(ZeroDivisionError):
        al.session.queue(Broken())
    assert not al.session.pending


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
    ann.session.queue(RemoteDelivery("zoe", "Zoe", "psst", Kind.MESSAGE, "", ""))
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


# --- written down and begun again by another session --------------------------------------------------------------


class Twin(Post):
    """A town with Ann and Bo, who own accounts, and the guests Cy and Dee; two of them are alike."""

    def __init__(self) -> None:
        super().__init__("Ann", "Bo", "Zoe")
        self.registry = self.hub.nicks.names = SlowRegistry()
        self.hub.mentions.store = FakeMentions()
        self.ann, self.bo = self.log_in("Ann"), self.log_in("Bo")
        self.cy, self.dee = self.guest("Cy"), self.guest("Dee")
        self.ann.session.ssh_key = SshKey(fingerprint="SHA256:x")
        self.ann.types("/ignore Cy")
        self.settle()
        self.bo.types("Ann: tea?", "/msg Ann cake?")
        self.settle()
        self.house.forget()

    def guest(self, name: str) -> Peer:
        peer = self.house.connect()
        peer.types(name)
        self.settle()
        return peer

    def settle(self) -> None:
        super().settle()
        while self.registry.asked:
            self.registry.asked.pop()(None)
            super().settle()


WAITS = [
    ("ann", "/history"),
    ("ann", "/history Bo"),
    ("ann", "/search tea"),
    ("ann", "/search @Bo cake"),
    ("ann", "/since 2h"),
    ("ann", "/rooms"),
    ("ann", "/mentions"),
    ("ann", "/+ x"),
    ("ann", "/re Bo yes"),
    ("ann", "/re not you, nobody"),
    ("ann", "/msg Bo psst"),
    ("ann", "/msg Zoe psst"),
    ("cy", "/nick Eve"),
    ("cy", "/join ops"),
    ("ann", "/stay on"),
    ("ann", "/store off"),
    ("ann", "/plain on"),
    ("ann", "/dnd 22-7"),
    ("ann", "/notify cake"),
    ("ann", "/notify off cake"),
    ("ann", "/ignore Bo"),
    ("ann", "/unignore Cy"),
    ("ann", "/keys add"),
]


@pytest.mark.parametrize(("who", "line"), WAITS)
def test_what_a_session_waits_for_is_begun_again_by_another_one_with_the_same_answers(who: str, line: str) -> None:
    first, second = Twin(), Twin()
    one, other = getattr(first, who), getattr(second, who)
    one.types(line, "the next line waits")
    assert one.untaken == 1 and one.sees() == []
    written = waiting.state(one.session)
    assert written and waiting.can_move(one.session)
    waiting.restore(other.session, msgpack.decode(msgpack.encode(written)))
    other.types("the next line waits")
    assert other.untaken == 1
    first.settle()
    second.settle()
    seen = one.sees()
    assert shape(seen) == shape(other.sees()) and one.untaken == other.untaken == 0
    assert shape(first.bo.sees()) == shape(second.bo.sees())
    assert one.session.nick == other.session.nick and one.session.operator == other.session.operator
    assert [text_in(one) for one in first.house.broker.log] == [text_in(one) for one in second.house.broker.log]
    assert first.accounts.known == second.accounts.known


def shape(events: Sequence[object]) -> list[object]:
    """Return events without the numbers of entries, which may differ."""
    return [repr(event) for event in events]


def go_on(first: Session, second: Session) -> None:
    """Let a session wait for the same as another one."""
    written = waiting.state(first)
    assert written and waiting.can_move(first)
    waiting.restore(second, msgpack.decode(msgpack.encode(written)))


def test_a_join_that_is_begun_again_is_on_its_way_once() -> None:
    first, second = Twin(), Twin()
    first.cy.types("/join ops")
    go_on(first.cy.session, second.cy.session)
    assert second.cy.user.asking == ("ops",)
    second.hub.rooms.join(second.cy.session, "ops")
    second.settle()
    assert [one.nick for one in second.house.broker.of("ops")] == ["Cy"] and second.cy.user.asking == ()
    assert second.cy.session.current_name == "ops"


def test_a_message_into_a_room_that_is_being_loaded_is_begun_again() -> None:
    first, second = Twin(), Twin()
    one, other = first.house.connect(), second.house.connect()
    first.hub.post(one.session, "ci", "ops", "done", "r")
    go_on(one.session, other.session)
    second.settle()
    assert [event.label for event in other.sees() if isinstance(event, Acknowledged)] == ["r"]
    assert [text_in(one) for one in second.house.broker.of("ops")] == ["done"]
    assert "ops" not in second.hub.rooms.loaded, "the visit has ended"


def test_a_watcher_goes_on_while_its_room_is_loaded() -> None:
    first, second = Twin(), Twin()
    one, other = first.house.connect(), second.house.connect()
    first.hub.rooms.watch(one.session, "ops", 0)
    go_on(one.session, other.session)
    second.dee.types("/join ops", "hi")
    second.settle()
    assert "Dee: hi" in other.sees()


class HeldLists(Lists[Question]):
    """Questions that are stored when the test says so."""

    def __init__(self, known: Questions) -> None:
        super().__init__()
        self.known = known
        self.asked: list[Callable[[], None]] = []
        known.store = self

    def change(self, key: str, change: ListChange[Question], done: ListChanged[Question]) -> None:
        self.asked.append(lambda: Lists.change(self.known, key, change, done))


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_question_to_the_operators_is_asked_once(is_stored: bool) -> None:
    first, second = Twin(), Twin()
    stores = [HeldLists(town.hub.questions) for town in (first, second)]
    for town in (first, second):
        town.cy.types("/join ops")
        town.dee.types("/join ops")
        town.settle()
        town.house.forget()
    first.dee.types("/ask why?")
    go_on(first.dee.session, second.dee.session)
    if is_stored:  # before the first process ended
        stores[0].asked.pop()()
        second.hub.questions.note("ops", first.hub.questions.of("ops"))
    stores[1].asked.pop()()
    (told,) = second.dee.sees()
    assert told == Notice(("Your question is number 1; only the operators see it",))
    assert [one.text for one in second.hub.questions.of("ops")] == ["why?"]
    second.cy.types("/ok 1")
    assert second.cy.session.pending and waiting.state(second.cy.session) is None, "it would be lost"


@pytest.mark.parametrize("line", ["/invite code", "/codes end all"])
def test_no_code_for_a_room_is_written_down(line: str) -> None:
    town = Twin()
    town.cy.types("/join ops")
    town.settle()
    town.cy.types("/invite code")
    town.hub.rooms.codes.store = HeldLists(town.hub.questions)  # type: ignore[assignment]
    town.cy.types(line)
    assert town.cy.session.pending and waiting.state(town.cy.session) is None


def test_the_members_of_a_room_on_another_node_are_listed_by_the_session_that_goes_on() -> None:
    first, second = Twin(), Twin()
    for town in (first, second):
        town.hub.remote.add(
            Person("Yve", "~nc@1a.nc", "10.0.0.1", id="yve", id_prefix="yve.", rooms=("ops",), joins=(1,))
        )
    first.cy.types("/who ops")
    go_on(first.cy.session, second.cy.session)
    second.settle()
    (listed,) = second.cy.sees()
    assert isinstance(listed, MembersListed) and listed.nicks == ["Yve"]
    assert "ops" not in second.hub.rooms.loaded, "the visit has ended"


def test_a_session_that_is_slowed_down_goes_on_slowly() -> None:
    first, second = Twin(), Twin()
    later: list[float] = []
    for town in (first, second):
        town.hub.later = lambda seconds, call: later.append(seconds)
    first.hub.block(first.cy.session, 3.0)
    go_on(first.cy.session, second.cy.session)
    assert later == [3.0, 3.0] and second.cy.session.waits


def test_a_peer_that_does_not_read_waits_for_no_draft_that_is_stored() -> None:
    town = Twin()
    town.cy.stall()
    town.cy.types("hi")
    town.hub.after_earlier_entries(town.cy.session)
    assert waiting.state(town.cy.session) is None
    town.settle()
    assert len(town.cy.session.replies) == 2 and waiting.state(town.cy.session) == []
    town.hub.say(town.cy.session, "hi again", label="r")
    town.settle()
    assert waiting.state(town.cy.session) is None, "it has not been told that this is stored"


def test_a_session_with_a_draft_or_an_owned_operation_is_not_moved() -> None:
    town = Twin()
    assert waiting.state(town.ann.session) == [] and waiting.can_move(town.ann.session)
    town.ann.types("/topic tea")
    assert waiting.state(town.ann.session) is None and not waiting.can_move(town.ann.session)
    town.settle()
    assert waiting.can_move(town.ann.session)


def test_a_message_that_other_nodes_may_have_shown_already_is_not_sent_twice() -> None:
    town = Twin()
    town.house.hub.remote.add(Person("Yve", "~nc@1a.nc", "10.0.0.1", id="yve", id_prefix="yve."))
    town.house.hub.remote.deliver = lambda user, event, done: None
    town.cy.types("/msg Yve psst")
    assert town.cy.session.pending
    assert waiting.state(town.cy.session) is None and not waiting.can_move(town.cy.session)


SECRETS = [
    ("cy", "/login Zoe secret"),
    ("cy", "/login 123456"),
    ("cy", "/oper root secret"),
    ("cy", "/join ops secret"),
    ("ann", "/password secret2"),
    ("ann", "/unregister secret yes"),
    ("ann", "/link"),
    ("ann", "/notify via https://push.example.org/secret"),
]


@pytest.mark.parametrize(("who", "line"), SECRETS)
def test_no_credential_is_written_down_and_no_code_is_used_twice(who: str, line: str) -> None:
    town = Twin()
    peer = getattr(town, who)
    town.hub.pushes.send = lambda *_: None
    checks: list[Callable[[], None]] = []
    town.hub.check_login = lambda session, name, password, done: checks.append(lambda: done(True))
    peer.types(line)
    assert peer.session.pending
    assert waiting.state(peer.session) is None and not waiting.can_move(peer.session)
    for check in checks:
        check()
    town.settle()
    assert waiting.can_move(peer.session)


def test_what_no_command_waits_for_keeps_its_place_among_the_replies_that_move() -> None:
    first, second = Twin(), Twin()
    for town in (first, second):
        town.ann.stall()
    hub, lobby = first.hub, first.hub.rooms.loaded["lobby"]
    direct.signal(hub, first.ann.session, "lobby", "+typing=active", label="s")
    members = [first.bo.user, first.cy.user, first.dee.user]
    direct.message_members_apart(hub, first.ann.session, members, "+#lobby", "hush", Kind.MESSAGE, "", "m")
    first.ann.session.queue(OpeningTold(lobby.id, "all can read"))
    assert not first.ann.session.pending
    second.dee.types("/nick Eve")
    second.settle()
    second.cy.leave()
    second.house.forget()
    go_on(first.ann.session, second.ann.session)
    assert len(second.ann.session.replies) == 3 and not second.ann.session.pending
    for town in (first, second):
        town.ann.read()
    told = [[event for event in town.ann.sees() if not isinstance(event, str)] for town in (first, second)]
    assert told[0] == told[1] and [type(event) for event in told[0]] == [Acknowledged, Acknowledged, Notice]
    for peer in (second.bo, second.dee):
        *signals, message = peer.sees()
        assert signals == ["Ann ! +typing=active"]
        assert isinstance(message, Private) and message.text == "hush"
    assert not any(isinstance(event, Private) for event in second.cy.sees())


def test_a_signal_into_a_room_that_has_gone_is_acknowledged() -> None:
    town = Twin()
    town.cy.types("/join ops")
    town.settle()
    town.house.forget()
    town.cy.stall()
    direct.signal(town.hub, town.cy.session, "ops", "+typing=active", label="s")
    town.hub.rooms.remove(town.cy.user, town.hub.rooms.loaded["ops"])
    town.cy.read()
    assert [event.label for event in town.cy.sees() if isinstance(event, Acknowledged)] == ["s"]


def test_steps_of_a_client_keep_their_place_among_the_operations() -> None:
    first, second = Twin(), Twin()
    done: list[str] = []
    for town in (first, second):
        town.ann.session.client_steps = {"note": lambda client, text: done.append(text)}
    first.ann.session.replies.append(ClientStep("note", ("before",)))
    first.ann.types("/+ x")
    first.ann.session.replies.append(ClientStep("note", ("after",)))
    written = waiting.state(first.ann.session)
    assert written and [kind for kind, _ in written] == ["MessageAct", "note"] and done == ["before"]
    waiting.restore(second.ann.session, written)
    assert done == ["before"]
    second.settle()
    assert done == ["before", "after"]


def test_a_name_that_is_taken_where_its_claim_is_begun_again_is_refused() -> None:
    first, second = Twin(), Twin()
    first.cy.types("/nick Eve")
    written = waiting.state(first.cy.session)
    second.guest("Eve")
    second.house.forget()
    assert written
    waiting.restore(second.cy.session, written)
    second.settle()
    assert codes(second.cy) == ["name-taken"] and second.cy.session.nick == "Cy" and not second.cy.session.waits


@pytest.mark.parametrize("is_there", [False, True])
def test_the_holder_of_a_name_is_probed_again(is_there: bool) -> None:
    first, second = Twin(), Twin()
    probes: list[tuple[Session, Callable[[bool], None]]] = []
    for town in (first, second):
        town.hub.probe = lambda session, answer: probes.append((session, answer))
        town.cy.session.address = town.dee.session.address = "192.0.2.7"
    first.cy.types("/nick Dee")
    go_on(first.cy.session, second.cy.session)
    (_, (probed, answer)) = probes
    assert probed is second.dee.session and second.cy.session.waits
    answer(is_there)
    second.settle()
    assert codes(second.cy) == ["name-taken"] * is_there
    assert second.cy.session.nick == ("Cy" if is_there else "Dee") and second.dee.session.closed is not is_there


def test_a_name_whose_holder_has_left_where_its_probe_is_begun_again_is_free() -> None:
    first, second = Twin(), Twin()
    first.hub.probe = lambda session, answer: None
    first.cy.session.address = first.dee.session.address = "192.0.2.7"
    first.cy.types("/nick Dee")
    second.dee.leave()
    go_on(first.cy.session, second.cy.session)
    second.settle()
    assert second.cy.session.nick == "Dee"


def test_logins_of_a_session_go_on_in_their_turn() -> None:
    town = Twin()
    town.ann.stall()
    done: list[str] = []
    account = town.accounts.find("Ann")
    assert account
    for text in ("one", "two"):
        town.hub.account_users._queue(town.ann.session, account, partial(done.append, text))
    assert waiting.state(town.ann.session) is None and not done
    town.ann.read()
    assert done == ["one", "two"]
