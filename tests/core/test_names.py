import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.core.bounds import NAME_CHARS as MAX
from hubbub.core.names import NAME_PUNCTUATION, RESERVED, ROOM_PUNCTUATION, check_name, check_room
from hubbub.core.text import fold
from hubbub.errors import Refused

VALID = [
    *"Alice bob X x2 2x 42 a.b-c_d [x]{y}|z^ -dash _under".split(),
    *"Zoë Łukasz Ñandú Ægir Straße İpek Đorđe Nguyễn".split(),
    *"Ольга Ελένη Գայանե ნინო דוד محمد ফাতিমা अमित தமிழ் ไทยแลนด์ ພາສາ မြန်မာ ខ្មែរ བོད".split(),
    *"山田太郎 さくら カタカナ 김철수 王小明 ᏣᎳᎩ ኢትዮጵያ ⵣⵉⵔⵉ".split(),
    *"١٢٣ ४५ a٣".split(),
    "x" * MAX,
    "字" * MAX,
]
INVALID = [
    "",
    "x" * (MAX + 1),
    *"two words,a\u00a0b,a\u3000b,a\u2003b, a,a ".split(","),
    *(f"{before}{char}{after}" for char in "#@:*/!," for before, after in [("", "a"), ("a", ""), ("a", "b")]),
    *"a;b a\"b a'b a\\b a<b> a=b a+b a%b a&b a~b a`b a? a(b) a$".split(),
    *("a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\nb", "a\tb"),
    *("a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "\ufeffa", "a\u00adb", "a\u200eb", "a\u202eb", "a\u2066b"),
    *("a\u034fb", "\u115f", "\u1160", "\u17b4a", "a\u180b", "a\u180e", "\u2800", "\u3164", "a\uffa0", "a\ufe0f"),
    *("a\U000e0100", "a\U000e0041", "a\u061cb", "a\u2028b"),
    *("\u0301a", "\u0301", "\u093fa"),
    *("a🙂", "★a", "a½", "a²", "a①", "Ⅷa", "€a", "a\ue000", "a\ufffd", "a\u0378"),
    *("ﷺ", "a\uff03", "a\uff1a", "a\u2100", "\u037aa", "a\ufe55"),
    *(
        "server",
        "Server",
        "SERVER",
        "ｓｅｒｖｅｒ",
        "SerVer",
        "ſerver",
        "everybody",
        "System",
        "ALL",
        "nickServ",
        "you",
    ),
    "\ufb03" * 11,
]


@pytest.mark.parametrize("name", VALID)
def test_name_is_valid_in_any_script(name: str) -> None:
    assert fold(check_name(name)) == fold(name)


@pytest.mark.parametrize("name", INVALID, ids=ascii)
def test_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="letters, digits, marks") as refusal:
        check_name(name)
    assert refusal.value.code == "name-invalid"


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_word_is_refused_but_may_be_a_part(word: str) -> None:
    with pytest.raises(Refused):
        check_name(word)
    assert check_name(word + "2") == word + "2"


def test_name_is_shown_composed() -> None:
    assert check_name("e\u0301ric") == "\u00e9ric"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Lobby", "lobby"),
        ("#Lobby", "lobby"),
        ("ＯＰＳ", "ops"),
        ("a-b_c.d", "a-b_c.d"),
        ("漢字", "漢字"),
        ("Straße", "strasse"),
    ],
)
def test_room_has_one_name(typed: str, name: str) -> None:
    assert check_room(typed) == name


@pytest.mark.parametrize(
    "name", ["", "#", "##a", "a b", "a/b", "a:b", "a[b", "\u0301a", "a\u3164", "x" * (MAX + 1), "a\u200b"]
)
def test_room_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="room's name") as refusal:
        check_room(name)
    assert refusal.value.code == "room-invalid"


@given(st.text(max_size=MAX + 4) | st.text(st.sampled_from("aA1é字-_.[]|^#ﬁ\u0301 "), max_size=MAX + 4))
def test_what_is_accepted_is_visible_and_stays_accepted(name: str) -> None:
    for check, punctuation in ((check_name, NAME_PUNCTUATION), (check_room, ROOM_PUNCTUATION)):
        try:
            accepted = check(name)
        except Refused:
            continue
        assert check(accepted) == accepted
        assert 1 <= len(accepted) <= MAX
        assert accepted.isprintable()
        assert all(char in punctuation or not char.isascii() or char.isalnum() for char in accepted)


@pytest.mark.parametrize("name", ["Disconnected", "USAGE", "server"])
def test_words_that_begin_the_servers_sentences_are_reserved(name: str) -> None:
    with pytest.raises(Refused):
        check_name(name)
