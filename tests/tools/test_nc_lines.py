"""Lines on standard error that nobody reads keep no client waiting."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SW = str(Path(sys.executable).with_name("sw"))
PATIENCE_S = 20
_CLIENTS = 200


def read(pipe: int) -> str:
    """Read what there is now."""
    text = b""
    while select.select([pipe], [], [], 0)[0] and (piece := os.read(pipe, 65536)):
        text += piece
    return text.decode()


def test_clients_are_served_while_nobody_reads_what_is_told_of_them() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 8192)
    words = [SW, "relay", "-kv", "tcp://127.0.0.1:0", "echo:"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    try:
        first = ""
        while not first.endswith("\n"):
            assert select.select([reader], [], [], PATIENCE_S)[0], first
            first += (piece := os.read(reader, 1).decode())
            assert piece, first
        assert "listening on tcp://127.0.0.1:" in first
        place = ("127.0.0.1", int(first.rpartition(":")[2]))
        for _ in range(_CLIENTS):
            with socket.create_connection(place, PATIENCE_S) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        told = read(reader)
        with socket.create_connection(place, PATIENCE_S) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        while "lines are missing here" not in told:
            assert select.select([reader], [], [], PATIENCE_S)[0], told
            piece = os.read(reader, 65536).decode()
            assert piece, told
            told += piece
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
        process.wait()
        os.close(reader)
