"""The language of ss as it is read: words, precedence, hosts, and where a filter is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.filters import FilterError
from sockwright.sockets.diag.filter import parse_filter
from sockwright.sockets.diag.filter.lexer import MAX_EXPRESSION
from sockwright.sockets.diag.states import ALL, STATE_WORDS


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ""),
        (" \t\n", ""),
        # Operators and their other names.
        ("sport :22", "sport = :22"),
        ("sport 22", "sport = :22"),
        ("sport == 22", "sport = :22"),
        ("sport eq :22", "sport = :22"),
        ("dport ne 22", "dport != :22"),
        ("dport neq 22", "dport != :22"),
        ("sport gt 22 sport lt 80", "sport > :22 and sport < :80"),
        ("sport ge 22 sport geq 23", "sport >= :22 and sport >= :23"),
        ("sport le 22 sport leq 23", "sport <= :22 and sport <= :23"),
        ("! sport 1 & sport 2 && sport 3", "not sport = :1 and sport = :2 and sport = :3"),
        ("sport 1 | sport 2 || sport 3", "sport = :1 or sport = :2 or sport = :3"),
        # In their order, whatever the manual says.
        ("sport 1 or sport 2 and sport 3", "( sport = :1 or sport = :2 ) and sport = :3"),
        ("sport 1 and sport 2 or sport 3", "( sport = :1 and sport = :2 ) or sport = :3"),
        ("sport 1 or sport 2 sport 3", "( sport = :1 or sport = :2 ) and sport = :3"),
        ("sport 1 or ( sport 2 and sport 3 )", "sport = :1 or ( sport = :2 and sport = :3 )"),
        ("not sport 1 or sport 2", "not sport = :1 or sport = :2"),
        ("not ( sport 1 or sport 2 )", "not ( sport = :1 or sport = :2 )"),
        ("not not sport 1", "sport = :1"),
        # Without blanks.
        ("(sport=:22 or dport>=1024)and!dev=3",
         "( sport = :22 or dport >= :1024 ) and not dev 3"),
        ("not(sport!=22)", "not sport != :22"),
        ("((sport 22))", "sport = :22"),
        ("( src 10.0.0.1)", "src 10.0.0.1"),
        # Numbers as in C, and services.
        ("sport 0x16 dport 026", "sport = :22 and dport = :22"),
        ("sport = :ssh", "sport = :22"),
        ("dst 10.0.0.1:https", "dst 10.0.0.1:443"),
        # Hosts.
        ("src = 10.0.0.1", "src 10.0.0.1"),
        ("src != 10.0.0.1", "not src 10.0.0.1"),
        ("src 193.233.7/24", "src 193.233.7.0/24"),
        ("src 10", "src 10.0.0.0"),
        ("src 10.1", "src 10.1.0.0"),
        ("src 127/8", "src 127.0.0.0/8"),
        ("src 10.0.0.1/255.255.0.0", "src 10.0.0.0/16"),
        ("src 10.0.0.1/32", "src 10.0.0.1"),
        ("src 10.0.0.0/8:22", "src 10.0.0.0/8:22"),
        ("src 10.0.0.1:", "src 10.0.0.1"),
        ("src 10.0.0.1:*", "src 10.0.0.1"),
        ("src [10.0.0.1]:22", "src 10.0.0.1:22"),
        ("src [::1]", "src [::1]"),
        ("src [2001:DB8::]/32", "src [2001:db8::/32]"),
        ("src [2001:db8::/32]:80", "src [2001:db8::/32]:80"),
        ("src 2001:db8::/32", "src [2001:db8::/32]"),
        ("src 2001:db8::/32:80", "src [2001:db8::/32]:80"),
        ("src ::1:22", "src [::1]:22"),
        ("src [::ffff:10.0.0.1]", "src [::ffff:10.0.0.1]"),
        ("src *", "src *"),
        ("src any", "src *"),
        ("src default:22", "sport = :22"),
        ("src *:22", "sport = :22"),
        ("src :22", "sport = :22"),
        ("sport = :*", "src *"),
        ("src inet:10.0.0.1:22", "src inet:10.0.0.1:22"),
        ("sport = inet6:22", "sport = inet6::22"),
        ("sport = inet6::22", "sport = inet6::22"),
        ("src unix:", "src unix:"),
        ("src unix:*:80", "src unix:*:80"),
        (r"src unix:/run/my\ app", r"src unix:/run/my\ app"),
        ("src unix:/run/a(b)", r"src unix:/run/a\(b\)"),
        ("( src unix:/run/a )", "src unix:/run/a"),
        ("src link:ip", "src link:ip"),
        ("src link:0x800:lo", "src link:ip:lo"),
        ("src link:*:2", "src link:*:2"),
        ("sport != link:lo", "not src link:*:lo"),
        ("sport > link:2", "sport > link::2"),
        ("src netlink:rtnl:kernel", "src netlink:rtnl:0"),
        ("src netlink:16:77", "src netlink:genl:77"),
        ("sport = netlink:4294967295", "sport = netlink::-1"),
        ("src vsock:2:5000", "src vsock:2:5000"),
        ("dport >= vsock:1024", "dport >= vsock::1024"),
        # The rest.
        ("dev lo", "dev lo"),
        ("dev != 0x2", "not dev 2"),
        ("fwmark 1", "fwmark 0x1"),
        ("fwmark != 0x10/0xf0", "not fwmark 0x10/0xf0"),
        ("autobound", "autobound"),
    ],
)  # fmt: skip
def test_text_is_read_as(text: str, read: str) -> None:
    assert str(parse_filter(text)) == read


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("state established", ["established"]),
        ("state ESTABLISHED", ["established"]),
        ("state established state syn-rcv sport = :22", ["established", "syn-recv"]),
        ("state connected exclude time-wait", None),
        ("excl listening", None),
    ],
)
def test_states_stand_before_conditions(text: str, states: list[str] | None) -> None:
    mask = parse_filter(text).states
    if states is not None:
        assert mask == sum(STATE_WORDS[word] for word in states)
    elif text.startswith("excl"):
        assert mask == ALL & ~STATE_WORDS["listening"]
    else:
        assert mask == STATE_WORDS["connected"] & ~STATE_WORDS["time-wait"]


def test_a_family_is_that_of_hosts_which_name_none() -> None:
    assert str(parse_filter("src /tmp/*", family="unix")) == "src unix:/tmp/*"
    assert str(parse_filter("src inet:10.0.0.1", family="unix")) == "src inet:10.0.0.1"
    assert str(parse_filter("sport = :22", family="inet6")) == "sport = inet6::22"
    assert str(parse_filter("src rtnl:5", family="netlink")) == "src netlink:rtnl:5"


def test_a_host_stands_for_all_its_addresses() -> None:
    text = str(parse_filter("src localhost:80", family="inet"))
    assert text == "src inet:127.0.0.1:80"


def test_services_are_those_of_the_protocols_asked_for() -> None:
    assert str(parse_filter("sport = :syslog", protocols=("udp",))) == "sport = :514"
    with pytest.raises(FilterError, match="'tftp' is neither a port nor a service"):
        parse_filter("sport = :tftp", protocols=("tcp",))


@pytest.mark.parametrize(
    ("text", "word", "reason"),
    [
        ("sport = :99999", "99999", "the largest is 65535"),
        ("sport = :65536", "65536", "the largest is 65535"),
        ("dst 10.0.0.1:99999", "99999", "the largest is 65535"),
        ("dst [::1]:99999", "99999", "the largest is 65535"),
        ("sport = :nope", "nope", "neither a port nor a service"),
        ("sport = :htpp", "htpp", "did you mean http"),
        ("sport = :-1", "-1", "neither a port nor a service"),
        ("sport = 089", "089", "starts with 0 and so is octal"),
        ("sport = :123456789012345678901", "123456789012345678901", "the largest is 65535"),
        (f"sport = {'0' * 30}7", "0" * 30 + "7", "the largest is 65535"),
        ("sport = 10.0.0.1:22", "10.0.0.1:22", "for addresses there is src"),
        ("sport > :*", ":*", "stands for every port"),
        ("sport = :", ":", "a port is missing"),
        ("src 10.0.0.0/33", "33", "0 to 32 fit"),
        ("src 10.0.0.0/x", "x", "0 to 32 fit"),
        ("src 10.0.0.0/", "", "a length is missing"),
        ("src [2001:db8::/129]", "129", "0 to 128 fit"),
        ("src 10.0.0.0/255.0.255.0", "255.0.255.0", "no length of a prefix"),
        ("src 10.0.0.256", "10.0.0.256", "no IPv4 address"),
        ("src 1.2.3.4.5", "1.2.3.4.5", "no address"),
        ("src ::1", "::1", r"in brackets: \[::1\]"),
        ("src fe80::1", "fe80::1", r"in brackets: \[fe80::1\]"),
        ("src [::1", "[::1", "not closed"),
        ("src [::1]80", "80", "follows the address"),
        ("src [::x]", "[::x]", "no IPv6 address"),
        ("src inet:[::1]", "[::1]", "not one of the family inet"),
        ("src inet6:10.0.0.1", "10.0.0.1", "not one of the family inet6"),
        ("src any/8", "any/8", "has no prefix"),
        ("src no.such.host.invalid", "no.such.host.invalid", "is not known"),
        ("src localhost/8", "localhost/8", "so it has no prefix"),
        ("src >= 10.0.0.1", ">=", "equal or not, nothing else"),
        ("src ip:10.0.0.1", "10.0.0.1", "neither a port nor a service"),
        ("sport = unix:a", "unix:a", "Unix sockets have no ports"),
        ("src link:nope", "nope", "no Ethernet protocol"),
        ("src link:ip:no-dev", "no-dev", "no interface"),
        ("sport > link:lo", "lo", "equal or not"),
        ("src netlink:nope", "nope", "no netlink protocol"),
        ("src netlink:rtnl:x", "x", "not a port id"),
        ("src vsock:x", "x", "not a context id"),
        ("src vsock:2:4294967296", "4294967296", "not a vsock port"),
        ("state nope", "nope", "no state 'nope'"),
        ("state estblished", "estblished", "did you mean established"),
        ("state", "", "asks for a state"),
        ("exclude all", "all", "no state is left"),
        ("sport = :22 state established", "state", "before all conditions"),
        ("established", "established", "state established"),
        ("( sport = :22", "(", "not closed"),
        ("sport = :22 )", ")", "no parenthesis is open"),
        ("( )", ")", "missing before the parenthesis"),
        ("sport = :22 and", "", "should follow 'and'"),
        ("sport = :22 and || dport = 1", "||", "missing before"),
        ("not", "", "should follow 'not'"),
        ("sport", "", "asks for a value"),
        ("sport = = 22", "=", "asks for a value"),
        ("sport and", "and", "asks for a value"),
        ("dev not", "not", r"a backslash makes a keyword a value: \\not"),
        ("= 22", "=", "nothing is compared"),
        ("dev no-dev", "no-dev", "no interface"),
        ("sport = 1 or ( not dev = no-dev ) and dport = 2", "no-dev", "no interface"),
        (r"dev no\-dev", r"no\-dev", "no interface"),
        ("dev 99999999999", "99999999999", "no index"),
        ("dev > 1", ">", "equal or not"),
        ("fwmark 5x", "5x", "no mark"),
        ("fwmark 1/x", "x", "no mark"),
        ("fwmark 7/5", "7/5", "the mask leaves out bits"),
        ("cgroup /no/such/group", "/no/such/group", "control group|cgroup2"),
        ("SPORT = 22", "SPORT", "in lower case"),
        ("sprot = 22", "sprot", "did you mean sport"),
        ("10.0.0.1", "10.0.0.1", "src 10.0.0.1"),
        ("tcp", "tcp", "no condition starts with 'tcp'"),
        ("sport = 22 22", "22", "no condition starts with '22'"),
        (r"src 10.0.0.\1:99999", r"10.0.0.\1:99999", "the largest is 65535"),
        ("sport = \x00", "\x00", "neither a port nor a service"),
        ("src unix:\ud800", "\ud800", "no name can have"),
    ],
)
def test_a_filter_is_refused_at_the_word_that_is_wrong(text: str, word: str, reason: str) -> None:
    with pytest.raises(FilterError, match=reason) as caught:
        parse_filter(text).resolved()
    error = caught.value
    assert error.expression == text
    assert text[error.position : error.position + error.length] == word
    if word:
        assert error.position == text.rindex(word)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "sport = 1" + ")" * 10_000,
        "not ( " * 5_000 + "sport = 1" + " )" * 5_000,
        " ".join(f"{'or' if port % 2 else 'and'} sport = {port}" for port in range(5_000))[4:],
    ],
    ids=["parentheses", "not", "alternating"],
)
def test_nesting_is_limited(text: str) -> None:
    with pytest.raises(FilterError, match="nested deeper than 100"):
        parse_filter(text)


def test_negations_in_a_row_are_counted_not_nested() -> None:
    assert str(parse_filter("not " * 10_001 + "sport = 1")) == "not sport = :1"


def test_length_is_limited() -> None:
    with pytest.raises(FilterError, match="more than 262144 characters"):
        parse_filter("sport = 1 or " * (MAX_EXPRESSION // 13) + "sport = 65535")
    stars = parse_filter("src unix:" + "*a" * 10_000)
    assert stars.families == frozenset(("unix",))


_WORDS = st.sampled_from((
    "state", "exclude", "established", "all", "sport", "dport", "src", "dst", "dev", "fwmark",
    "cgroup", "autobound", "and", "or", "not", "!", "(", ")", "=", "!=", "<", ">=", "gt", ":22",
    "22", "99999", "10.0.0.1", "10/8", "[::1]:80", "*", "*:*", "unix:", "unix:[", "link:ip:1",
    "netlink:", "vsock::", "inet:", "inet6:", "inet6:[", "0x", "1/2", "/", ":", "[", "]", "\\",
    "\\ ", "\x00", "é", "\udcff", "::", ":::", "...", "0/0", "-1", "+1", "1_0", "\u0661",
))  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(_WORDS, max_size=8), st.sampled_from((" ", "")))
def test_every_text_is_read_or_refused(words: list[str], between: str) -> None:
    text = between.join(words)
    try:
        asked = parse_filter(text)
    except FilterError as refused:
        error = refused
    else:
        assert parse_filter(str(asked)) == asked
        return
    assert 0 <= error.position <= len(text)
    assert error.position + error.length <= len(text)
