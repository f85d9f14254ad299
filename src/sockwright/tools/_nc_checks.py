"""Which flags of `sw nc` go together: tables, and the one line that each mistake is told in."""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._nc_flags import why_absent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.tools._flags import Arguments

__all__ = ["check_company", "check_flags"]

# Flags that do nothing without another: attribute, flag, attributes of which one must be there, and
# what the flag goes with.
_GO_WITH = (
    ("keep", "-k", ("listen",), "-l: sw nc -lk PORT"),
    ("public", "--public", ("listen",), "-l: sw nc -l --public PORT"),
    ("allow", "--allow", ("listen",), "-l: sw nc -lk --allow HOSTS PORT"),
    ("allow_file", "--allowfile", ("listen",), "-l: sw nc -lk --allowfile FILE PORT"),
    ("deny", "--deny", ("listen",), "-l: sw nc -lk --deny HOSTS PORT"),
    ("deny_file", "--denyfile", ("listen",), "-l: sw nc -lk --denyfile FILE PORT"),
    ("most", "-m", ("listen",), "-l, as the most clients at once; OpenBSD's -m is --min-ttl"),
    ("broker", "--broker", ("listen",), "-l: sw nc -l --broker PORT"),
    ("chat", "--chat", ("listen",), "-l: sw nc -l --chat PORT"),
    ("tls_client_ca", "--tls-client-ca", ("listen",), "-l; what a client trusts is --tls-ca"),
    ("pty", "--pty", ("exec", "sh_exec"), "-e: sw nc -l --pty -e bash PORT"),
    ("random", "-r", ("check",), "-z; other ports the kernel chooses at random anyway"),
    ("resume", "--resume", ("send", "receive"), "--send FILE or --receive FILE"),
    ("sha256", "--sha256", ("send", "receive"), "--send FILE or --receive FILE"),
    (
        "force", "--force", ("receive", "record", "output", "hex_file", "replay"),
        "a FILE that is written: --receive, --record, -o, --output; or --replay",
    ),
    ("replay_side", "--replay-side", ("replay",), "--replay FILE"),
    ("replay_pace", "--replay-pace", ("replay",), "--replay FILE"),
    ("replay_number", "--replay-number", ("replay",), "--replay FILE"),
    ("append", "--append-output", ("output", "hex_file"), "-o FILE or --output FILE"),
    ("proxy_type", "-X", ("proxy", "ncat_proxy"), "-x: sw nc -x PROXY:PORT -X TYPE HOST PORT"),
    ("proxy_auth", "-P", ("proxy", "ncat_proxy"), "-x: sw nc -x PROXY:PORT -P USER HOST PORT"),
    ("proxy_dns", "--proxy-dns", ("proxy", "ncat_proxy"), "-x or --proxy"),
)  # fmt: skip
_Flag = tuple[str, str]  # attribute, name
_LISTEN, _CHECK, _UDP, _UNIX = ("listen", "-l"), ("check", "-z"), ("udp", "-u"), ("unix", "-U")
_PROXY, _NCAT_PROXY = ("proxy", "-x"), ("ncat_proxy", "--proxy")
_EXEC, _SH_EXEC = ("exec", "-e"), ("sh_exec", "-c")
_BROKER, _CHAT = ("broker", "--broker"), ("chat", "--chat")
_SEND, _RECEIVE, _REPLAY = ("send", "--send"), ("receive", "--receive"), ("replay", "--replay")
_SEND_ONLY, _RECV_ONLY = ("send_only", "--send-only"), ("recv_only", "--recv-only")
_NO_INPUT = ("no_input", "-d")
_INPUT = (
    ("crlf", "-C"), _NO_INPUT, ("tty", "--tty"), ("no_edit", "--no-edit"),
    ("no_history", "--no-history"), ("raw", "--raw"),
)  # fmt: skip
# A flag, those that it excludes, and what to do instead.
_EXCLUDE: tuple[tuple[_Flag, tuple[_Flag, ...], str], ...] = (
    (_CHECK, (_LISTEN, _EXEC, _SH_EXEC, _SEND, _RECEIVE, _REPLAY, _PROXY, _NCAT_PROXY),
     "-z only asks which ports are open"),
    (_LISTEN, (_PROXY, _NCAT_PROXY), "a proxy connects, it does not listen"),
    (_LISTEN, (("tls_ca", "--tls-ca"), ("tls_name", "--tls-name"), ("insecure", "--insecure"),
               ("tls_fingerprint", "--tls-fingerprint")),
     "they are about a server; of clients --tls-client-ca wants certificates"),
    (_UDP, (_PROXY, _NCAT_PROXY), "proxies carry TCP alone"),
    (_UNIX, (_PROXY, _NCAT_PROXY), "proxies carry TCP alone"),
    (_PROXY, (_NCAT_PROXY,), "they are the same, but for what the proxy speaks"),
    (_EXEC, (_SH_EXEC,), "one program joins the peer"),
    (_BROKER, (_CHAT,), "--chat is a broker that says who spoke"),
    (_BROKER, (_EXEC, _SH_EXEC, _SEND, _RECEIVE, _REPLAY), "clients talk to each other alone"),
    (_CHAT, (_EXEC, _SH_EXEC, _SEND, _RECEIVE, _REPLAY), "clients talk to each other alone"),
    (_EXEC, (_SEND, _RECEIVE, _REPLAY, *_INPUT), "the program takes the place of our input"),
    (_SH_EXEC, (_SEND, _RECEIVE, _REPLAY, *_INPUT), "the program takes the place of our input"),
    (_SEND, (_RECEIVE, _REPLAY, _SEND_ONLY, _RECV_ONLY, *_INPUT), "a file is all that is sent"),
    (_RECEIVE, (_REPLAY, _SEND_ONLY, _RECV_ONLY, *_INPUT), "a file is all that is received"),
    (_SEND, (_UDP,), "datagrams may be lost, and a file with them"),
    (_RECEIVE, (_UDP,), "datagrams may be lost, and a file with them"),
    (_SEND_ONLY, (_RECV_ONLY, _NO_INPUT), "nothing would be left to do"),
    (_REPLAY, (_NO_INPUT, _RECV_ONLY), "what is sent comes from the replay"),
    (("shutdown", "-N"), (("no_shutdown", "--no-shutdown"),), "they say the opposite"),
    (("verbose", "-v"), (("quiet", "--quiet"),), "they say the opposite"),
)  # fmt: skip


def check_flags(args: Arguments) -> None:
    """Refuse flags that `sw nc` has not, and flags that do not go together.

    Raises: UsageError; NotPossibleError for what is not built.
    """
    check_company(args)
    for (name, flag), others, told in _EXCLUDE:
        for other, other_flag in others if getattr(args, name) else ():
            if getattr(args, other):
                raise UsageError(f"{flag} and {other_flag} exclude each other: {told}")
    if args.json and not (args.check or args.send or args.receive):
        raise UsageError(
            "--json is for rows, of -z, --send and --receive; standard output holds what the peer "
            "sends (sw relay has rows of what happens)"
        )


def check_company(args: Arguments, verb: str = "nc") -> None:
    """Refuse what is no flag, or has no place here, or does nothing without another one.

    Raises: UsageError, NotPossibleError.
    """
    if args.mistake is not None:
        raise args.mistake
    for name in args.absent:
        raise why_absent(name)
    for name, flag, needed, told in _GO_WITH:
        if verb == "relay" and name == "force":  # it may be the end that is written
            continue
        if getattr(args, name) and not any(getattr(args, other) for other in needed):
            # The lines that show how are those of sw nc.
            raise UsageError(f"{flag} goes with {told if verb == 'nc' else told.split(':')[0]}")
