"""Cookies prove answers; groups tell when their probes went out, however many there are."""

from __future__ import annotations

import threading
from collections import Counter

from sockwright.scan.sending.cookies import GROUPS, PROOF, SHIFT, Cookies, Groups

_PORTS = range(65536)


def _host(number: int) -> bytes:
    return number.to_bytes(4, "big")


def test_a_sequence_number_is_a_group_and_a_proof() -> None:
    assert (GROUPS << SHIFT) - 1 == 0xFFFFFFFF
    assert (1 << SHIFT) - 1 == PROOF


def test_a_host_has_the_same_number_for_one_scan_and_another_for_the_next() -> None:
    one, other = Cookies(), Cookies()
    numbers = [one.of_host(_host(number)) for number in range(1000)]
    assert numbers == [one.of_host(_host(number)) for number in range(1000)]
    assert numbers != [other.of_host(_host(number)) for number in range(1000)]
    assert len({number & PROOF for number in numbers}) > 990
    assert max(numbers) <= 0xFFFFFFFF


def test_ports_have_secrets_of_their_own_that_differ_from_scan_to_scan() -> None:
    one, other = Cookies(), Cookies()
    proofs = [one.of_port[port] & PROOF for port in _PORTS]
    assert len(proofs) == 65536
    # Of 65 536 numbers out of 1 048 576 by chance 63 500 are different.
    assert 62_500 < len(set(proofs)) < 64_500
    same = sum(one.of_port[port] & PROOF == other.of_port[port] & PROOF for port in _PORTS)
    assert same < 10


def test_every_bit_of_a_proof_is_a_bit_of_chance() -> None:
    secrets = Cookies().of_port
    for bit in range(SHIFT):
        assert 0.48 < sum(one >> bit & 1 for one in secrets) / 65536 < 0.52


def test_the_proof_of_one_port_and_host_proves_no_other() -> None:
    cookies = Cookies()
    here, there = cookies.of_host(_host(1)), cookies.of_host(_host(2))
    for port in range(1, 2000):
        mine = cookies.of_port[port] ^ here
        assert (mine ^ cookies.of_port[port] ^ there) & PROOF
        # Two ports may have one by chance, once in a million.
    agreeing = sum(
        not (cookies.of_port[port] ^ cookies.of_port[port + 1]) & PROOF for port in range(65535)
    )
    assert agreeing < 5


def test_a_group_knows_when_it_went_out_and_in_which_epoch() -> None:
    groups = Groups()
    numbers = [groups.begin(float(at), at // 10) for at in range(100)]
    assert numbers == list(range(100))
    assert [groups.times[number] for number in numbers] == [float(at) for at in range(100)]
    assert [groups.epochs[number] for number in numbers] == [at // 10 for at in range(100)]


def test_numbers_of_groups_come_again_and_the_newest_counts() -> None:
    groups = Groups()
    for at in range(GROUPS):
        groups.begin(float(at), at)
    assert groups.begin(10_000.0, 77) == 0
    assert groups.times[0] == 10_000.0
    assert groups.epochs[0] == 77
    assert groups.times[1] == 1.0


def test_two_threads_never_get_the_same_group() -> None:
    groups = Groups()
    taken: list[list[int]] = [[], []]
    start = threading.Barrier(2)

    def work(which: int) -> None:
        start.wait(5)
        taken[which] = [groups.begin(float(which), which) for _ in range(GROUPS)]

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    # Twice around: each number was given twice, to whomever.
    assert set(Counter(taken[0] + taken[1]).values()) == {2}
    assert all(time in {0.0, 1.0} for time in groups.times)
