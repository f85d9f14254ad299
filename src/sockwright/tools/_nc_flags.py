"""The flags of `sw nc` and `sw relay`: those of OpenBSD's nc, of traditional nc, and of ncat.

`_flags` reads a line by this table, and `_nc_values` the values.

Where the programs disagree, a letter means what it means to OpenBSD's nc and to traditional nc, a
word what it means to ncat. The help says so, and where the other was probably meant an error does:

    -x  the proxy (OpenBSD)              ncat's dump in hex is --hex-dump, and -o
    -o  a dump in hex (traditional)      ncat's file of the octets themselves is --output
    -i  between lines (both)             ncat's limit for silence is --idle-timeout
    -w  connecting and silence (both)    ncat's limit for connecting alone is --wait
    -d  input is left alone (OpenBSD)    ncat's pause between lines is --delay, and -i
    -c  a command (traditional)          LibreSSL's TLS is --tls
    -m  most connections (ncat), with -l alone: OpenBSD's least TTL is --min-ttl
"""

from __future__ import annotations

from sockwright.errors import NotPossibleError, UsageError
from sockwright.tools._flags import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from sockwright.errors import SockwrightError
    from sockwright.tools._flags import Arguments, Group

__all__ = ["add_arguments", "read_words", "why_absent"]

_GROUPS: tuple[Group, ...] = (
    (
        "where",
        (
            "In place of HOST PORT may stand a URL: tcp://H:P tls://H:P udp://H:P unix:PATH "
            "unix-abstract:NAME vsock://CID:PORT exec:COMMAND pty:COMMAND file:PATH echo: discard:"
        ),
        (
            ("-l --listen", "listen", "", "wait for a client, on loopback unless HOST says where"),
            ("-k --keep-open", "keep", "", "with -l: many clients, at once and one after another"),
            ("-p --source-port", "port", "PORT", "with -l: listen there; else: connect from it"),
            ("-s --source", "source", "ADDR", "connect from this address; with -l: HOST"),
            ("--public", "public", "", "with -l: on every address of this machine"),
            ("-u --udp", "udp", "", "UDP; with -U: datagrams"),
            ("-U --unixsock [--unix]", "unix", "", "a UNIX socket: a path, or @NAME (abstract)"),
            ("--vsock", "vsock", "", "vsock(7): HOST is the number of a machine, its CID"),
            ("-4", "ipv4", "", "IPv4 alone"),
            ("-6", "ipv6", "", "IPv6 alone"),
            ("-n --nodns", "numeric", "", "addresses in numbers: look up no name"),
        ),
    ),
    (
        "instead of talking",
        "",
        (
            ("-z", "check", "", (
                "which PORTS are open? 20-25,80,http; with -u: UDP; status 0 when all are"
            )),
            ("-r", "random", "", "with -z: in random order"),
            ("--send", "send", "FILE", "send a file; a row tells of it"),
            ("--receive", "receive", "FILE", "receive a file"),
            ("--resume", "resume", "", "on both sides: go on where it stopped, compare checksums"),
            ("--sha256", "sha256", "", "tell its checksum, even if that takes longer"),
        ),
    ),
    (
        "when to stop",
        "Times are seconds, or 500ms, 5s, 2m, 1h. A time limit ends with status 3.",
        (
            ("-w", "limit", "TIME", (
                "limit for connecting, and for silence (as in OpenBSD); a listener waits for its "
                "client without a limit"
            )),
            ("--wait", "wait", "TIME", "limit for connecting alone (ncat's -w)"),
            ("--idle-timeout", "idle", "TIME", "limit for silence alone (ncat's -i)"),
            ("-q", "quit_after", "TIME", (
                "how long to wait for answers after the end of the input; -1: for ever, which is "
                "so by itself but for datagrams: 1 s"
            )),
            ("--no-shutdown", "no_shutdown", "", (
                "do not tell the peer (FIN) of the input's end: for a peer that quits at FIN, "
                "whatever it has yet to say, as every nc -l does"
            )),
            ("-N", "shutdown", "", "tell it; so it is anyway"),
            ("-W", "datagrams", "N", "end after N datagrams have come"),
        ),
    ),
    (
        "what to send and to show",
        (
            "On a terminal what comes is cleaned of escape sequences, and lines can be edited; "
            "octets to a pipe or a file are never touched."
        ),
        (
            ("-d", "no_input", "", "leave standard input alone (ncat's -d is --delay)"),
            ("--send-only", "send_only", "", "only send; end when all is sent"),
            ("--recv-only", "recv_only", "", "only receive"),
            ("-C --crlf", "crlf", "", "end the lines that are sent with CR LF"),
            ("-i --delay", "delay", "TIME", (
                "wait between lines that are sent, and between ports (ncat's -i is --idle-timeout)"
            )),
            ("--rate", "rate", "SIZE", "send no more than SIZE octets a second: 500k, 2M, 1Mi"),
            ("--frame", "frame", "line|chunk|N", "what a datagram is; N octets"),
            ("-t --telnet", "telnet", "", "refuse what a telnet server offers; show none of it"),
            ("--raw", "raw", "", "let escape sequences from the peer reach the terminal"),
            ("--tty", "tty", "", (
                "send each key as it is typed, for a shell's screen; implies --raw; ~. at the "
                "start of a line ends"
            )),
            ("--no-edit", "no_edit", "", "the terminal's own line editing, without history"),
            ("--no-history", "no_history", "", (
                "neither read nor keep lines in ~/.local/state/sockwright/nc_history "
                "(a line that begins with a blank is never kept)"
            )),
        ),
    ),
    (
        "programs",
        (
            "They run without a shell; their words are split as a shell would. On a listener only "
            "on loopback, or with --allow, or with --tls-client-ca."
        ),
        (
            ("-e --exec", "exec", "COMMAND", "join the peer to a program, with -k one each"),
            ("-c --sh-exec", "sh_exec", "COMMAND", "the same; with a shell: -e \"sh -c '...'\""),
            ("--pty", "pty", "", "on a terminal of its own"),
        ),
    ),
    (
        "clients",
        "",
        (
            ("--allow", "allow", "HOSTS", "only these: 10.0.0.0/8,::1,name"),
            ("--allowfile", "allow_file", "FILE", "the same, from a file"),
            ("--deny", "deny", "HOSTS", "not these"),
            ("--denyfile", "deny_file", "FILE", "the same, from a file"),
            ("-m --max-conns", "most", "N", "at once; others wait (OpenBSD's -m is --min-ttl)"),
            ("--broker", "broker", "", "pass on what one client sends to all others"),
            ("--chat", "chat", "", "the same, line by line, with who said it"),
        ),
    ),
    (
        "TLS",
        (
            "Certificates are verified. A listener without one makes one and prints its "
            "fingerprint. ncat's names, --ssl-cert and so on, mean the same."
        ),
        (
            ("--tls --ssl", "tls", "", "TLS over TCP; so say the --tls- flags below, too"),
            ("--tls-cert [--ssl-cert]", "tls_cert", "FILE", "our certificate (PEM)"),
            ("--tls-key [--ssl-key]", "tls_key", "FILE", "its key, where that is another file"),
            ("--tls-ca [--ssl-trustfile --tls-trustfile]", "tls_ca", "FILE", (
                "trust these instead of the system's"
            )),
            ("--tls-client-ca", "tls_client_ca", "FILE", (
                "with -l: want a certificate of the client that one of these has signed"
            )),
            ("--tls-name [--ssl-servername --tls-servername]", "tls_name", "NAME", (
                "whom to ask for (SNI) and verify, where that is not HOST"
            )),
            ("--tls-fingerprint", "tls_fingerprint", "SHA256", (
                "trust the one certificate that has this, as a listener prints it"
            )),
            ("--tls-alpn [--ssl-alpn]", "tls_alpn", "A,B", "protocols to offer: h2,http/1.1"),
            ("--tls-ciphers [--ssl-ciphers]", "tls_ciphers", "LIST", "openssl-ciphers(1)"),
            ("--insecure", "insecure", "", "do not verify; print whose certificate it was"),
            ("[--ssl-verify --tls-verify]", "tls_verify", "", ""),
        ),
    ),
    (
        "through a proxy",
        "",
        (
            ("-x", "proxy", "PROXY", (
                "HOST:PORT of a SOCKS5 proxy (OpenBSD's), or socks5://USER:PASS@HOST:PORT, "
                "socks4a://..., http://... (ncat's -x is --hex-dump)"
            )),
            ("--proxy", "ncat_proxy", "PROXY", "the same, HOST:PORT of an HTTP proxy (ncat's)"),
            ("-X --proxy-type", "proxy_type", "TYPE", (
                "what it speaks: 4, 4a, 5, connect, or socks4, socks4a, socks5, http"
            )),
            ("-P --proxy-auth", "proxy_auth", "USER[:PASS]", "who we are; or in NCAT_PROXY_AUTH"),
            ("--proxy-dns", "proxy_dns", "remote|local", "who looks HOST up"),
        ),
    ),
    (
        "files",
        "A file that is there is not written over without --force.",
        (
            ("--hexdump", "hexdump", "", "show what goes and comes, with times, on standard error"),
            ("--textdump", "textdump", "", "the same as lines of text, escaped"),
            ("-o --hex-dump", "hex_file", "FILE", "a hexdump into a file (ncat's -x)"),
            ("--output", "output", "FILE", "what goes and comes, as it is (ncat's -o)"),
            ("--append-output", "append", "", "add to the files of -o and --output"),
            ("--record", "record", "FILE", "a capture, .pcapng, that Wireshark opens"),
            ("--replay", "replay", "FILE", (
                "send what was sent in such a record, or in any capture, each piece after the "
                "answer that it followed"
            )),
            ("--replay-side", "replay_side", "client|server", "what which side sent"),
            ("--replay-pace", "replay_pace", "answers|times", "when to send a piece"),
            ("--replay-number", "replay_number", "N", "the conversation of that number, from 0"),
            ("--force", "force", "", "write over files that are there"),
        ),
    ),
    (
        "sockets",
        "",
        (
            ("-b", "broadcast", "", "allow datagrams to broadcast addresses"),
            ("-I", "receive_buffer", "SIZE", "octets of the receive buffer"),
            ("-O", "send_buffer", "SIZE", "octets of the send buffer"),
            ("-M --ttl", "ttl", "N", "time to live of what is sent"),
            ("--min-ttl", "min_ttl", "N", "drop what comes with less (OpenBSD's -m)"),
            ("-T --tos", "tos", "WHAT", "type of service: lowdelay, ef, af11, cs1, 0x10 ..."),
        ),
    ),
    (
        "messages",
        "",
        (
            ("-v --verbose", "verbose", "", "say more of what happens"),
            ("--quiet", "quiet", "", "say nothing but failures"),
        ),
    ),
)  # fmt: skip
# What the others have and this verb has not, and why; with the value that it takes there.
_ABSENT: tuple[tuple[str, str, str], ...] = (
    ("-D", "", "-D: SO_DEBUG has no effect on Linux; -v says more, --record keeps everything"),
    ("-F", "", "-F: the socket is not handed on; in ssh_config(5) leave ProxyUseFdpass out"),
    ("-S", "", "-S: signatures by MD5 (RFC 2385) want a key, which nc has no flag for"),
    ("-V --rtable", "RTABLE", "-V: Linux chooses its routing table by rules; see ip-rule(8)"),
    ("-Z", "", "-Z: DCCP has left Linux, with 6.16"),
    ("-g", "HOPS", "-g: source routing is dropped by every router (RFC 7126); try a proxy, -x"),
    ("-G", "N", "-G: source routing is dropped by every router (RFC 7126)"),
    ("-L -R", "WHAT", "-L, -R: two ends are joined by sw relay A B"),
    ("--lua-exec", "FILE", "--lua-exec: no Lua is built in; -e \"lua FILE\" runs an installed one"),
    ("--sctp", "", "--sctp: this build has no SCTP"),
)  # fmt: skip
_NOT_BUILT = {"--sctp"}
# What `sw relay` has no use for, since its ends are URLs and what passes is nobody's input, and
# what it says otherwise.
_RELAY_HAS_NOT = {
    "udp", "unix", "vsock", "check", "random", "send", "receive", "resume", "sha256",
    "shutdown", "datagrams", "no_input", "send_only", "recv_only", "crlf", "delay", "telnet",
    "exec", "sh_exec", "pty", "broker", "chat", "tls", "replay", "replay_side", "replay_pace",
    "replay_number", "tty", "no_edit", "no_history", "public", "port",
    "source", "raw", "broadcast",
}  # fmt: skip
_RELAY_SAYS = {
    "where": (
        "A and B: tcp://H:P tls://H:P udp://H:P unix:PATH unix-abstract:NAME vsock://CID:PORT "
        "exec:COMMAND pty:COMMAND file:PATH - echo: discard:. Without -l B is opened first, but a "
        "socket before what is none; A is left alone where that fails."
    ),
    "programs": "",
    "listen": "listen at A, and open B when a client has come; tcp://*:PORT is every address",
    "keep": "the same for many clients, at once and one after another; B is opened for each",
    "quit_after": "how long to wait for the other way after one has ended",
    "no_shutdown": "do not tell one end (FIN) that the other has ended",
    "rate": "send no more than SIZE octets a second to B: 500k, 2M, 1Mi",
    "tls_cert": "the certificate (PEM) of the listener, else of the client",
    "hexdump": "show what passes, with times, on standard error",
    "output": "what passes, as it is (ncat's -o)",
    "proxy": "for B: HOST:PORT, or socks5://USER:PASSWORD@HOST:PORT",
}


class _NcFlags(Flags):
    usage = """sw nc [FLAG ...] HOST PORT          talk: sw nc --tls example.org 443
       sw nc [FLAG ...] -l [HOST] PORT     wait for a client; -lk for many
       sw nc [FLAG ...] -z HOST PORTS ...  which ports are open
       sw nc [FLAG ...] --send FILE HOST PORT
       sw nc [FLAG ...] -l --receive FILE PORT"""
    operands = "HOST PORT"
    groups = _GROUPS
    absent = _ABSENT
    several = frozenset({"allow", "allow_file", "deny", "deny_file"})
    # Of limits the last wins: an alias may have one.
    once = frozenset({
        "send", "receive", "exec", "sh_exec", "hex_file", "output", "record", "replay", "proxy",
        "ncat_proxy", "source", "port",
    })  # fmt: skip


class _RelayFlags(_NcFlags):
    usage = """sw relay [FLAG ...] A B             join the two: sw relay - exec:cat
       sw relay [FLAG ...] -l|-k A B       wait for clients at A, B for each"""
    operands = "END"
    absent = ()

    def shown(self) -> Iterator[Group]:
        """Yield the groups of `sw nc` as far as they fit, in the words of `sw relay`."""
        for title, told, flags in self.groups:
            some = tuple(
                (names, name, metavar, _RELAY_SAYS.get(name, meaning))
                for names, name, metavar, meaning in flags
                if name not in _RELAY_HAS_NOT
            )
            if some:
                yield title, _RELAY_SAYS.get(title, told), some


def read_words(words: Sequence[str], *, relay: bool = False) -> Arguments | None:
    """Read a line; None where it asks for help, which argparse gives. See `Flags.read`."""
    return (_RelayFlags if relay else _NcFlags)(words).read()


def add_arguments(parser: argparse.ArgumentParser, *, relay: bool = False) -> None:
    """Add all of them to `parser`, for its help and for completion."""
    (_RelayFlags if relay else _NcFlags)().add_to(parser)


def why_absent(name: str) -> SockwrightError:
    """Return the error for a flag that others have and `sw nc` has not."""
    reason = next(reason for names, _, reason in _ABSENT if name in names.split())
    return NotPossibleError(reason) if name in _NOT_BUILT else UsageError(reason)
