"""Ctrl-C while the command starts: it ends without a word, whatever it was just about to load."""

from __future__ import annotations

import json
import subprocess
import sys

_TRIALS = """
import os, signal, sys
from sockwright.cli import main

class Interrupter:
    '''Sends SIGINT when so many modules have been looked for, as an impatient user does.'''
    left = 1 << 30
    def find_spec(self, *_):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)

def trial(left):
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    interrupter = Interrupter()
    interrupter.left = left
    sys.meta_path.insert(0, interrupter)
    os.dup2(2, 1)
    status = 1
    try:
        status = main(["scan", "-sL", "127.0.0.1"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    os._exit(status)

print([trial(left) for left in (1, 2, 3, 5, 8, 12, 20, 30)])
"""


def test_ctrl_c_while_modules_are_loaded_ends_it_without_a_word() -> None:
    command = [sys.executable, "-c", _TRIALS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    assert set(json.loads(done.stdout)) == {130}
