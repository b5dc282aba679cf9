import pytest

from hubbub.text.typed.secret_lines import holds_password, without_password


@pytest.mark.parametrize(
    "line",
    [
        "/register secret",
        "/unregister secret take-back",
        " /LOGIN Ann secret",
        "\t/password new-secret",
        "/oper root secret",
        "/msg NickServ IDENTIFY secret",
        "/tell nickserv set password secret",
        "/ns IDENTIFY secret",
    ],
)
def test_commands_with_a_password_are_recognised(line: str) -> None:
    assert holds_password(line)


@pytest.mark.parametrize(
    "line", ["", "hello", "/login", "/registered users", "see /login Ann", "//login Ann", "/msg Ann hi", "/operator x"]
)
def test_other_lines_are_not(line: str) -> None:
    assert not holds_password(line)


def test_no_password_is_shown_in_a_line_that_holds_one() -> None:
    assert without_password(" /login Ann secret") == "/login …"
