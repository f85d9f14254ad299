"""What nmap has and `sw scan` has not, and why: so that nobody takes a flag for a wrong letter."""

from __future__ import annotations

from sockwright.errors import UsageError

__all__ = ["ABSENT", "why_absent"]

_ALONE = "its packets would carry somebody else's name, and this program sends only under its own"
_PINGS = (
    "discovery asks by ARP or ND, ICMP and TCP at once, so there is nothing to choose; -Pn leaves "
    "it out, -sn does nothing else"
)
_SCRIPTS = "there are no scripts; -sV asks services, sw nc talks to them"
_PACE = "the pace follows the answers; --rate bounds it, -T2 to -T5 are presets"
_LOG = "-v says more, --reason and --explain say why, -w FILE.pcapng keeps every packet"
# Names, the value that it takes there, and why; that begins with one of the names, for which
# the one that was typed is put.
ABSENT = (
    ("-D", "DECOYS", f"-D: no decoys: {_ALONE}"),
    ("-S", "ADDRESS", f"-S: no other source address: {_ALONE}; -e chooses an interface"),
    ("--spoof-mac", "MAC", f"--spoof-mac: {_ALONE}"),
    ("-sI", "ZOMBIE", f"-sI: {_ALONE}"),
    ("-b", "RELAY", f"-b: {_ALONE}; servers that relay FTP are gone, too"),
    ("-f", "", "-f: no fragments: they are to slip past filters that somebody wants"),
    ("--mtu", "N", "--mtu: no fragments: they are to slip past filters that somebody wants"),
    ("--badsum", "", "--badsum: every packet is a right one; sw tour shows wrong ones"),
    ("--data --data-string --data-length", "DATA", "--data: probes carry what their method wants"),
    ("--ip-options", "OPTIONS", "--ip-options: routers drop packets with options (RFC 7126)"),
    ("--ttl", "N", "--ttl: the TTL is the kernel's; --traceroute finds the routers on the way"),
    ("-g --source-port", "PORT", (
        "-g: each try has a port of its own, or its answer could not be told from that of another"
    )),
    ("--proxies --proxy", "PROXIES", "--proxies: a proxy knows no states; sw nc -z -x PROXY asks"),
    ("--script --script-args --script-args-file --script-help", "WHAT", f"--script: {_SCRIPTS}"),
    ("--script-trace --script-updatedb", "", f"--script: {_SCRIPTS}"),
    ("-sC", "", f"-sC: {_SCRIPTS}"),
    ("-sO", "", "-sO: no scan of IP protocols; sw capture shows which ones come"),
    ("-sY -sZ", "", "-sY, -sZ: this program scans TCP and UDP, not SCTP"),
    ("-sW", "", "-sW: the windows of RST tell nothing of today's systems; -sA, and -sS for states"),
    ("-sM", "", "-sM: FIN with ACK is answered by RST from open and closed ports alike; try -sF"),
    ("--scanflags", "FLAGS", "--scanflags: there are -sS, -sA, -sF, -sN and -sX"),
    ("-PS -PA -PU -PY -PO", "", f"-PS, -PA, -PU, -PY, -PO: {_PINGS}"),
    ("-PE -PP -PM -PR", "", f"-PE, -PP, -PM, -PR: {_PINGS}"),
    ("--disable-arp-ping", "", f"--disable-arp-ping: {_PINGS}"),
    ("-iR", "N", "-iR: strangers chosen at random have not been asked; name the targets"),
    ("-r", "", "-r: the order is random; --seed repeats one"),
    ("--port-ratio", "RATIO", "--port-ratio: --top N is the first N ports of the list"),
    ("--allports", "", (
        "--allports: -sV asks every open port but 9100 to 9107, where printers print what they "
        "are sent"
    )),
    ("--randomize-hosts", "", "--randomize-hosts: the order is random anyway; --seed repeats one"),
    ("--min-rate", "N", (
        "--min-rate: whoever goes faster than the answers loses some of them; --rate N is how fast "
        "it may go, -T5 as fast as answers come back"
    )),
    ("--min-parallelism --max-parallelism --min-hostgroup", "N", f"--max-parallelism: {_PACE}"),
    ("--max-scan-delay", "TIME", f"--max-scan-delay: {_PACE}"),
    ("--defeat-rst-ratelimit --defeat-icmp-ratelimit", "", (
        "--defeat-rst-ratelimit: limits of RST and ICMP are noticed, and the report tells of them"
    )),
    ("--osscan-limit --osscan-guess --fuzzy", "", (
        "--osscan-guess: -O says how sure it is, and what matched; it does not guess"
    )),
    ("--max-os-tries", "N", "--max-os-tries: -O says how sure it is, and what matched"),
    ("--dns-servers", "SERVERS", "--dns-servers: names are looked up as by every program here"),
    ("--system-dns", "", "--system-dns: names are always looked up as by every program here"),
    ("-oS -oM -oH", "FILE", "-oS: there are -oN, -oX, -oG and -oJ"),
    ("--stylesheet", "FILE", "--stylesheet: XML has none; xsltproc(1) applies one"),
    ("--webxml --no-stylesheet", "", "--webxml: XML has no stylesheet; xsltproc(1) applies one"),
    ("--append-output", "", "--append-output: each scan has its own files; --diff compares"),
    ("--packet-trace --version-trace", "", f"--packet-trace: {_LOG}"),
    ("-d --debug", "", f"-d: {_LOG}"),
    ("--stats-every", "TIME", "--stats-every: a terminal shows the progress all the time"),
    ("--iflist", "", "--iflist: sw doctor tells of interfaces"),
    ("--send-eth --send-ip", "", "--send-eth: raw IP sockets find the way by themselves"),
    ("--privileged --unprivileged", "", (
        "--privileged: what this process may do is found by trying; -sT and -sS choose"
    )),
    ("--datadir --servicedb --versiondb", "DIR", "--datadir: the lists are part of the program"),
    ("--nsock-engine", "ENGINE", "--nsock-engine: there is one, epoll(7)"),
    ("--unique", "", "--unique: each address is asked once anyway"),
    ("--noninteractive", "", "--noninteractive: --yes asks nothing, --quiet is silent"),
    ("-V", "", "-V: sw --version tells it"),
)  # fmt: skip


def why_absent(name: str) -> UsageError:
    """Return the error for a flag that nmap has and `sw scan` has not, by the name typed."""
    reason = next(reason for names, _, reason in ABSENT if name in names.split())
    return UsageError(f"{name}:{reason.partition(':')[2]}")
