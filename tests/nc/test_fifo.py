"""FIFOs as ends: nobody else has to wait until their other side is there."""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, nothing_left_open, served

from sockwright.nc.ends import FileEnd, parse_end
from sockwright.nc.engine.settings import Job, Serving, Side
from sockwright.nc.opening.opening import open_here

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    return path


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Look at the descriptors before and after."""
    with nothing_left_open():
        yield


def test_nothing_comes_from_a_fifo_until_somebody_writes_and_its_end_is_the_writers(
    fifo: str,
) -> None:
    with Bench() as bench:
        channel = open_here(Side(FileEnd(fifo)), {})
        bench.callback(channel.close)
        far, theirs = bench.channel()
        bench.session(channel, far)
        bench.spend(0.1)
        assert bench.outcomes == []
        with Path(fifo).open("wb") as writer:
            writer.write(b"late but there")
            writer.flush()
            bench.until(lambda: select.select([theirs], [], [], 0)[0])
            assert theirs.recv(100) == b"late but there"
        theirs.shutdown(socket.SHUT_WR)
        assert bench.outcome().status == 0
        assert theirs.recv(1) == b""


def test_a_fifo_that_nobody_reads_is_an_error_that_says_so(fifo: str) -> None:
    with pytest.raises(OSError, match="nobody reads this FIFO") as caught:
        open_here(Side(FileEnd(fifo), writes="append"), {})
    assert caught.value.errno == errno.ENXIO


def test_a_fifo_that_somebody_reads_is_written_to(fifo: str) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Bench() as bench:
            far, theirs = bench.channel()
            bench.session(open_here(Side(FileEnd(fifo), writes="new"), {}), far)
            theirs.sendall(b"here it is")
            theirs.close()
            assert bench.outcome().status == 0
        assert os.read(reader, 100) == b"here it is"
    finally:
        os.close(reader)


def test_a_fifo_without_a_reader_keeps_no_client_of_a_relay_waiting(fifo: str) -> None:
    job = Job(
        Side(FileEnd(fifo), writes="append"),
        Side(parse_end("tcp://127.0.0.1:0"), listen=True),
        serving=Serving(keep=True),
        verbose=1,
    )
    with served(job) as server:
        for count in (1, 2):
            with suppress(ConnectionResetError), server.connect() as client:
                client.recv(1)
            server.wait_for(lambda _, wanted=count: len(server.lines("failed")) == wanted)  # type: ignore[misc]
        assert "nobody reads this FIFO" in server.lines("failed")[0]
