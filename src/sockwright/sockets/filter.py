"""Attach a classic BPF program to a socket (SO_ATTACH_FILTER, socket(7))."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from sockwright.sockets.explain import explained, explaining

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "Instruction",
    "attach_filter",
    "detach_filter",
    "keeping",
    "lock_filter",
    "only_outgoing",
    "without_echo",
]

# struct sock_filter: code, jump if true, jump if false, k.
Instruction: TypeAlias = tuple[int, int, int, int]

NOTHING: Final[tuple[Instruction, ...]] = ((0x06, 0, 0, 0),)
"""The program that accepts no packet: BPF_RET, 0 octets."""

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_LOCK_FILTER = 44
_MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# Instructions of <linux/filter.h>, and the loads of what the kernel knows beside the frame.
_LOAD_BYTE, _LOAD_WORD, _LOAD_NUMBER = 0x30, 0x20, 0x00
_JUMP_IF_EQUAL, _RETURN = 0x15, 0x06
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_INTERFACE = 0xFFFFF000 + 8  # SKF_AD_OFF + SKF_AD_IFINDEX
_OUTGOING = 4  # PACKET_OUTGOING


def attach_filter(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Let only packets through that `program` accepts; replaces another.

    Linux asks for no privilege. Some hardened kernels ask for CAP_NET_RAW where the socket is TCP.

    Raises:
        ValueError: the program is empty or has more than 4096 instructions.
        OSError: EINVAL, the kernel's checker refuses it (a jump outside, no return at the end);
            ENOMEM, it is longer than net.core.optmem_max lets it be; EPERM, see above.
    """
    if not 0 < len(program) <= _MAX_INSTRUCTIONS:
        raise ValueError(f"{len(program)} instructions are not in 1..{_MAX_INSTRUCTIONS}")
    # struct sock_fprog holds a pointer: the octets must live until setsockopt has copied them.
    octets = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    )
    fprog = struct.pack("@HP", len(program), ctypes.addressof(octets))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
    except OSError as error:
        hint = (
            "the kernel's checker refuses the program: a jump leads outside, or it does not return"
        )
        if error.errno == errno.EPERM:
            hint = "this kernel wants CAP_NET_RAW for a filter on a TCP socket, as Linux does not"
        elif error.errno == errno.ENOMEM:
            hint = (
                f"{len(program)} instructions take more memory than net.core.optmem_max lets a "
                "socket have; say the filter shorter: net and portrange for lists"
            )
        raise explained(error, "attach a filter", hint=hint) from error


def detach_filter(sock: socket.socket) -> None:
    """Remove the filter.

    Raises:
        OSError: ENOENT, there is none; EPERM, it is locked.
    """
    with explaining("remove the filter", hint="there is none, or it is locked"):
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def lock_filter(sock: socket.socket) -> None:
    """Make the filter final: nobody, this process included, can change or remove it."""
    with explaining("lock the filter"):
        sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)


def keeping(program: Sequence[Instruction], octets: int) -> list[Instruction]:
    """Let `program` keep at most `octets` of what it accepts; no program accepts everything."""
    return [
        (code, yes, no, min(k, octets)) if code == _RETURN else (code, yes, no, k)
        for code, yes, no, k in program or [(_RETURN, 0, 0, octets)]
    ]


def only_outgoing(program: Sequence[Instruction]) -> list[Instruction]:
    """Let `program` see only frames that this host sends."""
    return [
        (_LOAD_BYTE, 0, 0, _PACKET_TYPE),
        (_JUMP_IF_EQUAL, 1, 0, _OUTGOING),
        (_RETURN, 0, 0, 0),
        (_LOAD_NUMBER, 0, 0, 0),  # a program starts with 0 in the accumulator
        *program,
    ]


def without_echo(program: Sequence[Instruction], loopback: int) -> list[Instruction]:
    """Let `program` not see frames on their way into interface number `loopback`.

    Each of them comes out again at once, and would be there twice.
    """
    return [
        (_LOAD_BYTE, 0, 0, _PACKET_TYPE),
        (_JUMP_IF_EQUAL, 0, 3, _OUTGOING),
        (_LOAD_WORD, 0, 0, _INTERFACE),
        (_JUMP_IF_EQUAL, 0, 1, loopback),
        (_RETURN, 0, 0, 0),
        (_LOAD_NUMBER, 0, 0, 0),
        *program,
    ]
