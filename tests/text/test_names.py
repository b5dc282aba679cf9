import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import Refused
from hubbub.text.bounds import NAME_CHARS as MAX
from hubbub.text.cleaning import fold
from hubbub.text.names import (
    NAME_PUNCTUATION,
    RESERVED,
    ROOM_PUNCTUATION,
    check_name,
    check_new_room,
    check_room,
    is_name,
    is_room,
    key_of,
    typed_name,
)

JOINERS = "\u200c\u200d"
VALID = [
    *"Alice bob X x2 2x 42 a.b-c_d [x]{y}|z^ -dash _under".split(),
    *"Zoë Łukasz Ñandú Ægir Straße İpek Đorđe Nguyễn".split(),
    *"Ольга Ελένη Գայանե ნინო דוד محمد ফাতিমা अमित தமிழ் ไทยแลนด์ ພາສາ မြန်မာ ខ្មែរ བོད".split(),
    *"山田太郎 さくら カタカナ 김철수 王小明 ᏣᎳᎩ ኢትዮጵያ ⵣⵉⵔⵉ".split(),
    *"١٢٣ ४५ a٣".split(),
    *"ida` a\\b `_` \\o _ ^_^ [] |".split(),
    *"O'Brien D’Arcy Gal·la צ׳רלי ג׳ ג׳ורג׳ レオ・ホー བཀྲ་ཤིས Ա֊Բ".split(),
    *("क्\u200dष", "क़्\u200dय", "രാജന്\u200d-2"),
    *("ශ්\u200dරී", "علی\u200cرضا", "র\u200d্যাচেল", "क्\u200cष", "അവന്\u200d"),
    "z" + "\u0301" * 4,
    "x" * MAX,
    "字" * MAX,
]
INVALID = [
    "",
    "x" * (MAX + 1),
    *"two words,a\u00a0b,a\u3000b,a\u2003b, a,a ".split(","),
    *(f"{before}{char}{after}" for char in "#@:*/!," for before, after in [("", "a"), ("a", ""), ("a", "b")]),
    *'a;b a"b a<b> a=b a+b a%b a&b a~b a? a(b) a$'.split(),
    *"' 'a a' a''b a-' · ·a a· ׳ ׳a ・ ・a a・ ’ ’a a’ -'a".split(),
    *". - .. -- .-.".split(),
    *("a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\nb", "a\tb"),
    *("a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "\ufeffa", "a\u00adb", "a\u200eb", "a\u202eb", "a\u2066b"),
    *("a\u034fb", "\u115f", "\u1160", "\u17b4a", "a\u180b", "a\u180e", "\u2800", "\u3164", "a\uffa0", "a\ufe0f"),
    *("a\U000e0100", "a\U000e0041", "a\u061cb", "a\u2028b"),
    *("क\u200dष", "क\u200cष", "ا\u200cب", "ب\u200c", "\u200dب", "अ\u200d", "ب\u200c\u200cب", "ب\u200dب"),
    *("0\u094d\u200d", "0\u094d\u200cक", "क्\u200d", "क्\u200c", "क्\u200dि", "क\u200d्", "a\u094d\u200dक"),
    *("z" + "\u0301" * 6, "z" + "\u0301\u0323" * 4),
    *("Аlice", "ѕystem", "sеrver", "Иван-pc", "αlpha", "οмега", "µTorrent"),
    *("аӏӏ", "A11", "hеrе"),
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
    with pytest.raises(Refused, match=r"like .+\.$") as refusal:
        check_name(name)
    assert refusal.value.code == "name-invalid"
    assert refusal.value.offer == "" or check_name(refusal.value.offer) == refusal.value.offer


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
        ("צ׳אט", "צ׳אט"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_room_has_one_name(typed: str, name: str) -> None:
    assert check_room(typed) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "#",
        "##a",
        "a b",
        "a/b",
        "a:b",
        "a[b",
        "\u0301a",
        "a\u3164",
        "x" * (MAX + 1),
        "a\u200b",
        ".",
        "..",
        "-",
        "_",
        "a'",
        "a`b",
    ],
)
def test_room_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="Room names") as refusal:
        check_room(name)
    assert refusal.value.code == "room-invalid"
    assert refusal.value.offer == "" or check_room(refusal.value.offer) == refusal.value.offer


@given(
    st.text(max_size=MAX + 4)
    | st.text(st.sampled_from("aA1é字-_.[]|^#ﬁ\u0301 '·`\\\u200c\u200dبक\u094dа"), max_size=MAX + 4)
)
def test_what_is_accepted_is_visible_and_stays_accepted(name: str) -> None:
    for check, punctuation in ((check_name, NAME_PUNCTUATION), (check_room, ROOM_PUNCTUATION)):
        try:
            accepted = check(name)
        except Refused:
            continue
        assert check(accepted) == accepted
        assert 1 <= len(accepted) <= MAX
        assert accepted.translate(dict.fromkeys(map(ord, JOINERS))).isprintable()
        assert accepted[-1] not in JOINERS or accepted[-2] == "\u0d4d"  # Malayalam's, which changes its letter
        assert all(char in punctuation + "'" or not char.isascii() or char.isalnum() for char in accepted)


@pytest.mark.parametrize(
    ("typed", "sentence", "offer"),
    [
        (
            "Mary Ann",
            "Names can't contain spaces. Use letters, digits and - _ . (up to 32), like Mary-Ann.",
            "Mary-Ann",
        ),
        (
            "Ms Miller",
            "Names can't contain spaces. Use letters, digits and - _ . (up to 32), like Ms-Miller.",
            "Ms-Miller",
        ),
        ("  two\t words", "Names can't contain spaces. ", "two-words"),
        ("", "Names can't be empty. ", ""),
        ("x" * 40, "Names have at most 32 characters. ", "x" * 32),
        ("x" * 4000, "Names have at most 32 characters. ", "x" * 32),
        ("\u0301\u0323" * 2000, "Names have at most 32 characters. ", ""),
        ("z" + "\u0301" * 30, "Names have at most 4 marks in a row. ", "ź" + "\u0301" * 3),
        ("\u0301a", "Names can't begin with a mark. ", ""),
        ("a@b", "Names can't contain @. ", "ab"),
        ("#room", "Names can't contain #. ", "room"),
        ("***", "Names can't contain *. ", ""),
        (
            "/register open sesame",
            "Names can't contain /. Use letters, digits and - _ . (up to 32), like Mary-Ann.",
            "",
        ),
        ("ﷺ", "Names can't contain ﷺ. ", ""),
        ("a\u200cb", "Names can't contain invisible characters. ", "ab"),
        ("...", "Names need a letter or a digit. ", ""),
        ("sеrver", "Names can't mix Latin and Cyrillic letters. ", ""),
        ("αbc", "Names can't mix Latin and Greek letters. ", ""),
        ("server", "The name server is reserved. Use another, like Mary-Ann.", ""),
        ("аӏӏ", "The name аӏӏ looks like all, which is reserved. Use another, like Mary-Ann.", ""),
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_refusal_says_what_is_wrong_and_offers_a_name(typed: str, sentence: str, offer: str) -> None:
    with pytest.raises(Refused) as refusal:
        typed_name(typed)
    assert refusal.value.text.startswith(sentence) and refusal.value.offer == offer


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Ann\u200b", "Ann"),
        ("Ann\u200f", "Ann"),
        ("Ann\u00ad", "Ann"),
        ("\ufeffAnn ", "Ann"),
        ("Ann\u200d", "Ann"),
        ("A\u200bnn\x1b[0m\x07", "Ann"),
        ("\x0304Ann\x03", "Ann"),
        ("علی\u200cرضا\u200c", "علی\u200cرضا"),
    ],
)
def test_what_shows_nothing_is_taken_off_a_pasted_name(typed: str, name: str) -> None:
    assert typed_name(typed) == name


def test_names_are_compared_without_joiners() -> None:
    assert key_of("علی\u200cرضا") == key_of("علیرضا")
    assert key_of("ශ්\u200dරී") == key_of("ශ්රී")


@pytest.mark.parametrize("name", ["lоbby", "Lоbby", "pуthon", "ops-lоbby"])
def test_room_that_would_be_taken_for_another_is_not_opened(name: str) -> None:
    with pytest.raises(Refused, match="mix"):
        check_new_room(check_room(name))


@pytest.mark.parametrize("name", ["1obby", "l0bby"])
def test_room_that_looks_like_the_lobby_is_not_opened(name: str) -> None:
    if name == "l0bby":
        check_new_room(name)  # nobody takes a zero for a small o
        return
    with pytest.raises(Refused, match="looks like lobby"):
        check_new_room(name)


@pytest.mark.parametrize("name", ["lobby", "python-вопросы", "dev", "тест", "αβγ.dev"])
def test_room_may_be_opened(name: str) -> None:
    check_new_room(check_room(name))


@pytest.mark.parametrize("name", ["Disconnected", "USAGE", "server"])
def test_words_that_begin_the_servers_sentences_are_reserved(name: str) -> None:
    with pytest.raises(Refused):
        check_name(name)


@pytest.mark.parametrize("name", [*VALID, "server", "Аlice"])
def test_names_that_could_be_in_an_older_log(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "a b", "x" * (MAX + 1), "x" * 500, "#lobby", "a!b", "\x1b[m", "e" + "\u0301" * 9, "\ud800"]
)
def test_names_that_are_none(name: str) -> None:
    assert not is_name(name) and not is_room(name)


@pytest.mark.parametrize(
    ("name", "fits"), [("lobby", True), ("class-8b", True), ("Lobby", False), ("ＬＯＢＢＹ", False)]
)
def test_one_name_of_a_room(name: str, fits: bool) -> None:
    assert is_room(name) is fits


def test_letter_that_only_a_later_unicode_has_is_refused() -> None:
    """regex knows it; Python, which shows and folds names, may not."""
    with pytest.raises(Refused, match="can't contain"):
        check_name("Al\U0003d000")


@pytest.mark.parametrize("name", ["SSH-2.0-OpenSSH_9.2", "ssh-1.99-x"])
def test_greeting_of_ssh_is_nobodys_name(name: str) -> None:
    with pytest.raises(Refused, match="is a greeting of SSH"):
        check_name(name)


@pytest.mark.parametrize("name", ["ssh", "ssh-2", "ssh-fan", "my-ssh-2.0-x"])
def test_names_may_speak_of_ssh(name: str) -> None:
    assert check_name(name) == name
