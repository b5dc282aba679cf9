"""Who may see and do what: each reason to say no. tests/serve/test_access_on_wires.py tries all of docs/access.md."""

from __future__ import annotations

import pytest
from test_state import AL, BO, Rules, entry, person, rules

from hubbub.chat.session import User
from hubbub.model.access import HIDDEN, Action, may, sees
from hubbub.model.entries import Kind
from hubbub.model.viewer import SYSTEM, Viewer
from hubbub.text.names import LOBBY

NOW = 1000.0
SEEING = (
    Action.LIST,
    Action.READ,
    Action.WATCH,
    Action.SEE_TOPIC,
    Action.SEE_MEMBERS,
    Action.SEE_MODES,
    Action.SEE_MASKS,
)


def asking(user: User, inside: bool = True, ticks: float = NOW, key: str = "") -> Viewer:
    """Return a user as one who asks, in ops or not."""
    rooms = ("ops",) if inside else ()
    return Viewer(rooms, user.mask, user.operator, NOW, ticks, user, user.address, key, types_names=True)


def stranger(host: str = "~api@bbbbbbbbbb.api", nick: str = "", ticks: float = NOW) -> Viewer:
    return Viewer(mask=f"{nick}!{host}", now=NOW, ticks=ticks)


def code(viewer: Viewer, action: Action, made: Rules, coming: int = 0) -> str:
    refused = may(viewer, action, made, coming)
    if refused is None:
        return ""
    assert refused.text.endswith((".", "KEY", "s."))
    return refused.code


def opened(*changes: str) -> Rules:
    """Return the rules of a room that somebody has opened."""
    made = rules()
    made.apply(entry(Kind.JOIN, "", "Op", "~nc@x.nc"), ())
    for text in changes:
        made.apply(entry(Kind.MODE, text), (AL, BO))
    return made


def root() -> User:
    made = person("Root")
    made.operator = True
    return made


# --- seeing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["+i", "+k tea", "+s", "+is"])
def test_closed_room_is_seen_into_by_its_members_alone(change: str) -> None:
    made = opened(change)
    for action in SEEING:
        assert code(asking(BO), action, made) == "" == code(SYSTEM, action, made)
        shown = action in (Action.LIST, Action.SEE_MODES)
        wanted = HIDDEN if "s" in change.split()[0] else "" if shown else "closed"
        assert code(stranger(), action, made) == code(asking(BO, False), action, made) == wanted


def test_open_room_is_seen_into_by_everybody_but_its_lists_of_masks() -> None:
    for action in SEEING:
        assert code(stranger(), action, opened()) == ("closed" if action is Action.SEE_MASKS else "")


@pytest.mark.parametrize("change", ["+i", "+k tea", "+s"])
def test_operator_of_the_server_sees_everything_but_what_is_said(change: str) -> None:
    viewer = asking(root(), False)
    for action in SEEING:
        assert bool(code(viewer, action, opened(change))) is (action in (Action.READ, Action.WATCH))


def test_banned_user_outside_a_room_cannot_read_it() -> None:
    made = opened("+b *!*@bbbbbbbbbb.*")
    for action in (Action.READ, Action.WATCH):
        assert code(stranger(), action, made) == code(asking(BO, False), action, made) == "banned"
        assert code(asking(BO), action, made) == "" == code(stranger("~api@cccccccccc.api"), action, made)
    assert code(stranger(), Action.SEE_TOPIC, made) == ""


def test_room_of_which_only_letters_are_known_is_judged_the_same() -> None:
    for letters, change in (("", "+m"), ("k", "+k tea"), ("is", "+is")):
        for action in SEEING:
            refused = sees(stranger(), action, "ops", letters, "ops")
            assert (refused.code if refused else "") == code(stranger(), action, opened(change))


# --- coming in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "count", "wanted"),
    [
        (["+b Bo!*@*"], "", 0, "banned"),
        (["+b *!*@bbbbbbbbbb.*"], "", 0, "banned"),
        (["+b Bo!*@* until=999"], "", 0, ""),
        (["+b Bo!*@* until=1001"], "", 0, "banned"),
        (["+be *!*@* Bo!*@*"], "", 0, ""),
        (["+b m:Bo!*@*"], "", 0, ""),
        (["+i"], "", 0, "invite-only"),
        (["+iI B*!*@*"], "", 0, ""),
        (["+k tea"], "", 0, "bad-key"),
        (["+k tea"], "coffee", 0, "bad-key"),
        (["+k tea"], "tea", 0, ""),
        ([], "tea", 0, "room-invalid"),
        (["+l 2"], "", 2, "room-full"),
        (["+l 2"], "", 1, ""),
        (["+s"], "", 1, ""),
    ],
)
def test_join_permission(changes: list[str], key: str, count: int, wanted: str) -> None:
    assert code(asking(BO, False, key=key), Action.JOIN, rules(*changes), count) == wanted


def test_invitation_by_an_operator_lets_in_once() -> None:
    made = rules("+i")
    BO.invite(made.name, NOW)
    assert code(asking(BO, False), Action.JOIN, made) == ""
    made.admit(BO)
    assert code(asking(BO, False), Action.JOIN, made) == "invite-only"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [("+i", "invite-only"), ("+k tea", "bad-key"), ("+l 1", "room-full"), ("+b Cy!*@*", "banned"), ("+s", "")],
)
def test_invitation_by_others_opens_nothing(change: str, wanted: str) -> None:
    cy = person("Cy")
    cy.invite("ops", 0.0)
    assert code(asking(cy, False), Action.JOIN, rules(change), 1) == wanted
    cy.invite("ops", 6.0)  # bans are set at 5.0
    cy.invite("ops", 0.0)
    assert code(asking(cy, False), Action.JOIN, rules(change), 1) == ""
    cy.invited["ops"] = 4.0
    assert code(asking(cy, False), Action.JOIN, rules(change), 1) == ("banned" if wanted == "banned" else "")


def test_invitations_are_remembered_up_to_a_bound() -> None:
    cy = person("Cy")
    for number in range(200):
        cy.invite(f"r{number}", 1.0)
    assert len(cy.invited) == 100 and "r199" in cy.invited


def test_operator_who_comes_back_is_kept_out_by_a_ban_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = rules(f"+oiklv Bo!{BO.host} tea 1 Al!{AL.host}")
    assert code(asking(BO, False), Action.JOIN, made, 1) == "invite-only", "anybody may have the name and the address"
    monkeypatch.setattr(BO, "trusted", {made.name: None})
    assert code(asking(BO, False), Action.JOIN, made, 1) == ""
    assert code(asking(AL, False), Action.JOIN, made, 1) == "invite-only", "a voice is not enough"
    assert code(asking(person("Bo"), False), Action.JOIN, made, 1) == "invite-only", "the same name from elsewhere"
    made.apply(entry(Kind.MODE, "+b Bo!*@*"), ())
    assert code(asking(BO, False), Action.JOIN, made, 1) == "banned"


def test_operator_of_the_server_comes_in_everywhere() -> None:
    assert code(asking(root(), False), Action.JOIN, rules("+imkl key 1", "+b *!*@*"), 5) == ""


def test_client_that_sends_a_key_to_a_room_without_one_may_come_in() -> None:
    client = asking(person("Cy"), False, key="tea")._replace(types_names=False)
    assert code(client, Action.JOIN, rules()) == ""


# --- speaking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([], ""),
        (["+m"], "moderated"),
        (["+m", f"+v Bo!{BO.host}"], ""),
        (["+b Bo!*@*"], "muted"),
        (["+b m:*!*@bbbbbbbbbb.*"], "muted"),
        (["+b m:*!*@*", "+e Bo!*@*"], ""),
        (["+b m:Al!*@*"], ""),
    ],
)
def test_permission_to_speak_in_a_room(changes: list[str], wanted: str) -> None:
    made = opened(*changes)
    assert code(asking(BO), Action.SPEAK, made) == code(asking(BO), Action.SIGNAL, made) == wanted
    assert code(asking(BO), Action.SET_TOPIC, made) == wanted, "a topic is read like what is said"
    assert code(asking(root()), Action.SPEAK, made) == ""


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (["-n"], ""),
        ([], "not-allowed"),
        (["-n+i"], "not-allowed"),
        (["-n+m"], "not-allowed"),
        (["-n+k tea"], "not-allowed"),
        (["-n+s"], "not-allowed"),
        (["-n+b ci!*@*"], "not-allowed"),
        (["-n+b m:ci!*@*"], "not-allowed"),
        (["-n+b m:*!*@bbbbbbbbbb.*"], "not-allowed"),
    ],
)
def test_permission_to_speak_from_outside(changes: list[str], wanted: str) -> None:
    made = opened(*changes)
    assert code(stranger(nick="ci"), Action.SPEAK, made) == code(stranger(nick="ci"), Action.SIGNAL, made) == wanted
    assert code(stranger(nick="ci"), Action.SPEAK, Rules(LOBBY, [entry(Kind.JOIN, "")])) == ""
    assert code(stranger(nick="ci"), Action.SPEAK, Rules("new")) == ""


def test_members_only_room_says_how_scripts_may_post() -> None:
    refused = may(stranger(nick="ci"), Action.SPEAK, opened())
    assert refused and refused.text == "Only people in ops can post there (/set members-only off lets scripts post)."


def test_slow_mode_by_a_clock_that_is_never_set() -> None:
    made = opened("+d 10", f"+v Al!{AL.host}")

    def speaks(viewer: Viewer) -> str:
        if not (wanted := code(viewer, Action.SPEAK, made)):
            made.slow.note(viewer)
        return wanted

    assert speaks(asking(BO)) == ""
    assert speaks(asking(BO, ticks=NOW + 9)) == "slow-mode" and code(asking(BO), Action.SIGNAL, made) == ""
    assert [speaks(asking(AL, ticks=NOW + tick)) for tick in (1, 2)] == ["", ""], "who has a voice"
    again = person("bo", BO.host)
    again.id_prefix = "y."
    assert speaks(asking(again, ticks=NOW + 9)) == "slow-mode", "who comes back under the same name"
    assert speaks(asking(BO, ticks=NOW + 10)) == ""
    made.dismiss(BO)
    BO.nick = "Bob"
    assert speaks(asking(BO, ticks=NOW + 11)) == "slow-mode", "who leaves, and comes back under another name"
    BO.nick = "Bo"
    made.apply(entry(Kind.MODE, "-d"), ())
    assert [speaks(asking(BO, ticks=NOW + 11)) for _ in "ab"] == ["", ""]


def test_slow_mode_is_for_those_outside_too_whatever_they_call_themselves() -> None:
    made = opened("-n+d 10")
    made.slow.note(stranger(nick="ci"))
    assert code(stranger(nick="other", ticks=NOW + 9), Action.SPEAK, made) == "slow-mode"
    assert code(stranger("~api@cccccccccc.api", "other", NOW + 9), Action.SPEAK, made) == ""


def test_slow_mode_remembers_so_many_and_no_more() -> None:
    made = opened("-n+d 10")
    for number in range(5000):
        made.slow.note(stranger(f"~api@{number}.api"))
    assert len(made.slow._last) == 2000
    opened().slow.note(stranger())


@pytest.mark.parametrize("change", ["+b Bo!*@*", "+b m:Bo!*@*"])
def test_silenced_user_cannot_change_names(change: str) -> None:
    made = opened(change)
    assert code(asking(BO), Action.CHANGE_NAME, made) == "name-kept"
    assert code(asking(AL), Action.CHANGE_NAME, made) == "" == code(asking(root()), Action.CHANGE_NAME, made)
    assert code(asking(BO), Action.CHANGE_NAME, opened(change, f"+v Bo!{BO.host}")) == ""


def test_client_commands_may_be_forbidden() -> None:
    assert [code(asking(BO), Action.CTCP, opened(*changes)) for changes in ((), ("+C",))] == ["", "not-allowed"]


# --- ruling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        (Action.SET_MODES, "not-operator"),
        (Action.KICK, "not-operator"),
        (Action.RENAME, "not-operator"),
        (Action.REDACT, "not-yours"),
        (Action.REDACT_OWN, ""),
        (Action.INVITE, ""),
        (Action.SET_TOPIC, ""),
    ],
)
def test_permissions_of_operators(action: Action, wanted: str) -> None:
    made = opened(f"+o Al!{AL.host}")
    assert code(asking(AL), action, made) == code(asking(root()), action, made) == ""
    assert code(asking(BO), action, made) == wanted
    for viewer in (asking(AL, False), asking(root(), False), stranger()):
        assert code(viewer, action, made) == "not-in-room"


def test_some_things_are_for_operators_if_they_say_so() -> None:
    made = opened(f"+oit Al!{AL.host}")
    for action in (Action.INVITE, Action.SET_TOPIC):
        assert (code(asking(BO), action, made), code(asking(AL), action, made)) == ("not-operator", "")


def test_the_bearer_of_a_token_for_some_rooms_sees_and_does_nothing_in_others() -> None:
    for viewer in (asking(BO), asking(root()), stranger()):
        for action in Action:
            assert code(viewer._replace(only=frozenset({"tea"})), action, opened()) == "token-limited"
            assert code(viewer._replace(only=frozenset({"ops"})), action, opened()) == code(viewer, action, opened())
        refused = sees(viewer._replace(only=frozenset({"tea"})), Action.READ, "ops", "", "ops")
        assert refused and refused.code == "token-limited"
