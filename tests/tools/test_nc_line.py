"""The command line of sw nc and sw relay: every way to write it, and what it then asks for."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import NotPossibleError, SockwrightError, UsageError
from sockwright.nc.ends import ExecEnd, PtyEnd, SocketEnd, StandardEnd
from sockwright.nc.engine.settings import Job, SocketOptions
from sockwright.sockets.endpoint import Endpoint
from sockwright.tools import nc, relay
from sockwright.tools._nc_checks import check_flags
from sockwright.tools._nc_flags import add_arguments, read_words
from sockwright.tools._nc_job import talk

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.tools._flags import Arguments


def read(line: str) -> Arguments:
    """Read a line whose words are separated by blanks; a word in it is never quoted."""
    args = read_words(line.split(" ") if line else [])
    assert args is not None
    check_flags(args)
    return args


def job(line: str) -> Job:
    return talk(read(line))


def refusal(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        job(line)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_status == 2
    return text


# -- where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "endpoint"),
    [
        ("localhost 80", "tcp://localhost:80"),
        ("127.0.0.1 http", "tcp://127.0.0.1:80"),
        ("::1 80", "tcp://[::1]:80"),
        ("[::1] 80", "tcp://[::1]:80"),
        ("fe80::1%eth0 80", "tcp://[fe80::1%eth0]:80"),
        ("-u localhost domain", "udp://localhost:53"),
        ("tcp://localhost:80", "tcp://localhost:80"),
        ("--tls localhost 443", "tls://localhost:443"),
        ("--ssl localhost 443", "tls://localhost:443"),
        ("--ssl-verify localhost 443", "tls://localhost:443"),
        ("--tls tcp://localhost:443", "tls://localhost:443"),
        ("tls://localhost:443", "tls://localhost:443"),
        ("-U /run/a", "unix:/run/a"),
        ("-U @name", "unix-abstract:name"),
        ("-uU /run/a", "unix:/run/a?type=datagram"),
        ("-u unix:/run/a", "unix:/run/a?type=datagram"),
        ("--vsock 2 1234", "vsock://2:1234"),
        ("exec:cat", "exec:cat"),
        ("-- localhost 80", "tcp://localhost:80"),
    ],
)
def test_a_peer_is_named_in_every_usual_way(line: str, endpoint: str) -> None:
    asked = job(line)
    assert str(asked.far.end) == endpoint
    assert not asked.far.listen
    assert asked.near.end == StandardEnd()


@pytest.mark.parametrize(
    ("line", "endpoint"),
    [
        ("-l 8080", "tcp://:8080"),
        ("-lp 8080", "tcp://:8080"),
        ("-l -p 8080", "tcp://:8080"),
        ("-p8080 -l", "tcp://:8080"),
        ("-lvnp 8080", "tcp://:8080"),
        ("-lkp 8080", "tcp://:8080"),
        ("-klvvp8080", "tcp://:8080"),
        ("--listen --source-port=8080", "tcp://:8080"),
        ("-l 127.0.0.2 8080", "tcp://127.0.0.2:8080"),
        ("-l 127.0.0.2 -p 8080", "tcp://127.0.0.2:8080"),
        ("-l -s 127.0.0.2 -p 8080", "tcp://127.0.0.2:8080"),
        ("-l -s 127.0.0.2 8080", "tcp://127.0.0.2:8080"),
        ("-l tcp://127.0.0.2:8080", "tcp://127.0.0.2:8080"),
        ("-l http", "tcp://:80"),
        ("-l 0", "tcp://:0"),
        ("-l --public 8080", "tcp://*:8080"),
        ("-l4 --public 8080", "tcp://0.0.0.0:8080"),
        ("-l6 --public 8080", "tcp://[::]:8080"),
        ("-l6 8080", "tcp://[::1]:8080"),
        ("-lu 8080", "udp://:8080"),
        ("-l --tls 8080", "tls://:8080"),
        ("-lU /run/a", "unix:/run/a"),
        ("-luU /run/a", "unix:/run/a?type=datagram"),
        ("-l --vsock 1234", "vsock://:1234"),
        ("-l --vsock -p 1234", "vsock://:1234"),
        ("-l --public --vsock 1234", "vsock://*:1234"),
    ],
)
def test_a_place_to_listen_at_is_named_in_every_usual_way(line: str, endpoint: str) -> None:
    asked = job(line)
    assert str(asked.far.end) == endpoint
    assert asked.far.listen


def test_flags_stand_in_clusters_and_in_any_order() -> None:
    for line in (
        "-l -k -v -n -p 8080",
        "-lkvnp 8080",
        "-nvklp8080",
        "8080 -lkvn",
        "-lk 8080 -v --nodns",
        "--verbose --keep-open --listen 8080 -n",
    ):
        asked = job(line)
        assert asked.far.listen
        assert asked.serving.keep
        assert asked.far.numeric
        assert asked.verbose == 1
        assert asked.far.end == SocketEnd(Endpoint("tcp", "", 8080))


@pytest.mark.parametrize(
    ("line", "local"),
    [
        ("-p 4000 localhost 80", "tcp://*:4000"),
        ("-s 127.0.0.2 localhost 80", "tcp://127.0.0.2:0"),
        ("-s ::1 -p 4000 localhost 80", "tcp://[::1]:4000"),
        ("-us 127.0.0.2 localhost 80", "udp://127.0.0.2:0"),
        ("-uU /run/a -s /tmp/mine", "unix:/tmp/mine"),
        ("-U /run/a -s /tmp/mine", "unix:/tmp/mine"),
    ],
)
def test_the_place_to_connect_from_is_that_of_s_and_p(line: str, local: str) -> None:
    assert str(job(line).far.local) == local


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "sw nc HOST PORT; to listen: sw nc -l PORT"),
        ("localhost", "PORT is missing: sw nc localhost PORT"),
        ("80", "HOST is missing: sw nc localhost 80; to listen: sw nc -l 80"),
        ("localhost:80", "sw nc localhost 80, or sw nc tcp://localhost:80"),
        ("-p 80", "to listen: sw nc -l 80"),
        ("-p 80 localhost", "sw nc localhost 80"),
        ("/run/a", "sw nc -U /run/a"),
        ("localhost 80 443", "sw nc -z localhost 80,443"),
        ("tcp://a:1 tcp://b:2", "sw relay tcp://a:1 tcp://b:2"),
        ("tcp://a:1 80", "tcp://a:1 says it all"),
        ("-", "name the peer: HOST PORT"),
        ("127.0.0.1 99999", "port 99999 is not in 0..65535"),
        ("127.0.0.1 0", "ports start at 1"),
        ("127.0.0.1 20-25,80", "sw nc -z 127.0.0.1 20-25,80"),
        ("-l 8000-8010", "one port, not 8000-8010"),
        ("127.0.0.1 nosuchservice", "nor the name of a tcp service"),
        ("-l", "sw nc -l PORT; with 0 the kernel chooses one"),
        ("-l somewhere", "sw nc -l somewhere PORT"),
        ("-l 127.0.0.1:80", "sw nc -l 127.0.0.1 80"),
        ("-l [::1]:80", "sw nc -l ::1 80"),
        ("-l /run/a", "sw nc -lU /run/a"),
        ("-l 80 -p 81", "two ports, 80 and 81: sw nc -l 81"),
        ("-l localhost 80 -p 81", "two ports, 81 and 80"),
        ("-l localhost 80 81", "'81' is too much"),
        ("-l -s 127.0.0.1 127.0.0.2 80", "two addresses to listen at"),
        ("-l --public 127.0.0.1 80", "--public is every address, 127.0.0.1 is one"),
        ("-l tcp://127.0.0.1:80 -p 81", "-p is too much"),
        ("-l tcp://127.0.0.1:80 --public", "tcp://*:PORT is every address"),
        ("-l exec:cat", "-l is for sockets, and exec:cat is none"),
        ("-U", "sw nc -U PATH"),
        ("-lU a b", "sw nc -lU PATH"),
        ("-4U /run/a", "-4, -6, --vsock, --public do not fit"),
        ("-U /run/a -p 80", "which has no port"),
        ("-u tcp://a:1", "exclude each other; UDP is udp://HOST:PORT"),
        ("-U tcp://a:1", "leave -U out"),
        ("--vsock 1234", "sw nc --vsock CID PORT"),
        ("--vsock host 1234", "is not the number (CID) of a machine"),
        ("-46 localhost 80", "-4 and -6 exclude each other"),
        ("-4 ::1 80", "-4 rules ::1 out"),
        ("-6 127.0.0.1 80", "-6 rules 127.0.0.1 out"),
        ("-n localhost 80", "'localhost' is one, no address"),
        ("--tls -U /run/a", "--tls is TLS over TCP"),
        ("--insecure localhost 80", "--insecure goes with TLS"),
        ("--tls-key a localhost 80", "--tls-cert FILE --tls-key FILE"),
    ],
)
def test_what_names_no_place_is_answered_with_the_right_form(line: str, part: str) -> None:
    assert part in refusal(line)


# -- flags --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--foo a 1", "there is no flag --foo"),
        ("--listne 1", "--listen is one"),
        ("-lk? 1", "there is no flag -? (in -lk?)"),
        ("-p", "-p wants a value: -p PORT"),
        ("-lp", "-p wants a value: -p PORT"),
        ("-l -s  80", "the value of -s is empty"),
        ("--udp=3 a 1", "--udp takes no value"),
        ("-k a 1", "-k goes with -l: sw nc -lk PORT"),
        ("--allow a a 1", "--allow goes with -l"),
        ("-m 3 a 1", "OpenBSD's -m is --min-ttl"),
        ("--pty a 1", "--pty goes with -e"),
        ("-X 5 a 1", "-X goes with -x"),
        ("-zl 80", "-z and -l exclude each other"),
        ("-lx a:1 80", "-l and -x exclude each other"),
        ("-l --tls --insecure 80", "of clients --tls-client-ca wants certificates"),
        ("-ux a:1 b 80", "proxies carry TCP alone"),
        ("-l --broker --chat 80", "--chat is a broker that says who spoke"),
        ("-l --broker -e cat 80", "clients talk to each other alone"),
        ("-e cat -c cat a 80", "one program joins the peer"),
        ("--send a --receive b a 80", "a file is all that is sent"),
        ("-N --no-shutdown a 80", "they say the opposite"),
        ("--send-only --recv-only a 80", "nothing would be left to do"),
        ("--json a 80", "standard output holds what the peer sends"),
        ("--frame line a 80", "goes with -u or udp://"),
        ("-x dump.hex a 80", "-x is the proxy"),
        ("-x dump.hex a 80", "--hex-dump dump.hex"),
        ("-d 5 a 80", "ncat's -d is --delay 5"),
        ("-c example.org 443", "sw nc --tls example.org 443"),
        ("-l --tls-fingerprint x 80", "they are about a server"),
        ("--tls-fingerprint x --insecure a 80", "choose whom to trust"),
        ("--tls-fingerprint x --tls-ca c a 80", "choose whom to trust"),
        ("-D a 80", "SO_DEBUG has no effect"),
        ("-g x a 80", "source routing is dropped"),
        ("-S a 80", "RFC 2385"),
        ("-V 1 a 80", "see ip-rule(8)"),
        ("-F a 80", "leave ProxyUseFdpass out"),
        ("-w 0 a 80", "-w takes a time above 0"),
        ("-w 5x a 80", "such as 5, 0.5, 500ms, 2m, not '5x'"),
        ("-q x a 80", "-q takes a time"),
        ("-i -1 a 80", "-i takes a time"),
        ("-W 0 a 80", "-W takes a number in 1.."),
        ("-m x -l 80", "-m takes a number in 1.."),
        ("-M 256 a 80", "-M takes a number in 1..255"),
        ("-I 0 a 80", "-I takes a number of octets"),
        ("--rate fast a 80", "--rate takes a number of octets"),
        ("-T foo a 80", "-T takes lowdelay"),
        ("-u --frame 0 a 80", "--frame takes line, chunk or a number"),
        ("-u --frame 70000 a 80", "--frame takes line, chunk or a number"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_one_line(line: str, part: str) -> None:
    assert part in refusal(line)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("-e cat -e cat -l 80", "-e stands twice, 'cat' and 'cat': choose one"),
        ("--exec cat -e wc -l 80", "-e stands twice, 'cat' and 'wc'"),
        ("--send a --send b a 80", "--send stands twice, 'a' and 'b'"),
        ("--receive a --receive=b a 80", "--receive stands twice"),
        ("-o a --hex-dump b a 80", "--hex-dump stands twice, 'a' and 'b'"),
        ("-x p:1 -x q:1 a 80", "-x stands twice"),
        ("-l -p 1 -p 2", "-p stands twice"),
    ],
)
def test_a_flag_that_would_be_done_once_is_not_there_twice(line: str, part: str) -> None:
    assert part in refusal(line)


@pytest.mark.parametrize(
    "flag", ["--record", "-o", "--output", "--hex-dump", "--send", "--receive", "--replay"]
)
def test_standard_output_is_no_file_since_it_belongs_to_the_peer(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = read(f"{flag} - echo:")
    with pytest.raises(UsageError, match="wants the name of a file"):
        list(nc.run(args))
    assert not list(tmp_path.iterdir())


def test_of_two_limits_the_last_is_meant() -> None:
    assert job("-w 5 -w 10 a 80").limits.connect == 10


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--version", "there is no flag --version; sw --version tells it"),
        ("--bogus", "there is no flag --bogus"),
        ("--recieve", "there is no flag --recieve; --receive is one"),
        ("--hexdumb", "there is no flag --hexdumb; --hexdump is one"),
    ],
)
def test_an_unknown_flag_is_told_with_one_that_is_really_like_it(flag: str, said: str) -> None:
    assert refusal(f"{flag} a 80") == said


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--sctp a 80", "this build has no SCTP"),
        ("sctp://a:80", "this build has no SCTP"),
        ("-u --tls a 80", "DTLS"),
    ],
)
def test_what_is_not_built_here_is_no_mistake_of_who_types(line: str, part: str) -> None:
    with pytest.raises(NotPossibleError, match=part):
        job(line)


def test_time_limits_are_those_of_the_flag_that_was_meant() -> None:
    both = job("-w 5 a 80").limits
    assert (both.connect, both.idle) == (5, 5)
    connecting = job("--wait 500ms a 80").limits
    assert (connecting.connect, connecting.idle) == (0.5, None)
    idle = job("--idle-timeout 2m a 80").limits
    assert (idle.connect, idle.idle) == (None, 120)
    mixed = job("-w 5 --idle-timeout 1h a 80").limits
    assert (mixed.connect, mixed.idle) == (5, 3600)
    assert job("a 80").limits.quit_after is None
    assert job("-q 0 a 80").limits.quit_after == 0
    assert job("-q 2.5 a 80").limits.quit_after == 2.5
    assert job("-q -1 a 80").limits.quit_after == -1
    assert job("-i 3 a 80").limits.delay == 3
    assert job("--rate 1Mi a 80").limits.rate == 1 << 20
    assert job("--rate 1.5k a 80").limits.rate == 1500
    assert job("-N a 80").limits.half_close
    assert not job("--no-shutdown a 80").limits.half_close
    assert job("-uW 3 a 80").limits.messages == 3


def test_what_is_sent_and_shown_is_as_the_flags_say() -> None:
    plain = job("a 80")
    assert (plain.sends, plain.receives) == (True, True)
    assert (plain.console.raw, plain.console.raw_terminal, plain.console.edit) == (
        False,
        False,
        True,
    )
    assert job("--raw a 80").console.raw
    shell = job("--tty a 80").console
    assert (shell.raw, shell.raw_terminal) == (True, True)
    assert not job("--no-edit a 80").console.edit
    assert plain.console.history
    assert not job("--no-history a 80").console.history
    assert not job("-d a 80").console.reads
    assert not job("--recv-only a 80").sends
    assert not job("--send-only a 80").receives
    assert job("-C a 80").far.crlf
    assert job("-t a 80").far.telnet
    assert job("-u --frame line a 80").far.framing == "line"
    assert job("-u --frame 512 a 80").far.framing == 512
    assert job("-vv a 80").verbose == 2
    assert job("--quiet a 80").quiet


def test_options_of_sockets_are_gathered() -> None:
    assert job("a 80").far.options is None
    asked = job("-ub -I 4096 -O 8k -M 3 --min-ttl 250 -T af11 a 80")
    assert asked.far.options == SocketOptions(
        receive_buffer=4096, send_buffer=8000, tos=0x28, ttl=3, min_ttl=250, broadcast=True
    )
    services = {
        "lowdelay": 0x10, "throughput": 8, "reliability": 4, "ef": 0xB8, "cs1": 0x20, "af43": 0x98,
        "0x1f": 0x1F, "31": 31, "Minimize-Delay": 0x10, "critical": 0xA0,
    }  # fmt: skip
    for name, octet in services.items():
        options = job(f"-T {name} a 80").far.options
        assert options is not None
        assert options.tos == octet


def test_a_listener_serves_as_the_flags_say(tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    listed.write_text("10.0.0.0/8 # ours\n\n::1 127.0.0.1\n")
    serving = job(f"-lk --allow 1.2.3.4 --allow ::2,::3 --allowfile {listed} -m 7 80").serving
    assert serving.keep
    assert serving.max_connections == 7
    assert serving.allow == ("1.2.3.4", "::2,::3", "10.0.0.0/8", "::1", "127.0.0.1")
    assert job("-l --deny 1.2.3.4 80").serving.deny == ("1.2.3.4",)
    assert job("-l --broker 80").serving.hub == "broker"
    chat = job("-l --chat 80").serving
    assert (chat.hub, chat.keep) == ("chat", True)
    assert job("-l 80").serving.hub is None
    listed.write_text("# nobody\n")
    assert "no address stands in" in refusal(f"-l --allowfile {listed} 80")


def test_a_program_is_split_without_a_shell() -> None:
    def near(command: str, *more: str) -> object:
        args = read_words([*more, command, "-l", "80"])
        assert args is not None
        check_flags(args)
        return talk(args).near.end

    assert near("cat -n 'a b'", "-e") == ExecEnd(("cat", "-n", "a b"))
    assert near("cat -n", "-c") == ExecEnd(("cat", "-n"))
    assert near("cat -n", "--sh-exec") == ExecEnd(("cat", "-n"))
    assert near("bash -i", "--pty", "-e") == PtyEnd(("bash", "-i"))
    for flag in ("-e", "-c", "--exec", "--sh-exec"):
        with pytest.raises(UsageError, match=r"with a shell: \"sh -c 'ls \| wc'\""):
            near("ls | wc", flag)


@pytest.mark.parametrize(
    ("line", "proxy"),
    [
        ("-x 127.0.0.1:9050 a 80", "socks5://127.0.0.1:9050"),
        ("-x 127.0.0.1 a 80", "socks5://127.0.0.1:1080"),
        ("-x proxy -X 5 a 80", "socks5://proxy:1080"),
        ("-x proxy:1 -X 4 a 80", "socks4://proxy:1"),
        ("-x proxy:1 -X connect a 80", "http://proxy:1"),
        ("-x http://proxy a 80", "http://proxy:3128"),
        ("--proxy proxy a 80", "http://proxy:3128"),
        ("--proxy proxy:8080 a 80", "http://proxy:8080"),
        ("--proxy proxy --proxy-type socks4 a 80", "socks4://proxy:1080"),
        ("--proxy socks5://proxy a 80", "socks5://proxy:1080"),
    ],
)
def test_a_proxy_is_the_one_that_openbsd_and_ncat_would_take(line: str, proxy: str) -> None:
    assert str(job(line).far.proxy) == proxy


def test_who_we_are_to_a_proxy_is_in_the_line_or_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NCAT_PROXY_AUTH", raising=False)
    named = job("-x p:1 -P me:secret a 80").far.proxy
    assert named is not None
    assert (named.user, named.password) == ("me", "secret")
    monkeypatch.setenv("NCAT_PROXY_AUTH", "you:hidden")
    kept = job("-x p:1 a 80").far.proxy
    assert kept is not None
    assert (kept.user, kept.password) == ("you", "hidden")
    within = job("-x socks5://me:secret@p:1 a 80").far.proxy
    assert within is not None
    assert within.user == "me"


def test_a_name_that_the_proxy_is_not_to_see_is_looked_up_here() -> None:
    remote = job("-x p:1 localhost 80").far.end
    assert str(remote) == "tcp://localhost:80"
    here = job("-4 -x p:1 --proxy-dns local localhost 80").far.end
    assert str(here) == "tcp://127.0.0.1:80"


def test_what_is_wanted_of_tls_is_passed_on() -> None:
    options = job(
        "--tls-cert c --tls-key k --tls-ca ca --tls-name n --tls-alpn h2,http/1.1 "
        "--tls-ciphers ALL a 443"
    ).far.tls
    assert options is not None
    assert (options.certificate, options.key, options.ca_file) == ("c", "k", "ca")
    assert (options.server_name, options.alpn, options.ciphers) == ("n", ("h2", "http/1.1"), "ALL")
    assert options.verify
    ncat = job(
        "--ssl --ssl-cert c --ssl-trustfile ca --ssl-servername n --ssl-alpn h2 a 443"
    ).far.tls
    assert ncat is not None
    assert (ncat.certificate, ncat.ca_file, ncat.server_name) == ("c", "ca", "n")
    insecure = job("--tls --insecure a 443").far.tls
    assert insecure is not None
    assert not insecure.verify
    server = job("-l --tls-client-ca ca 443").far.tls
    assert server is not None
    assert server.client_ca == "ca"
    assert job("a 443").far.tls is None


# -- the line itself ----------------------------------------------------------------------------


def test_every_flag_of_the_three_netcats_is_known() -> None:
    """Those of their manual pages: taken, or refused with the reason; never unknown."""
    openbsd = "46bCDdFhklNnrStUuvZz" + "IiMmOPpqsTVWwXx"
    traditional = "ceghGiklnoprqbstuvwCzT"
    ncat = "46UCceGgmhdoxipslkntuvwz"
    words = """
        unixsock vsock crlf sh-exec exec lua-exec max-conns help delay output hex-dump
        idle-timeout source-port source listen keep-open nodns telnet udp sctp verbose wait
        append-output send-only recv-only no-shutdown allow allowfile deny denyfile broker chat
        proxy proxy-type proxy-auth proxy-dns ssl ssl-cert ssl-key ssl-verify ssl-trustfile
        ssl-ciphers ssl-servername ssl-alpn
    """
    flags = [f"-{letter}" for letter in openbsd + traditional + ncat]
    flags += [f"--{word}" for word in words.split()]
    for flag in flags:
        args = read_words([flag, "1", "2", "3"])
        assert args is None or args.mistake is None, flag


def test_the_help_shows_every_flag_in_80_columns() -> None:
    from sockwright.cli.parser import verb_parser
    from sockwright.cli.verbs import find_verb

    for name in ("nc", "relay"):
        verb = find_verb(name)
        assert verb is not None
        os.environ.pop("COLUMNS", None)
        text = verb_parser(verb, verb.load()).format_help()
        assert max(map(len, text.splitlines())) <= 80
        parser = argparse.ArgumentParser(add_help=False)
        add_arguments(parser, relay=name == "relay")
        for action in parser._actions:
            if action.option_strings and action.help is not argparse.SUPPRESS:
                assert action.help
                assert all(option in text for option in action.option_strings)


def test_the_help_says_where_others_differ_and_where_lines_are_kept() -> None:
    from sockwright.cli.parser import verb_parser
    from sockwright.cli.verbs import find_verb

    said = {}
    for name in ("nc", "relay"):
        verb = find_verb(name)
        assert verb is not None
        said[name] = " ".join(verb_parser(verb, verb.load()).format_help().split())
    assert "for a peer that quits at FIN, whatever it has yet to say, as every nc -l" in said["nc"]
    assert "a listener waits for its client without a limit" in said["nc"]
    assert "~. at the start of a line ends" in said["nc"]
    assert "sockwright/nc_history" in said["nc"]
    assert "Without -l B is opened first" in said["relay"]
    assert "no-history" not in said["relay"]


def test_help_is_asked_for_anywhere_and_with_whatever_else() -> None:
    for line in (["-h"], ["--help"], ["-l", "80", "--help"], ["--foo", "--help"]):
        assert read_words(line) is None
        assert read_words(line, relay=True) is None


@given(
    st.lists(
        st.sampled_from(
            ["-l", "-lk", "-p", "-u", "-z", "80", "-w", "1", "localhost", "--tls", "-e"]
        )
        | st.sampled_from(["cat", "tcp://:1", "-U", "/a", "--", "-", "-x", "a:1", "-4", "-q", "-1"])
        | st.text(max_size=6),
        max_size=7,
    )
)
def test_any_line_is_a_job_or_one_line_of_an_error(words: list[str]) -> None:
    args = read_words(words)
    if args is None:
        assert "-h" in " ".join(words)
        return
    try:
        check_flags(args)
        if not args.check and args.send is None and args.receive is None and not args.allow_file:
            talk(args)
    except SockwrightError as error:
        assert str(error)  # noqa: PT017 - the message, whatever the input
        assert error.exit_status in {1, 2, 5}  # noqa: PT017
    except OSError as error:
        assert error.strerror  # noqa: PT017


# -- relay --------------------------------------------------------------------------------------


def relayed(line: str) -> Job:
    args = read_words(line.split(), relay=True)
    assert args is not None
    return relay._job(args)


def test_a_relay_joins_its_two_ends() -> None:
    plain = relayed("tcp://a:1 udp://b:2")
    assert (str(plain.near.end), str(plain.far.end)) == ("tcp://a:1", "udp://b:2")
    assert not plain.near.listen
    assert not plain.serving.keep
    listening = relayed("-l tcp://:1 tcp://b:2")
    assert listening.near.listen
    assert not listening.serving.keep
    keeping = relayed("-k tcp://:1 tcp://b:2")
    assert keeping.near.listen
    assert not keeping.far.listen
    assert keeping.serving.keep
    program = relayed("-k tcp://:1 exec:cat")
    assert program.far.listen
    assert program.near.end == ExecEnd(("cat",))


def test_a_relay_tells_the_tls_of_a_listener_from_that_of_a_client() -> None:
    pinned = relayed("-k --tls-fingerprint f tls://:1 tls://b:2")
    assert pinned.near.tls is not None
    assert pinned.far.tls is not None
    assert (pinned.near.tls.fingerprint, pinned.far.tls.fingerprint) == (None, "f")
    asked = relayed("-k --tls-cert c --tls-client-ca ca --insecure tls://:1 tls://b:2")
    assert asked.near.tls is not None
    assert asked.far.tls is not None
    assert (asked.near.tls.certificate, asked.near.tls.client_ca) == ("c", "ca")
    assert (asked.far.tls.certificate, asked.far.tls.client_ca) == (None, None)
    assert not asked.far.tls.verify
    alone = relayed("--tls-cert c tcp://a:1 tls://b:2")
    assert alone.far.tls is not None
    assert alone.far.tls.certificate == "c"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "sw relay -k tcp://:8080 tcp://127.0.0.1:80"),
        ("tcp://a:1", "two ends are joined, 1 are there"),
        ("8080 tcp://a:1", "what fits: tcp://:8080"),
        ("localhost:80 tcp://a:1", "what fits: tcp://localhost:80"),
        ("- -", "only one of the two ends can be that"),
        ("-l - tcp://a:1", "sw relay -l tcp://a:1 -"),
        ("-k exec:cat echo:", "nobody can connect to exec:cat"),
        ("--json - tcp://a:1", "- is that, too"),
        ("--allow ::1 tcp://a:1 tcp://b:2", "--allow goes with -l"),
        ("--tls-cert c tcp://a:1 tcp://b:2", "neither end is tls://HOST:PORT"),
        ("-z a 1", "there is no flag -z"),
        ("-n tcp://localhost:1 -", "'localhost' is one, no address"),
        ("-x p:1 - unix:/a", "a proxy connects by TCP, not to unix:/a"),
    ],
)
def test_a_relay_that_cannot_be_is_refused_in_one_line(line: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        relayed(line)
    assert part in str(caught.value)


def test_a_file_is_written_new_or_anew() -> None:
    def writes(line: str) -> Any:
        asked = relayed(line)
        return [side.writes for side in (asked.near, asked.far) if str(side.end) == "file:b"]

    assert writes("file:a file:b") == ["new"]
    assert writes("--force file:a file:b") == ["anew"]
    assert writes("-k tcp://:1 file:b") == ["new"]
    assert writes("file:b tcp://a:1") == [None]
