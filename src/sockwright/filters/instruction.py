"""Instructions of classic BPF: their numbers, and how tcpdump -d, -dd and -ddd write them.

The numbers are those of the original paper (McCanne and Jacobson 1993) as Linux has them in
linux/bpf_common.h and linux/filter.h; docs of the machine: kernel.org, Documentation/networking/
filter.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Instruction", "as_c", "as_numbers", "as_text"]

# Loads: 8, 16 or 32 bits at a constant offset, or at X plus one.
LD_W_ABS, LD_H_ABS, LD_B_ABS = 0x20, 0x28, 0x30
LD_W_IND, LD_H_IND, LD_B_IND = 0x40, 0x48, 0x50
LD_IMM, LD_MEM, LD_LEN = 0x00, 0x60, 0x80
LDX_IMM, LDX_MEM, LDX_LEN, LDX_MSH = 0x01, 0x61, 0x81, 0xB1
ST, STX = 0x02, 0x03
# Arithmetic with a constant (K); OR-ed with 8 it is with X.
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR = (
    0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xA4,
)  # fmt: skip
X = 0x08
JA, JEQ, JGT, JGE, JSET = 0x05, 0x15, 0x25, 0x35, 0x45
RET_K, RET_A = 0x06, 0x16
TAX, TXA = 0x07, 0x87

IND = LD_W_IND - LD_W_ABS  # what makes a load at k one at X + k
BYTE, HALF, WORD = LD_B_ABS, LD_H_ABS, LD_W_ABS

# Loads at these offsets ask the kernel about the packet instead (linux/filter.h, SKF_AD_).
SKF_AD_OFF = 0xFFFF_F000
AD_PROTOCOL, AD_PKTTYPE, AD_IFINDEX, AD_HATYPE = 0, 4, 8, 28
AD_VLAN_TAG, AD_VLAN_TAG_PRESENT = 44, 48


class Instruction(NamedTuple):
    """One instruction, ``struct sock_filter``: code, jumps (instructions to skip) and operand."""

    code: int
    jt: int
    jf: int
    k: int


# As libpcap's bpf_image() names the offsets that ask the kernel; the other two it leaves as
# numbers.
_ASKS = {
    AD_PROTOCOL: "proto", AD_PKTTYPE: "type", AD_IFINDEX: "ifidx", AD_HATYPE: "hatype",
    AD_VLAN_TAG: "vlan_tci", AD_VLAN_TAG_PRESENT: "vlanp",
}  # fmt: skip
_SIZES = {0x00: "ld", 0x08: "ldh", 0x10: "ldb"}
_ARITHMETIC = {
    ADD: "add", SUB: "sub", MUL: "mul", DIV: "div", OR: "or", AND: "and",
    LSH: "lsh", RSH: "rsh", NEG: "neg", MOD: "mod", XOR: "xor",
}  # fmt: skip
_JUMPS = {JEQ: "jeq", JGT: "jgt", JGE: "jge", JSET: "jset"}
_OTHERS = {
    LD_LEN: ("ld", "#pktlen"), LDX_LEN: ("ldx", "#pktlen"), RET_A: ("ret", ""),
    TAX: ("tax", ""), TXA: ("txa", ""), NEG: ("neg", ""),
}  # fmt: skip


def as_text(program: Sequence[Instruction]) -> list[str]:
    """Return the lines of ``tcpdump -d``."""
    return [_line(number, instruction) for number, instruction in enumerate(program)]


def as_c(program: Sequence[Instruction]) -> list[str]:
    """Return the lines of ``tcpdump -dd``: an initialiser of ``struct sock_filter[]``."""
    return [f"{{ {i.code:#x}, {i.jt}, {i.jf}, 0x{i.k:08x} }}," for i in program]


def as_numbers(program: Sequence[Instruction]) -> list[str]:
    """Return the lines of ``tcpdump -ddd``: the count, then four decimal numbers each."""
    return [str(len(program)), *(f"{i.code} {i.jt} {i.jf} {i.k}" for i in program)]


def targets(number: int, instruction: Instruction) -> Iterator[int]:
    """Yield the numbers of the instructions that may come after instruction `number`."""
    code, jt, jf, k = instruction
    if code == JA:
        # The one jump that may lead backward: k is a signed number of 32 bits.
        yield number + 1 + (k - (1 << 32) if k >> 31 else k)
    elif code & 0x07 == 0x05:
        yield number + 1 + jt
        yield number + 1 + jf
    elif code & 0x07 != RET_K:
        yield number + 1


def _line(number: int, instruction: Instruction) -> str:
    name, operand = _words(number, instruction)
    line = f"({number:03d}) {name:<8s} {operand}"
    if instruction.code & 0x07 == 0x05 and instruction.code != JA:
        yes, no = targets(number, instruction)
        return f"({number:03d}) {name:<8s} {operand:<16s} jt {yes}\tjf {no}"
    return line


def _words(number: int, instruction: Instruction) -> tuple[str, str]:
    code, _, _, k = instruction
    if code in _OTHERS:
        return _OTHERS[code]
    if code == JA:
        return "ja", str(next(targets(number, instruction)))
    kind, base = code & 0x07, code & ~X
    if kind == 0x05:
        return _JUMPS[base], "x" if code & X else f"#{k:#x}"
    if kind == 0x04:
        immediate = f"#{k}" if base in {ADD, SUB, MUL, DIV, LSH, RSH, MOD} else f"#{k:#x}"
        return _ARITHMETIC[base], "x" if code & X else immediate
    return _move(code, k)


def _move(code: int, k: int) -> tuple[str, str]:
    if code in {LD_W_ABS, LD_H_ABS, LD_B_ABS}:
        asked = _ASKS.get(k - SKF_AD_OFF)
        return _SIZES[code & 0x18], f"[{asked or k}]"
    if code in {LD_W_IND, LD_H_IND, LD_B_IND}:
        return _SIZES[code & 0x18], f"[x + {k}]"
    if code == LDX_MSH:
        return "ldxb", f"4*([{k}]&0xf)"
    if code in {LD_IMM, LDX_IMM}:
        return ("ld" if code == LD_IMM else "ldx"), f"#{k:#x}"
    if code in {LD_MEM, LDX_MEM}:
        return ("ld" if code == LD_MEM else "ldx"), f"M[{k}]"
    if code in {ST, STX}:
        return ("st" if code == ST else "stx"), f"M[{k}]"
    return "ret", f"#{k}"
