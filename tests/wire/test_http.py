"""Responses that are written past aiohttp."""

from hubbub.wire.web import http


def test_refusal_is_a_whole_answer_and_the_last() -> None:
    answer = http.refusal("408 Request Timeout", "Too late, Zoë.", http.HEADERS)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 408 Request Timeout" and body == "Too late, Zoë.\n".encode()
    assert {"Content-Length: 16", "Connection: close", "Server: hubbub"} <= set(lines)
