"""TLS as an end of a session: contexts, whom it trusts, how it ends, against every other netcat."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, Place
from tests.nc.tls_ends import Authority, Ends

from sockwright.errors import EndOfStreamError, SockwrightError, TLSError
from sockwright.nc.tls.certificate import certificate_text, make_certificate
from sockwright.nc.tls.channel import TLSChannel
from sockwright.nc.tls.options import (
    TLSOptions,
    client_context,
    describe,
    fingerprint,
    name_to_verify,
    server_context,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers, Running
    from tests.nc.tls_ends import OurEnd

_ANYBODY = TLSOptions(verify=False)
_LARGE = os.urandom(1 << 20) * 8


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ends() -> Iterator[Ends]:
    with Ends() as made:
        yield made


@pytest.fixture
def good(authority: Authority) -> TLSOptions:
    """A server for localhost, signed by the authority."""
    return TLSOptions(certificate=authority.sign("localhost", "127.0.0.1").path)


@pytest.fixture
def trusting(authority: Authority) -> TLSOptions:
    """A client that trusts the authority."""
    return TLSOptions(ca_file=authority.path)


def _s_server(peers: Peers, certificate: str, *options: str) -> Running:
    words = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1"]
    running = peers.run([*words, "-cert", certificate, *options], peers.place("tcp4"))
    running.until_listening()
    return running


def _s_client(peers: Peers, listener: socket.socket, *options: str) -> Running:
    port = listener.getsockname()[1]
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    return peers.run(words, Place("tcp4", peers.folder, port))


def _refusal(near: OurEnd) -> TLSError:
    failure = near.until_failed()
    assert isinstance(failure, TLSError)
    assert failure.exit_status == 4
    assert "\n" not in str(failure)
    return failure


def _descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def _read_until(running: Running, text: bytes, times: int = 1) -> None:
    while True:
        seen = running.count  # counted first: what comes after that is more
        if running.received.count(text) >= times:
            return
        running.read(seen + 1)


# -- whom we trust ---------------------------------------------------------------------------------


@pytest.mark.needs("openssl")
def test_a_verified_server_is_described_with_version_cipher_and_certificate(
    peers: Peers, ends: Ends, authority: Authority, trusting: TLSOptions
) -> None:
    shown = authority.sign("localhost", "server.example")
    far = _s_server(peers, shown.path, "-quiet")
    near = ends.client(far.place.port, trusting)
    near.until(lambda: near.shaken)
    first, second = describe(near.channel.session.connection)
    assert first == "TLSv1.3, TLS_AES_256_GCM_SHA384, no protocol chosen (ALPN)"
    assert second.startswith(
        "the peer is CN=localhost for localhost, server.example, issued by CN=authority, valid 20"
    )
    assert second.endswith(shown.fingerprint)


@pytest.mark.needs("openssl")
def test_a_wrong_name_is_refused_and_the_right_ones_are_told(
    peers: Peers, ends: Ends, authority: Authority, trusting: TLSOptions
) -> None:
    shown = authority.sign("right.example", "10.0.0.1")
    far = _s_server(peers, shown.path, "-quiet")
    near = ends.client(far.place.port, trusting, "wrong.example")
    text = str(_refusal(near))
    assert text == (
        f"TLS with tls://wrong.example:{far.place.port}: the certificate of the server "
        f"({shown.fingerprint}) is not trusted: it is not for 'wrong.example': it is for "
        "right.example, 10.0.0.1; --tls-name says which name to expect; --insecure trusts anybody"
    )


def test_an_address_is_verified_as_one(
    ends: Ends, authority: Authority, good: TLSOptions, trusting: TLSOptions
) -> None:
    far, near = ends.pair(good, trusting, "127.0.0.1")
    near.until(lambda: near.shaken and far.shaken)
    far, near = ends.pair(good, trusting, "127.0.0.2")
    assert "it is not for '127.0.0.2'" in str(_refusal(near))


@pytest.mark.parametrize(("days", "words"), [((-9, -2), "expired"), ((2, 9), "not yet valid")])
def test_a_certificate_out_of_its_time_is_refused_with_its_dates(
    ends: Ends, authority: Authority, trusting: TLSOptions, days: tuple[int, int], words: str
) -> None:
    shown = authority.sign("localhost", days=days)
    far, near = ends.pair(TLSOptions(certificate=shown.path), trusting)
    text = str(_refusal(near))
    assert f"({shown.fingerprint}) is not trusted: certificate" in text
    assert words in text
    assert re.search(r"it is valid 20\d\d-\d\d-\d\d \d\d:\d\d to 20.* UTC, if the clock", text)
    assert "does not trust the certificate of this server" in str(_refusal(far))


def test_a_certificate_of_a_stranger_is_refused_with_its_fingerprint(
    tmp_path: Path, ends: Ends, good: TLSOptions
) -> None:
    stranger = Authority(tmp_path, "stranger")
    _, near = ends.pair(good, TLSOptions(ca_file=stranger.path))
    text = str(_refusal(near))
    assert re.search(r"\(sha256:([0-9A-F]{2}:){31}[0-9A-F]{2}\) is not trusted", text)
    assert "--tls-ca FILE, or this by --tls-fingerprint; --insecure trusts anybody" in text


def test_the_fingerprint_is_known_in_tls_1_2_too(
    ends: Ends, authority: Authority, tmp_path: Path
) -> None:
    shown = authority.sign("localhost")
    context, _ = server_context(TLSOptions(certificate=shown.path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = ends.listener()
    stranger = Authority(tmp_path, "stranger")
    near = ends.client(listener.getsockname()[1], TLSOptions(ca_file=stranger.path))
    sock = listener.accept()[0]
    ends.keep(TLSChannel.accepting(sock, "tls://client", context))
    assert shown.fingerprint in str(_refusal(near))


def test_a_server_makes_a_certificate_that_nobody_trusts_but_by_its_fingerprint(
    ends: Ends, trusting: TLSOptions
) -> None:
    before = _descriptors()
    context, made = server_context(TLSOptions(), ["192.0.2.1", "server.example"])
    assert _descriptors() == before
    assert made is not None
    listener = ends.listener()
    for options, expected in ((trusting, False), (_ANYBODY, True)):
        near = ends.client(listener.getsockname()[1], options)
        ends.keep(TLSChannel.accepting(listener.accept()[0], "tls://client", context))
        if expected:
            near.until(lambda near=near: near.shaken)  # type: ignore[misc]
            _, second = describe(near.channel.session.connection)
            assert "192.0.2.1" in second
            assert "server.example, localhost" in second
            assert second.endswith(f"self-signed, {second.split('self-signed, ')[1]}")
            assert made in second
        else:
            text = str(_refusal(near))
            assert f"({made}) is not trusted: self-signed certificate" in text


def test_openssl_reads_the_certificate_that_is_made(tmp_path: Path) -> None:
    pem, der = make_certificate(["süd.example", "fe80::1%eth0"])
    (tmp_path / "made.pem").write_bytes(pem)
    words = ["openssl", "x509", "-in", f"{tmp_path}/made.pem", "-noout"]
    words += ["-fingerprint", "-sha256", "-text"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert f"sha256 Fingerprint={fingerprint(der).removeprefix('sha256:')}" in done.stdout
    assert "DNS:xn--sd-xka.example" in done.stdout or "DNS:xn--" in done.stdout
    assert "IP Address:FE80:0:0:0:0:0:0:1" in done.stdout
    assert "ASN1 OID: prime256v1" in done.stdout


def test_certificates_of_strangers_do_not_act_on_the_terminal() -> None:
    _, der = make_certificate(["\x1b]0;evil\x07"[1:4]])
    assert "\x1b" not in certificate_text(der)
    assert certificate_text(b"no certificate").startswith("a certificate that cannot be read (")


# -- client certificates ---------------------------------------------------------------------------


@pytest.mark.needs("openssl")
def test_a_client_certificate_that_is_required_is_verified(
    peers: Peers, ends: Ends, authority: Authority, good: TLSOptions
) -> None:
    accept = ends.server(replace(good, client_ca=authority.path))
    listener = ends.listener()
    shown = authority.sign("client.example")
    far = _s_client(peers, listener, "-quiet", "-cert", shown.path)
    near = accept(listener.accept()[0])
    far.feed(b"question")
    near.until(lambda: near.received == b"question")
    assert shown.fingerprint in describe(near.channel.session.connection)[1]
    listener2 = ends.listener()
    far = _s_client(peers, listener2, "-quiet")
    near = accept(listener2.accept()[0])
    text = str(_refusal(near))
    assert text == (
        "TLS with tls://client: OpenSSL says 'peer did not return a certificate': this server "
        "wants one of each client"
    )
    far.end_input()
    far.read_errors("alert certificate required")


def test_our_client_says_that_its_certificate_is_missing_or_refused(
    ends: Ends, authority: Authority, good: TLSOptions, trusting: TLSOptions, tmp_path: Path
) -> None:
    strict = replace(good, client_ca=authority.path)
    far, near = ends.pair(strict, trusting)
    assert "the server wants a certificate of the client: --tls-cert" in str(_refusal(near))
    stranger = Authority(tmp_path, "stranger").sign("client")
    far, near = ends.pair(strict, replace(trusting, certificate=stranger.path))
    assert "it does not trust our certificate" in str(_refusal(near))
    text = str(_refusal(far))
    assert f"the certificate of the client ({stranger.fingerprint}) is not trusted" in text
    assert "--insecure" not in text
    own = authority.sign("client")
    far, near = ends.pair(strict, replace(trusting, certificate=own.path))
    near.send(b"let in")
    far.until(lambda: far.received == b"let in")


# -- ALPN, SNI, versions ---------------------------------------------------------------------------


def test_a_protocol_is_chosen_by_alpn_if_both_know_it(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    server = replace(good, alpn=("h2", "http/1.1"))
    for offered, chosen in ((("http/1.1", "h2"), "h2"), (("x",), None), ((), None)):
        far, near = ends.pair(server, replace(trusting, alpn=offered))
        near.until(lambda near=near, far=far: near.shaken and far.shaken)  # type: ignore[misc]
        for end in (near, far):
            assert end.channel.session.connection.selected_alpn_protocol() == chosen
    assert "no protocol chosen (ALPN)" in describe(near.channel.session.connection)[0]


@pytest.mark.needs("openssl")
def test_the_server_sees_the_name_that_is_asked_for(
    peers: Peers, ends: Ends, authority: Authority, trusting: TLSOptions
) -> None:
    one, other = authority.sign("one.example"), authority.sign("other.example")
    for name, shown in (("one.example", one), ("other.example", other)):
        options = ("-servername", "other.example", "-cert2", other.path, "-key2", other.path)
        far = _s_server(peers, one.path, *options)
        near = ends.client(far.place.port, trusting, name)
        near.until(lambda near=near: near.shaken)  # type: ignore[misc]
        assert shown.fingerprint in describe(near.channel.session.connection)[1]
        _read_until(far, f'Hostname in TLS extension: "{name}"'.encode())
        near.channel.close()


def test_the_name_to_verify_is_of_the_options_or_the_host() -> None:
    assert name_to_verify(TLSOptions(), "host.example.") == "host.example"
    assert name_to_verify(TLSOptions(), "fe80::1%eth0") == "fe80::1"
    assert name_to_verify(TLSOptions(server_name="other"), "host") == "other"
    for wrong in ("", ".", "a..b", "x" * 64):
        with pytest.raises(TLSError, match="TLS: "):
            name_to_verify(TLSOptions(), wrong)


@pytest.mark.needs("openssl")
def test_a_version_that_is_too_old_is_refused_on_both_sides(
    peers: Peers, ends: Ends, authority: Authority, good: TLSOptions, trusting: TLSOptions
) -> None:
    far = _s_server(peers, authority.sign("localhost").path, "-tls1_2")
    near = ends.client(far.place.port, replace(trusting, minimum_version="1.3"))
    assert "no version of TLS is common to both" in str(_refusal(near))
    listener = ends.listener()
    client = _s_client(peers, listener, "-tls1_2")
    near = ends.server(replace(good, minimum_version="1.3"))(listener.accept()[0])
    assert "no version of TLS is common to both" in str(_refusal(near))
    client.read_errors("alert protocol version")


# -- files -----------------------------------------------------------------------------------------


def test_files_that_do_not_fit_are_named_without_asking_on_the_terminal(
    authority: Authority, tmp_path: Path
) -> None:
    one, other = authority.sign("a"), authority.sign("b")
    locked = authority.sign("c", passphrase="open it")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    server_context(TLSOptions(certificate=locked.path, password="open it"))
    for options, words in (
        (TLSOptions(certificate=locked.path), "is locked by a passphrase"),
        (TLSOptions(certificate=locked.path, password="wrong"), "this passphrase opens"),
        (TLSOptions(certificate=one.path, key=other.path), "are not a pair"),
        (TLSOptions(certificate=str(empty)), "holds no certificate with its key"),
        (TLSOptions(certificate=one.path, key=str(empty)), "no key (PEM)"),
        (TLSOptions(certificate=one.path, client_ca=str(empty)), "to trust"),
        (TLSOptions(certificate=one.path, ciphers="NONE-OF-THEM"), "no cipher is called"),
        (TLSOptions(certificate=one.path, alpn=("",)), "1 to 255 ASCII characters"),
    ):
        with pytest.raises(TLSError, match=re.escape(words)):
            server_context(options)
    missing = str(tmp_path / "missing.pem")
    for client in (
        TLSOptions(certificate=missing),
        TLSOptions(certificate=one.path, key=missing),
        TLSOptions(ca_file=missing),
        TLSOptions(ca_path=missing),
    ):
        with pytest.raises(OSError, match="missing") as caught:
            client_context(client)
        assert caught.value.filename == missing


@pytest.mark.needs("openssl")
def test_a_folder_of_certificates_can_be_trusted(
    ends: Ends, authority: Authority, good: TLSOptions, tmp_path: Path
) -> None:
    (tmp_path / "one.pem").write_bytes(Path(authority.path).read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, timeout=PATIENCE_S)
    _, near = ends.pair(good, TLSOptions(ca_path=str(tmp_path)))
    near.until(lambda: near.shaken)


# -- what is no TLS --------------------------------------------------------------------------------


def test_garbage_instead_of_a_handshake_is_said_in_words(ends: Ends, good: TLSOptions) -> None:
    for octets in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 600, b"HTTP/1.0 400 No\r\n\r\n"):
        listener = ends.listener()
        near = ends.client(listener.getsockname()[1], _ANYBODY)
        peer = listener.accept()[0]
        peer.sendall(octets)
        assert "what came is not TLS: does the peer speak TLS" in str(_refusal(near))
        peer.close()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert "the client speaks HTTP without TLS" in str(_refusal(ends.server(good)(ours)))


def test_a_peer_that_leaves_in_the_handshake_is_told_of(ends: Ends, good: TLSOptions) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    text = str(_refusal(ends.server(good)(ours)))
    assert "the peer closed the connection in the middle of the handshake" in text
    listener = ends.listener()
    near = ends.client(listener.getsockname()[1], _ANYBODY)
    peer = listener.accept()[0]
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert "Connection reset by peer: the handshake was not finished" in str(_refusal(near))


def test_a_handshake_that_never_ends_can_be_given_up(ends: Ends, good: TLSOptions) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        near = ends.server(good)(ours)
        record = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a ClientHello
        for octet in record:
            theirs.send(bytes([octet]))
            near.loop.later(0, lambda: None)
            near.loop.step()
        assert not near.shaken
        near.channel.close()
        near.channel.close()
        assert theirs.recv(100) == b""
        assert near.failure is None


# -- octets, and the end ---------------------------------------------------------------------------

_PEERS = [
    pytest.param(name, marks=pytest.mark.needs(name)) for name in ("ncat", "socat", "openssl")
]


@pytest.mark.parametrize("name", _PEERS)
def test_large_data_goes_both_ways_at_once_to_every_server(
    peers: Peers, ends: Ends, name: str
) -> None:
    far = peers.server(name, "tls")
    near = ends.client(far.place.port, TLSOptions(ca_file=f"{peers.folder}/cert.pem"))
    near.send(_LARGE)
    far.feed(_LARGE[::-1])
    near.until(lambda: near.sent and len(near.received) == len(_LARGE))
    assert near.received == _LARGE[::-1]
    near.end()
    assert far.read(len(_LARGE)) == _LARGE


@pytest.mark.parametrize("name", _PEERS)
def test_large_data_goes_both_ways_at_once_from_every_client(
    peers: Peers, ends: Ends, name: str
) -> None:
    listener = ends.listener()
    place = peers.place("tls")
    accept = ends.server(
        TLSOptions(certificate=f"{peers.folder}/cert.pem", key=f"{peers.folder}/key.pem")
    )
    far = peers.client(name, Place("tls", place.folder, listener.getsockname()[1]))
    near = accept(listener.accept()[0])
    near.send(_LARGE)
    far.feed(_LARGE[::-1])
    near.until(lambda: near.sent and len(near.received) == len(_LARGE))
    assert near.received == _LARGE[::-1]
    near.end()  # ncat keeps the last 8 KiB of a record to itself until something follows
    assert far.read(len(_LARGE)) == _LARGE


@pytest.mark.needs("socat")
def test_the_answer_arrives_after_our_half_close(peers: Peers, ends: Ends) -> None:
    far = peers.server("socat", "tls")
    near = ends.client(far.place.port, TLSOptions(ca_file=f"{peers.folder}/cert.pem"))
    near.send(_LARGE, end=True)
    near.until(lambda: near.sent)
    assert far.read(len(_LARGE)) == _LARGE
    far.feed(_LARGE[::-1])
    far.end_input()
    near.until(lambda: near.ended)
    assert near.received == _LARGE[::-1]
    assert far.finish() == (0, _LARGE, [])


@pytest.mark.needs("socat")
def test_our_answer_arrives_after_the_half_close_of_the_peer(peers: Peers, ends: Ends) -> None:
    far = peers.server("socat", "tls")
    near = ends.client(far.place.port, TLSOptions(ca_file=f"{peers.folder}/cert.pem"))
    far.feed(b"question")
    far.end_input()
    near.until(lambda: near.ended)
    assert near.received == b"question"
    near.send(_LARGE, end=True)
    near.until(lambda: near.sent)
    near.channel.close()
    assert far.finish() == (0, _LARGE, [])


def test_octets_on_their_way_survive_a_half_close_in_each_version(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context, _ = server_context(good)
        context.maximum_version = version
        listener = ends.listener()
        near = ends.client(listener.getsockname()[1], trusting)
        far = ends.keep(TLSChannel.accepting(listener.accept()[0], "tls://client", context))
        near.until(lambda near=near, far=far: near.shaken and far.shaken)  # type: ignore[misc]
        # The answer stands in the kernel, unread, when the end is said.
        near.reads = False
        far.send(_LARGE, end=True)
        near.send(b"late", end=True)
        far.until(lambda far=far: far.ended)  # type: ignore[misc]
        near.reads = True
        near.readable()
        near.until(lambda near=near: near.ended)  # type: ignore[misc]
        assert far.received == b"late"
        assert near.received == _LARGE


@pytest.mark.parametrize("more", [1, 5, 100])
def test_a_connection_that_is_cut_off_in_a_record_is_an_error(
    ends: Ends, good: TLSOptions, trusting: TLSOptions, more: int
) -> None:
    far, near, line = ends.pair_with_somebody_between(good, trusting)
    far.send(b"the first part")
    near.until(lambda: line.pass_on() and near.received)
    far.send(b"x" * 100)
    line.cut(more)
    failure = near.until_failed()
    assert isinstance(failure, EndOfStreamError)
    assert failure.exit_status == 1
    assert "octets at the end may be missing" in str(failure)
    assert near.received == b"the first part"


def test_a_connection_that_is_cut_off_between_records_is_in_doubt(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    far, near, line = ends.pair_with_somebody_between(good, trusting)
    far.send(b"the first part")
    near.until(lambda: line.pass_on() and near.received)
    far.send(b"x" * 100)
    line.cut(0)
    near.until(lambda: near.ended)
    near.end()
    near.until(lambda: near.sent)
    assert "octets at the end may be missing" in near.channel.doubt


@pytest.mark.needs("socat")
def test_a_peer_that_was_killed_is_told_from_one_that_ended(peers: Peers, ends: Ends) -> None:
    far = peers.server("socat", "tls")
    near = ends.client(far.place.port, TLSOptions(ca_file=f"{peers.folder}/cert.pem"))
    far.feed(b"the first part")
    near.until(lambda: near.received == b"the first part")
    assert not near.channel.doubt
    far.signal(signal.SIGKILL)
    near.until(lambda: near.ended)
    near.end()
    near.until(lambda: near.sent)
    assert "octets at the end may be missing" in near.channel.doubt


@pytest.mark.needs("ncat")
def test_our_answer_reaches_ncat_which_half_closes_without_a_word(peers: Peers, ends: Ends) -> None:
    place, listener = peers.place("tls"), ends.listener()
    accept = ends.server(
        TLSOptions(certificate=f"{peers.folder}/cert.pem", key=f"{peers.folder}/key.pem")
    )
    far = peers.client("ncat", Place("tls", place.folder, listener.getsockname()[1]))
    near = accept(listener.accept()[0])
    far.feed(b"question")
    far.end_input()
    near.until(lambda: near.ended)
    assert near.received == b"question"
    near.send(_LARGE, end=True)
    near.until(lambda: near.sent)
    assert not near.channel.doubt
    near.channel.close()
    assert far.finish() == (0, _LARGE, [])


def test_a_peer_that_only_took_octets_may_leave_without_a_word(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    far, near = ends.pair(good, trusting)
    near.send(b"all there is", end=True)
    far.until(lambda: far.ended)
    assert far.received == b"all there is"
    far.channel.socket.shutdown(socket.SHUT_WR)
    near.until(lambda: near.ended)
    assert not near.channel.doubt


def test_octets_that_were_changed_on_the_way_are_refused(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    far, near = ends.pair(good, trusting)
    near.until(lambda: near.shaken and far.shaken)
    far.channel.socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    failure = near.until_failed()
    assert isinstance(failure, TLSError)
    assert "octets were changed on the way" in str(failure)


@pytest.mark.needs("openssl")
def test_keys_are_renewed_in_the_middle_of_a_transfer(
    peers: Peers, ends: Ends, authority: Authority, trusting: TLSOptions
) -> None:
    # s_server: a line that begins with K renews its key and asks for ours.
    far = _s_server(peers, authority.sign("localhost").path, "-msg")
    near = ends.client(far.place.port, trusting)
    near.until(lambda: near.shaken)
    for round_ in (1, 2, 3):
        far.feed(b"K\n")
        _read_until(far, b"KeyUpdate", times=round_ * 2 - 1)
        far.feed(b"answer\n")
        near.until(lambda count=round_: near.received == b"answer\n" * count)  # type: ignore[misc]
        near.send(b"question\n")
        near.until(lambda: near.sent)
        _read_until(far, b"question\n", times=round_)
        assert far.received.count(b"KeyUpdate") == round_ * 2  # its, and ours


@pytest.mark.needs("openssl")
def test_renegotiation_is_refused(
    peers: Peers, ends: Ends, authority: Authority, trusting: TLSOptions
) -> None:
    far = _s_server(peers, authority.sign("localhost").path, "-tls1_2", "-msg")
    near = ends.client(far.place.port, trusting)
    near.until(lambda: near.shaken)
    far.feed(b"r\n")
    # s_server takes offence and leaves: then there is nobody to send to either.
    assert "the peer says 'handshake failure'" in str(_refusal(near))
    _read_until(far, b"no_renegotiation")
    with pytest.raises(TLSError, match="handshake failure"):
        near.channel.send(memoryview(b"anybody there?"))


def test_a_peer_that_takes_nothing_costs_one_piece_of_memory(
    ends: Ends, good: TLSOptions, trusting: TLSOptions
) -> None:
    far, near = ends.pair(good, trusting)
    near.until(lambda: near.shaken and far.shaken)
    far.reads = False
    taken = 0
    while count := near.channel.send(memoryview(_LARGE)[taken:]):
        taken += count
    assert taken < len(_LARGE)
    assert len(near.channel._left) + near.channel.session.pending < 256 << 10
    assert near.channel.send(memoryview(_LARGE)[taken:]) == 0
    far.reads = True
    far.readable()
    while taken < len(_LARGE):
        taken += near.channel.send(memoryview(_LARGE)[taken : taken + 1000])
        far.readable()
    near.channel.send_eof()
    far.until(lambda: far.ended)
    assert far.received == _LARGE


def test_descriptors_are_closed_whatever_happened(good: TLSOptions, trusting: TLSOptions) -> None:
    before = len(_descriptors())
    for options in (trusting, TLSOptions(verify=True, ca_file=good.certificate), _ANYBODY):
        with Ends() as made:
            _, near = made.pair(good, options, "localhost" if options.verify else "x")
            try:
                near.until(lambda near=near: near.shaken)  # type: ignore[misc]
            except SockwrightError:
                continue
    assert len(_descriptors()) == before


def test_options_are_loaded_without_openssl() -> None:
    code = (
        "import sockwright.nc.tls.options, sys; print({'ssl', 'cryptography'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
