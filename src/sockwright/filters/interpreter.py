"""Run a program of classic BPF over a packet: one function, for Python and for numba alike.

It is plain Python over integers and things that are indexed by integers, so that it runs as it is
and is compiled unchanged (`numba.njit(run)`, or `numba.extending.register_jitable(run)` to be
called from other compiled code). Rules that this rests on:

- Every number is a signed integer of 64 bits: an octet or an operand becomes one by ``+ 0``, since
  numba makes a float of an unsigned and a signed integer of 64 bits. A and X are kept below 2**32
  by a mask after everything that could leave that range.
- Nothing is allocated; the 16 words of scratch memory are lent by the caller.
- The meaning is that of libpcap's interpreter, in which a load outside the packet rejects it. So
  does a load that asks the kernel (an offset from 0xFFFFF000 on): a file cannot answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

__all__ = ["MEMORY_WORDS", "run"]

MEMORY_WORDS = 16

_MASK = 0xFFFFFFFF
# Only `protochain` jumps backward, once for each header it passes. Headers of a packet that was
# made to lead in a circle would never end it.
_MOST_BACKWARD_JUMPS = 4096


def run(  # noqa: PLR0915, PLR0917  # one function, called by position, so that numba takes it
    code: Sequence[int],
    jt: Sequence[int],
    jf: Sequence[int],
    k: Sequence[int],
    octets: Sequence[int],
    start: int,
    captured: int,
    original: int,
    memory: MutableSequence[int],
) -> int:
    """Return how many octets of the packet the program accepts, 0 where it rejects it.

    `code`, `jt`, `jf`, `k` are the columns of the program. The packet is the `captured` octets of
    `octets` from `start` on, and had `original` octets on the wire. `memory` is 16 words that may
    hold anything. The program must be whole, as `compile_filter` makes them: no check is made here.
    """
    a = 0
    x = 0
    pc = 0
    fuel = _MOST_BACKWARD_JUMPS
    while True:
        op = code[pc] + 0
        operand = k[pc] + 0
        # The commonest instructions come first; a compiler makes one jump table of all of them.
        if op == 0x28:  # ldh [k]
            if operand + 2 > captured:
                return 0
            at = start + operand
            a = ((octets[at] + 0) << 8) | (octets[at + 1] + 0)
        elif op == 0x15:  # jeq #k
            pc += jt[pc] + 0 if a == operand else jf[pc] + 0
        elif op == 0x30:  # ldb [k]
            if operand + 1 > captured:
                return 0
            a = octets[start + operand] + 0
        elif op == 0x20:  # ld [k]
            if operand + 4 > captured:
                return 0
            at = start + operand
            a = ((octets[at] + 0) << 24) | ((octets[at + 1] + 0) << 16)
            a |= ((octets[at + 2] + 0) << 8) | (octets[at + 3] + 0)
        elif op == 0x45:  # jset #k
            pc += jt[pc] + 0 if a & operand else jf[pc] + 0
        elif op == 0xB1:  # ldxb 4*([k]&0xf)
            if operand + 1 > captured:
                return 0
            x = ((octets[start + operand] + 0) & 0xF) << 2
        elif op == 0x48:  # ldh [x + k]
            if x + operand + 2 > captured:
                return 0
            at = start + x + operand
            a = ((octets[at] + 0) << 8) | (octets[at + 1] + 0)
        elif op == 0x06:  # ret #k
            return operand
        elif op == 0x50:  # ldb [x + k]
            if x + operand + 1 > captured:
                return 0
            a = octets[start + x + operand] + 0
        elif op == 0x40:  # ld [x + k]
            if x + operand + 4 > captured:
                return 0
            at = start + x + operand
            a = ((octets[at] + 0) << 24) | ((octets[at + 1] + 0) << 16)
            a |= ((octets[at + 2] + 0) << 8) | (octets[at + 3] + 0)
        elif op == 0x54:  # and #k
            a &= operand
        elif op == 0x00:  # ld #k
            a = operand
        elif op == 0x01:  # ldx #k
            x = operand
        elif op == 0x60:  # ld M[k]
            a = memory[operand] + 0
        elif op == 0x61:  # ldx M[k]
            x = memory[operand] + 0
        elif op == 0x02:  # st M[k]
            memory[operand] = a
        elif op == 0x03:  # stx M[k]
            memory[operand] = x
        elif op == 0x80:  # ld #pktlen
            a = original & _MASK
        elif op == 0x81:  # ldx #pktlen
            x = original & _MASK
        elif op == 0x07:  # tax
            x = a
        elif op == 0x87:  # txa
            a = x
        elif op == 0x25:  # jgt #k
            pc += jt[pc] + 0 if a > operand else jf[pc] + 0
        elif op == 0x35:  # jge #k
            pc += jt[pc] + 0 if a >= operand else jf[pc] + 0
        elif op == 0x1D:  # jeq x
            pc += jt[pc] + 0 if a == x else jf[pc] + 0
        elif op == 0x2D:  # jgt x
            pc += jt[pc] + 0 if a > x else jf[pc] + 0
        elif op == 0x3D:  # jge x
            pc += jt[pc] + 0 if a >= x else jf[pc] + 0
        elif op == 0x4D:  # jset x
            pc += jt[pc] + 0 if a & x else jf[pc] + 0
        elif op == 0x05:  # ja
            if operand > 0x7FFFFFFF:  # backward: k is a signed number of 32 bits
                operand -= 0x100000000
                fuel -= 1
                if fuel < 0:
                    return 0
            pc += operand
        elif op == 0x84:  # neg
            a = -a & _MASK
        elif op == 0x16:  # ret a
            return a
        else:
            # Arithmetic, with the constant or with X.
            if op & 0x08:
                operand = x
            op &= 0xF7
            if op == 0x04:
                a = (a + operand) & _MASK
            elif op == 0x14:
                a = (a - operand) & _MASK
            elif op == 0x24:
                # In halves: the product of two numbers of 32 bits does not fit into 63.
                a = (a * (operand & 0xFFFF) + ((a * (operand >> 16) & 0xFFFF) << 16)) & _MASK
            elif op == 0x34:
                if operand == 0:
                    return 0
                a //= operand
            elif op == 0x94:
                if operand == 0:
                    return 0
                a %= operand
            elif op == 0x44:
                a |= operand
            elif op == 0x54:
                a &= operand
            elif op == 0xA4:
                a ^= operand
            elif op == 0x64:
                a = (a << operand) & _MASK if operand < 32 else 0
            elif op == 0x74:
                a = a >> operand if operand < 32 else 0
            else:
                return 0
        pc += 1
