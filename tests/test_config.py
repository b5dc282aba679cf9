"""Every setting, from every place it can be told in; the table is the code's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hubbub import config
from hubbub.config import ENVIRONMENT, Settings, read, show, table
from hubbub.errors import SettingsError

# Of each type three values that differ from one another and that every setting of the type allows.
EXAMPLES: dict[Any, tuple[Any, Any, Any]] = {
    int: (17_001, 17_002, 17_003),
    float: (1.5, 2.25, 300.75),
    str: ("one", "two words", "/th/ree"),
    list[str]: (["127.0.0.1:1"], ["[::1]:2", ":3"], ["localhost:4", "127.0.0.1:5"]),
}
SPECIAL: dict[str, tuple[Any, Any, Any]] = {
    "history": (1, 2, 200),
    "max_rooms": (1, 500, 1000),
    "tls": ("self-signed", "no", "self-signed"),
    "plaintext": ("no", "yes", "no"),
    "push": ("no", "yes", "no"),
    "search": ("off", "on", "off"),
    "replicas": (1, 3, 2),
    "server_name": ("a.b", "irc.example.org", "x"),
    "auth_header": ("Remote-User", "X-User", "X-Auth"),
    "operator": (["a:$argon2id$1"], ["b:$argon2id$2", "c:$argon2id$3"], ["d:$argon2id$4"]),
    "register": ("invite", "open", "closed"),
    "ssh": ("yes", "no", "auto"),
    "guests": ("read", "no", "yes"),
    "plaintext_passwords": ("yes", "no", "yes"),
    "log_level": ("debug", "warning", "error"),
}
NAMES = list(table())
KINDS = {name: kind for name, (kind, _, _) in table().items()}
BOUNDED = [
    (name, bound, bound - step)
    for name, (kind, note, _) in table().items()
    if (bound := note.ge) is not None
    for step in [1 if kind is int else 0.01]
] + [(name, note.le, note.le + 1) for name, (_, note, _) in table().items() if note.le is not None]


def examples(name: str) -> tuple[Any, Any, Any]:
    if KINDS[name] is bool:
        default = table()[name][2]
        return not default, default, not default
    return SPECIAL.get(name) or EXAMPLES[KINDS[name]]


def as_text(value: Any) -> str:
    """Return a value as it is typed, or written in a variable."""
    return " ".join(value) if isinstance(value, list) else str(value).lower() if value in (True, False) else str(value)


def as_flag(value: Any) -> Any:
    """Return a value as the command line hands it over."""
    return value if isinstance(value, bool) else tuple(value) if isinstance(value, list) else str(value)


def toml(folder: Path, text: str) -> str:
    path = folder / "hubbub.toml"
    path.write_text(text, "utf-8")
    return str(path)


def refused(flags: Mapping[str, Any], file: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the sentence with which settings are refused."""
    with pytest.raises(SettingsError) as caught:
        read(flags, file, environment or {})
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text
    return text


# --- from where a value comes ---------------------------------------------------------------------------------


def test_without_anything_all_is_default() -> None:
    assert read({}, None, {}) == Settings()
    assert read(dict.fromkeys(NAMES), None, {}) == Settings()
    assert read({"listen": ()}, None, {}) == Settings()


def test_the_defaults_that_were_promised() -> None:
    settings = Settings()
    assert (settings.listen, settings.data, settings.history) == (["127.0.0.1:8888"], "hubbub-data", 20)
    assert (settings.idle_timeout, settings.name_timeout, settings.stall_timeout) == (300, 30, 300)
    assert (settings.rate, settings.burst, settings.line_limit, settings.buffer) == (20, 100, 16384, 65536)
    assert (settings.max_behind, settings.max_connections, settings.max_per_address) == (10_000, 10_000, 1000)
    assert not (settings.ephemeral or settings.no_limits or settings.log_messages)


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_has_a_note_of_one_sentence(name: str) -> None:
    _, note, default = table()[name]
    assert note.description and note.description.endswith(".")
    assert show(default)


@pytest.mark.parametrize("name", NAMES)
def test_flag_wins_over_environment_over_file_over_default(name: str, tmp_path: Path) -> None:
    in_file, in_environment, in_flag = examples(name)
    file = toml(tmp_path, f"{name} = {json.dumps(in_file)}\n")
    environment = {ENVIRONMENT + name.upper(): as_text(in_environment)}
    flags = {name: as_flag(in_flag)}
    assert getattr(read({}, file, {}), name) == in_file
    assert getattr(read({}, file, environment), name) == in_environment
    assert getattr(read(flags, file, environment), name) == in_flag
    assert getattr(read(flags, file, {}), name) == in_flag
    assert getattr(read(flags, None, environment), name) == in_flag


@pytest.mark.parametrize("name", NAMES)
def test_one_setting_leaves_the_others_alone(name: str) -> None:
    settings = read({name: as_flag(examples(name)[0])}, None, {})
    assert [other for other in NAMES if getattr(settings, other) != getattr(Settings(), other)] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_can_be_told_again(name: str) -> None:
    for value in examples(name):
        settings = read({name: as_flag(value)}, None, {})
        again = read({}, None, {ENVIRONMENT + name.upper(): show(getattr(settings, name))})
        assert again == settings


@pytest.mark.parametrize("word", ["1", "true", "yes", "on", "YES", "On"])
def test_words_for_on(word: str) -> None:
    assert read({}, None, {"HUBBUB_EPHEMERAL": word}).ephemeral is True


@pytest.mark.parametrize("word", ["0", "false", "no", "off", "NO", "Off"])
def test_words_for_off(word: str) -> None:
    assert read({}, None, {"HUBBUB_UVLOOP": word}).uvloop is False


def test_an_empty_variable_is_none() -> None:
    assert read({}, None, {"HUBBUB_HISTORY": "", "HUBBUB_LISTEN": ""}) == Settings()


def test_the_process_has_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_HISTORY", "7")
    assert read({}, None).history == 7


def test_other_variables_do_not_matter() -> None:
    assert read({}, None, {"HISTORY": "7", "hubbub_history": "8", "PATH": "/bin"}) == Settings()


def test_a_file_may_say_several_settings(tmp_path: Path) -> None:
    file = toml(tmp_path, '# ours\nlisten = [":1", "[::1]:2"]\nidle_timeout = 0\nrate = 5\nno_limits = true\n')
    settings = read({}, file, {})
    assert (settings.listen, settings.idle_timeout, settings.rate) == ([":1", "[::1]:2"], 0, 5)
    assert settings.no_limits is True


# --- what is not possible: one sentence that names the setting ------------------------------------------------


@pytest.mark.parametrize(("name", "bound", "beyond"), BOUNDED)
def test_bounds_hold_everywhere(name: str, bound: float, beyond: float, tmp_path: Path) -> None:
    assert getattr(read({name: str(bound)}, None, {}), name) == bound
    assert name in refused({name: str(beyond)})
    assert name in refused({}, None, {ENVIRONMENT + name.upper(): str(beyond)})
    assert name in refused({}, toml(tmp_path, f"{name} = {beyond}"))


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name] in (int, float, bool)])
@pytest.mark.parametrize("text", ["many", "1 2", "0x10", "--"])
def test_a_word_is_no_number(name: str, text: str, tmp_path: Path) -> None:
    assert name in refused({}, None, {ENVIRONMENT + name.upper(): text})
    assert name in refused({}, toml(tmp_path, f"{name} = {json.dumps(text)}"))
    if KINDS[name] is not bool:
        assert name in refused({name: text})


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name] is float])
def test_not_a_number_is_no_number(name: str, tmp_path: Path) -> None:
    assert name in refused({name: "nan"})
    assert name in refused({}, toml(tmp_path, f"{name} = nan"))


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name] is int])
def test_a_fraction_is_no_whole_number(name: str) -> None:
    assert name in refused({name: "17000.5"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", '"127.0.0.1:1"'),
        ("listen", "[1]"),
        ("listen", "[]"),
        ("listen", "8888"),
        ("data", "1"),
        ("data", "[]"),
        ("ephemeral", "[]"),
        ("history", "[1]"),
        ("history", "{a = 1}"),
        ("rate", "2020-01-01"),
        ("log_level", '"loud"'),
        ("log_level", '"INFO "'),
        ("log_level", "1"),
    ],
)
def test_a_value_of_another_type_is_said(name: str, value: str, tmp_path: Path) -> None:
    assert name in refused({}, toml(tmp_path, f"{name} = {value}"))


@pytest.mark.parametrize("line", ["histroy = 5", "[serve]\nhistory = 5", '"idle-timeout" = 5', "History = 5"])
def test_an_unknown_setting_is_said(line: str, tmp_path: Path) -> None:
    name = line.partition("\n")[0].partition(" = ")[0].strip('"[]')
    assert name in refused({}, toml(tmp_path, line))


def test_file_that_is_nested_too_deeply_is_said(tmp_path: Path) -> None:
    file = toml(tmp_path, "listen = " + "[" * 50_000)
    assert refused({}, file) == f"The file {file} cannot be read: it is nested too deeply."


@pytest.mark.parametrize("content", [b"history = ", b"history 5", b"a = 1\na = 2", b"\xff\xfe", b"x = 'no end"])
def test_a_file_that_is_not_toml_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hubbub.toml"
    path.write_bytes(content)
    assert f"The file {path} is not TOML" in refused({}, str(path))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert refused({}, f"{tmp_path}/none.toml") == (
        f"The file {tmp_path}/none.toml cannot be read: No such file or directory."
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refused({}, str(tmp_path))


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read({}, toml(tmp_path, ""), {}) == Settings()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        (["a", "b"], "a b"),
        (300.0, "300"),
        (0.5, "0.5"),
        (10_000, "10000"),
        ("x", "x"),
    ],
)
def test_show_is_what_people_write(value: object, shown: str) -> None:
    assert config.show(value) == shown


@pytest.mark.parametrize("kept", ["", "plain", "root", "$2b$12$abc"])
def test_operators_password_is_a_hash(kept: str) -> None:
    with pytest.raises(SettingsError, match="a password hash, as `hubbub password` prints it"):
        read({"operator": (f"root:{kept}",)}, None, {})
    assert read({"operator": ("root:$argon2id$x",)}, None, {}).operator == ["root:$argon2id$x"]


def test_secret_may_be_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("sesame\n")
    variable = {"HUBBUB_IRC_PASSWORD_FILE": str(file)}
    assert read({}, None, variable).irc_password == "sesame"
    assert read({}, None, variable | {"HUBBUB_IRC_PASSWORD": "other"}).irc_password == "other"
    assert read({}, None, {"HUBBUB_MOTD_FILE": str(file)}).motd == "", "only of secrets"
    assert "cannot be read" in refused({}, None, {"HUBBUB_IRC_PASSWORD_FILE": str(tmp_path / "none")})
    file.write_bytes(b"\xff")
    assert "is not a UTF-8 text file" in refused({}, None, variable)
    file.write_text("root:$argon2id$x ona:$argon2id$y\n")
    assert read({}, None, {"HUBBUB_OPERATOR_FILE": str(file)}).operator == ["root:$argon2id$x", "ona:$argon2id$y"]
