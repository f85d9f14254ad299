"""Wrong expressions: where, why, and what would fit."""

from __future__ import annotations

import pytest

from sockwright import FilterError, compile_filter
from sockwright.errors import UsageError

_CASES = [
    # expression, marked word, what the reason has, what the hint has
    ("tpc port 80", "tpc", "no word of the language", "did you mean tcp?"),
    ("tcp prot 80", "prot", "without and, or", "did you mean port?"),
    ("tcp port 80 host 1.2.3.4", "host", "follows '80' without", "and host"),
    ("tcp and", "", "a term should follow", "such as"),
    ("and tcp", "and", "a term should stand before", ""),
    ("tcp or or udp", "or", "a term should stand before", ""),
    ("(tcp or udp", "(", "never closed", "add )"),
    ("tcp)", ")", "no parenthesis is open", ""),
    ("()", ")", "a term should stand before", ""),
    ("1.2.3.4", "1.2.3.4", "nothing says what", "host 1.2.3.4"),
    ("80", "80", "nothing says what", "port 80"),
    ("2:2:2:2:2:2", "2:2:2:2:2:2", "nothing says what", "ether host"),
    ("tcp and 1.2.3.4", "1.2.3.4", "nothing says what", "host 1.2.3.4"),
    ("port", "", "should follow 'port'", ""),
    ("host tcp", "tcp", "should follow 'host'", r"\tcp"),
    ("ip proto udp", "udp", "should follow 'ip proto'", r"\udp"),
    ("src proto 6", "proto", "no direction", "leave src or dst out"),
    ("src or host 1.2.3.4", "host", "dst should stand here", ""),
    ("tcp host 1.2.3.4", "1.2.3.4", "tcp does not go with host", "tcp and host"),
    ("ip6 host 1.2.3.4", "1.2.3.4", "ip6 has no IPv4 addresses", ""),
    ("arp host ::1", "::1", "arp has no IPv6 addresses", ""),
    ("ether host 1.2.3.4", "1.2.3.4", "does not fit ether host", "host alone"),
    ("host 2:2:2:2:2:2", "2:2:2:2:2:2", "ether", "ether host"),
    ("host 1.2.3.400", "1.2.3.400", "no IPv4 address", "up to 255"),
    ("host 1::2::3:4:5:6:7:8:9", None, "", ""),
    ("host 1:2:3:", "1:2:3:", "no Ethernet address", "six numbers"),
    ("host 10.0.0.0/8", "10.0.0.0/8", "makes it a network", "write net"),
    ("net 10.1.2.3/8", "10.1.2.3/8", "bits set behind /8", "10.0.0.0"),
    ("net 10.0.0.0/33", "10.0.0.0/33", "at most 32 bits", ""),
    ("net 10.1.0.0 mask 255.0.0.0", "10.1.0.0 mask 255.0.0.0", "bits set", "10.0.0.0"),
    ("net 2001:db8::1/32", "2001:db8::1/32", "bits set behind /32", "2001:db8::"),
    ("net nowhere-at-all", "nowhere-at-all", "is not known", "/etc/networks"),
    ("host no..where", "no..where", "is not known", ""),
    ("port htttp", "htttp", "is not known", "did you mean http?"),
    ("port 70000", "70000", "no port", "at most 65535"),
    ("port 1-2", "1-2", "no port", "portrange 1-2"),
    ("port 1.2.3.4", "1.2.3.4", "an address, no port", "host 1.2.3.4"),
    ("icmp port 80", "80", "icmp has no ports", "tcp, udp or sctp"),
    ("tcp port tftp", "tftp", "one of udp, not of tcp", ""),
    ("portrange 5-nowhere", "5-nowhere", "is not known", ""),
    ("ip proto tpc", "tpc", "is not known", r"did you mean \tcp?"),
    ("ether proto ipv6", "ipv6", "is not known", r"\ip"),
    ("tcp proto 3", "3", "cannot be told", "ether, ip, ip6 or iso"),
    ("ip[0:3] = 1", "3", "a size of 3", "1, 2 and 4"),
    ("ip[0 = 1", "=", "] should stand here", ""),
    ("ip[0", "[", "never closed", "add ]"),
    ("ip[0] &", "", "should stand here", ""),
    ("ip[0] & 3", "", "a comparison should follow", "one of"),
    ("ip[0] = tcp", "tcp", "should stand here", "tcp[0]"),
    ("ip[0] = tcp-sin", "tcp-sin", "should stand here", "did you mean tcp-syn?"),
    ("len-3 = 5", "len-3", "one word", "spaces around a minus"),
    ("len = 08", "08", "octal", "8 is decimal"),
    ("len = 4294967296", "4294967296", "4294967295", ""),
    ("len / 0 = 1", "len / 0 = 1", "divides by zero", ""),
    ("len << 32 = 1", "len << 32 = 1", "more than 31 bits", ""),
    ("stp[0] = 1", "stp[0] = 1", "octets of stp cannot be read", ""),
    ("vlan 4096", "vlan 4096", "no VLAN identifier", "4095"),
    ("mpls and arp", "arp", "MPLS", "before mpls"),
    ("mpls and vlan", "vlan", "inside MPLS", "before mpls"),
    ("llc foo", "llc foo", "no type of LLC", "known are"),
    ("llc snrm", "llc snrm", "no type of LLC", ""),
    ("gateway here", "here", "not supported", "ether host"),
    ("inbound", "inbound", "does not tell directions", "live"),
    ("type mgt", "type", "802.11", ""),
    ("ether addr1 2:2:2:2:2:2", "addr1", "802.11", ""),
    ("lane", "lane", "ATM", ""),
    ("vpi 5", "vpi", "ATM", ""),
    ("fisu", "fisu", "SS7", ""),
    ("rset x", "rset", "pf", ""),
    ("ether host $a", "$a", "ARCnet", ""),
    ("radio", "radio", "802.11", ""),
    ("tcp multicast", "tcp multicast", "no multicast", "ip6"),
    ("tcp # comment", "#", "no word starts with", ""),
    ("tcp \x1b[31m", "\x1b", "no word starts with", ""),
]


@pytest.mark.parametrize(("expression", "word", "reason", "hint"), _CASES)
def test_errors_point_at_the_word_and_say_what_fits(
    expression: str, word: str | None, reason: str, hint: str
) -> None:
    with pytest.raises(FilterError) as raised:
        compile_filter(expression)
    error = raised.value
    assert error.expression == expression
    if word is not None:
        assert expression[error.position : error.position + error.length] == word
    assert reason in error.reason
    assert hint in error.hint
    assert str(error).isprintable()


def test_the_mark_stands_under_the_word() -> None:
    with pytest.raises(FilterError) as raised:
        compile_filter("udp or tcp prot 80")
    assert raised.value.marked() == (
        "  udp or tcp prot 80",
        "             ^^^^",
    )
    assert raised.value.__notes__ == ["\n".join(raised.value.marked())]


def test_a_long_expression_is_shown_around_the_word() -> None:
    text = (
        " or ".join(f"host 10.0.0.{i}" for i in range(50))
        + " or port nonsense or "
        + "tcp or " * 50
        + "udp"
    )
    with pytest.raises(FilterError) as raised:
        compile_filter(text)
    line, mark = raised.value.marked()
    assert len(line) <= 76
    assert line.startswith("  …")
    assert line.endswith("…")
    assert line[mark.index("^") : mark.rindex("^") + 1] == "nonsense"


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        ("x" * 500, "  " + "x" * 72 + "…", "  " + "^" * 72),
        ("tcp or " * 50 + "udp or", "  …" + ("tcp or " * 50 + "udp or")[-72:], " " * 75 + "^"),
    ],
)
def test_the_ends_of_a_long_expression_are_shown_as_ends(text: str, line: str, mark: str) -> None:
    with pytest.raises(FilterError) as raised:
        compile_filter(text)
    assert raised.value.marked() == (line, mark)


def test_a_long_word_is_cut_where_it_is_quoted() -> None:
    with pytest.raises(FilterError) as raised:
        compile_filter("port " + "x" * 5000)
    assert "'" + "x" * 47 + "…'" in str(raised.value)
    assert len(str(raised.value)) < 200
    assert raised.value.expression == "port " + "x" * 5000


def test_the_error_is_one_of_usage_and_of_value() -> None:
    assert issubclass(FilterError, UsageError)
    assert issubclass(FilterError, ValueError)
    assert FilterError("tcp", 0, 3, "why").exit_status == 2


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 100_000, "(" * 5000 + "tcp" + ")" * 5000, "not " * 100_000 + "tcp",
        "ip[" * 5000 + "0", "ip[" * 300 + "0" + "]" * 300 + " = 1", "- " * 5000 + "1 = 1",
        "port (" * 5000, "1" + " + 1" * 5000 + " = 1", "1" + " ^ 1" * 5000 + " = 1",
        "x" * (1 << 21), "host " + "9" * 100_000, "len = " + "9" * 100_000, "port " + "9" * 10_000,
        "host " + "1." * 50_000 + "1", "host " + ":" * 100_000, "ether proto \\" + "a" * 10_000,
        "1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + (1 + len"
        + ")" * 16 + " = 1",
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_expressions_end_in_a_clear_error(expression: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(expression)


def test_long_chains_are_no_nesting() -> None:
    text = " or ".join(f"tcp port {1 + i}" for i in range(1000))
    compiled = compile_filter(text)
    assert len(compiled.instructions) > 4096
    assert len(compiled.explain().passes) == 1000
    with pytest.raises(FilterError, match="the kernel takes 4096"):
        compile_filter(text, live=True)


def test_a_snapshot_length_has_32_bits() -> None:
    assert compile_filter("", snaplen=65_535).instructions == ((0x06, 0, 0, 65_535),)
    for octets in (0, 1 << 32):
        with pytest.raises(ValueError, match="not in 1"):
            compile_filter("", snaplen=octets)


def test_an_expression_is_text() -> None:
    for wrong in (5, None, b"tcp"):
        with pytest.raises(TypeError, match="the expression of a filter is text, not"):
            compile_filter(wrong)  # type: ignore[arg-type]
