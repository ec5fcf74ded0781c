"""The commands' own small HTTP: every way in which a server may end an answer, and every way in which it may not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lotus_sched_cli.lotus.rpc.errors import RpcConnectError
from lotus_sched_cli.lotus.rpc.oneshot import OneShot

OK = b'{"id":1,"jsonrpc":"2.0","result":"fine"}\n'
AGAIN = OK.replace(b'"id":1', b'"id":2')


@pytest.fixture
def says() -> Iterator[Callable[..., OneShot]]:
    """``says(first, second, …)``: a server that answers each request with these bytes, and closes after the last."""
    server = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(answers: tuple[bytes, ...]) -> None:
        peer, _ = server.accept()
        with peer, peer.makefile("rb") as file:
            for answer in answers:
                length = 0
                while (line := file.readline()).strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                file.read(length)
                peer.sendall(answer)

    def start(*answers: bytes) -> OneShot:
        thread = threading.Thread(target=serve, args=(answers,))
        thread.start()
        threads.append(thread)
        return OneShot(f"http://127.0.0.1:{server.getsockname()[1]}/rpc/v0", "t", timeout=20)

    yield start
    server.close()
    for thread in threads:
        thread.join(20)


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\nTrailer: x\r\n\r\n"
    return answer(body, b"transfer-encoding: chunked")


@pytest.mark.parametrize(
    "text",
    [
        answer(OK, b"Content-Length: %d" % len(OK)),
        answer(OK, b"content-length:%d" % len(OK), b"Connection: close"),
        answer(OK),
        chunked(OK[:10], OK[10:]),
        answer(OK, b"Content-Length: %d" % len(OK), status=b"500 Internal Server Error"),
    ],
    ids=["length", "length-and-close", "until-the-end", "chunks", "500"],
)
def test_an_answer_is_read_to_its_end(text: bytes, says: Callable[..., OneShot]) -> None:
    with says(text) as peer:
        assert peer.call("Version") == "fine"


def test_a_connection_serves_several_calls(says: Callable[..., OneShot]) -> None:
    with says(chunked(OK), answer(AGAIN, b"Content-Length: %d" % len(AGAIN))) as peer:
        assert [peer.call("Version"), peer.call("Version")] == ["fine", "fine"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "EOF"),
        (answer(OK, b"Content-Length: 500"), "EOF"),
        (chunked(OK)[:-30], "EOF"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "malformed HTTP response 'SSH-2.0-OpenSSH_9.6'"),
        (answer(b"zz\r\n", b"Transfer-Encoding: chunked"), "malformed HTTP response: chunk size 'zz'"),
        (answer(OK, b"Content-Length: many"), "malformed HTTP response: Content-Length 'many'"),
        (answer(b"", b"Content-Length: 0", status=b"401 Unauthorized"), "http status 401 Unauthorized"),
        (answer(b"<html>", b"Content-Length: 6"), "does not answer as an API does"),
    ],
    ids=["closed", "short", "cut-chunks", "ssh", "bad-chunk", "bad-length", "401", "html"],
)
def test_what_is_no_answer_is_one_line(text: bytes, why: str, says: Callable[..., OneShot]) -> None:
    with says(text) as peer, pytest.raises(RpcConnectError) as caught:
        peer.call("Version")
    assert why in str(caught.value) and str(caught.value).startswith("RPC client error: sendRequest failed: ")


def test_a_token_that_no_header_can_carry_is_said_so(says: Callable[..., OneShot]) -> None:
    with says() as peer, pytest.raises(RpcConnectError, match="characters that a request may not hold"):
        peer._headers["Authorization"] = "Bearer tokén"
        peer.call("Version")
