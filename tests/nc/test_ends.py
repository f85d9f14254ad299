"""Ends of a connection: text to values and back; commands split as by a shell, without one."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import EndpointError, NotPossibleError, UsageError
from sockwright.nc.ends import (
    DiscardEnd,
    EchoEnd,
    End,
    ExecEnd,
    FileEnd,
    PtyEnd,
    SocketEnd,
    StandardEnd,
    is_end,
    parse_end,
    split_command,
)
from sockwright.sockets.endpoint import Endpoint

words = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    min_size=1,
    max_size=4,
).map(tuple)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("-", StandardEnd()),
        ("tcp://127.0.0.1:80", SocketEnd(Endpoint("tcp", "127.0.0.1", 80))),
        ("tls://example.org:443", SocketEnd(Endpoint("tcp", "example.org", 443), tls=True)),
        ("udp://[::1]:53", SocketEnd(Endpoint("udp", "::1", 53))),
        ("unix:/run/a", SocketEnd(Endpoint("unix", path="/run/a"))),
        ("unix-abstract:a", SocketEnd(Endpoint("unix-abstract", path="a"))),
        ("vsock://2:1234", SocketEnd(Endpoint("vsock", "2", 1234))),
        ("exec:cat -n 'a b'", ExecEnd(("cat", "-n", "a b"))),
        ("pty:sh -c 'ls | wc'", PtyEnd(("sh", "-c", "ls | wc"))),
        ("file:/tmp/a?b c", FileEnd("/tmp/a?b c")),
        ("echo:", EchoEnd()),
        ("discard:", DiscardEnd()),
    ],
)
def test_a_text_is_the_end_that_it_names_and_is_written_back(text: str, end: End) -> None:
    assert parse_end(text) == end
    assert str(end) == text
    assert is_end(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "what fits: tcp://127.0.0.1:8080"),
        ("localhost", "what fits: tcp://127.0.0.1:8080"),
        ("http://localhost/", "what fits: tcp://127.0.0.1:8080"),
        ("raw://127.0.0.1", "is no end of a connection"),
        ("tls://localhost", "the port is missing: tls://localhost:PORT"),
        ("tls:localhost:1", "after tls: come two slashes"),
        ("tcp://localhost:99999", "port 99999 is not in 0..65535"),
        ("exec:", "exec:: the command is empty"),
        ("exec:a 'b", "cannot be split: No closing quotation"),
        ("file:", "file:PATH"),
        ("echo:x", "nothing follows echo:"),
    ],
)
def test_what_is_no_end_is_refused_with_what_would_fit(text: str, part: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse_end(text)
    assert part in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("text", ["sctp://127.0.0.1:1", "rfcomm:00:11", "l2cap:00:11"])
def test_a_kind_of_socket_that_is_not_built_is_said_to_be_missing(text: str) -> None:
    with pytest.raises(NotPossibleError, match="this build has no") as caught:
        parse_end(text)
    assert caught.value.exit_status == 5
    assert is_end(text)


@pytest.mark.parametrize("text", ["localhost", "a::1", "fe80::1%eth0", "127.0.0.1", "/tmp/a:b"])
def test_a_host_is_not_taken_for_an_end(text: str) -> None:
    assert not is_end(text)


def test_datagrams_and_packets_keep_boundaries() -> None:
    kept = [
        parse_end(text) for text in ("udp://:1", "unix:a?type=datagram", "unix:a?type=seqpacket")
    ]
    lost = [parse_end(text) for text in ("tcp://:1", "unix:a", "tls://:1", "vsock://:1")]
    assert all(isinstance(end, SocketEnd) and end.keeps_boundaries for end in kept)
    assert not any(isinstance(end, SocketEnd) and end.keeps_boundaries for end in lost)


@given(words)
def test_every_command_reads_back_what_it_writes(command: tuple[str, ...]) -> None:
    for end in (ExecEnd(command), PtyEnd(command)):
        assert parse_end(str(end)) == end


@given(st.text(max_size=30) | words.map(shlex.join).map(lambda text: f"exec:{text[:-1]}"))
def test_any_text_is_an_end_or_an_error_of_this_package(text: str) -> None:
    try:
        end = parse_end(text)
    except (EndpointError, NotPossibleError) as error:
        assert str(error)  # noqa: PT017 - the message, whatever the input
    else:
        assert parse_end(str(end)) == end


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("ls | wc", "|"),
        ("ls; id", ";"),
        ("sleep 9 &", "&"),
        ("cat < /etc/passwd", "<"),
        ("cat > out", ">"),
        ("echo $HOME", "$"),
        ('echo "$HOME"', "$"),
        ("echo `id`", "`"),
        ("a\nb", "the line end"),
    ],
)
def test_what_only_a_shell_understands_is_refused_and_the_explicit_way_shown(
    text: str, mark: str
) -> None:
    with pytest.raises(UsageError) as caught:
        split_command(text)
    assert f"{mark} means nothing without one" in str(caught.value)
    # What is shown can be pasted: a shell makes one word of it, which is the command for a shell.
    shown = str(caught.value).partition("with a shell: ")[2]
    pasted = subprocess.run(
        ["sh", "-c", f"printf %s {shown}"], capture_output=True, text=True, check=True, timeout=10
    )
    assert split_command(pasted.stdout) == ("sh", "-c", text)


@pytest.mark.parametrize(
    "text",
    ["printf '%s|%s' a b", r"printf a\|b", 'echo "a;b" c', "awk '{print $1}'", r"echo \$HOME"],
)
def test_quotes_keep_such_marks_as_they_are(text: str) -> None:
    assert split_command(text) == tuple(shlex.split(text))
