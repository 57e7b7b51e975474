"""Uploads: a bundle that comes with a series, and is gone after the answer.

It is opened and scores in a process of its own (upload_child.py), as a candidate is. The folder
that it was unpacked into, and the process, end with the answer, whoever goes first.
"""

import os
import select
import shutil
import subprocess  # our own interpreter, no shell
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from typing import Final

import msgspec

from service.errors import (
    BadBody,
    BadInput,
    BadSeries,
    BodyTooLarge,
    BundleRefused,
    GaugewatchError,
)
from service.settings import is_ours
from service.web.detect_state import SealedPast
from service.web.upload_frames import (
    END,
    HEAD,
    MAX_FRAME_BYTES,
    OPENED,
    PIECE,
    REFUSED,
    SCORED,
    Job,
    Refusal,
    write_frame,
)

OPEN_SECONDS: Final = 10.0  # that a bundle may take to be unpacked, opened and tried
LOOK_SECONDS: Final = 0.1  # between two looks at whether anybody waits
READ_BYTES: Final = 2**16
_ERRORS: Final = {
    error.code: error for error in (BadBody, BadInput, BadSeries, BodyTooLarge, BundleRefused)
}


class Gone(Exception):
    """Nobody waits for the answer any more."""


class Upload:
    """A child at work on one request."""

    def __init__(self, job: Job, folder: str, *, seconds: float, gone: threading.Event) -> None:
        """`job` without its folder, which is ours to remove; `seconds` to score in."""
        cpu_seconds = ceil(OPEN_SECONDS + seconds)
        command = [sys.executable, "-m", "service.web.upload_child", str(cpu_seconds)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not is_ours(name)},
        )
        self._finalizer = weakref.finalize(self, _end, self._process, folder)
        self._gone, self._seconds = gone, seconds
        self._buffer = bytearray()
        self._sending = threading.Thread(target=_send, args=[self._process, job], daemon=True)
        self._sending.start()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._finalizer()

    def left(self) -> SealedPast:
        """What the piece leaves for the next, once all is scored. Raises BadInput, Gone."""
        try:
            deadline = time.monotonic() + OPEN_SECONDS
            self._next(OPENED, deadline, f"not opened and tried within {OPEN_SECONDS:g} s")
            deadline = time.monotonic() + self._seconds
            content = self._next(SCORED, deadline, f"not scored within {self._seconds:g} s")
            return msgspec.msgpack.decode(content, type=SealedPast)
        except BaseException:
            self.close()
            raise

    def pieces(self) -> Iterator[bytes]:
        """The answer. Raises GaugewatchError where the child breaks it off."""
        try:
            kind, content = self._frame(None)
            while kind == PIECE:
                yield content
                kind, content = self._frame(None)
            if kind != END:
                raise GaugewatchError("the process of an upload broke off its answer")
        except Gone:
            return
        finally:
            self.close()

    def _next(self, wanted: bytes, deadline: float, late: str) -> bytes:
        try:
            kind, content = self._frame(deadline)
        except TimeoutError:
            raise BundleRefused(late) from None
        if kind == REFUSED:
            refusal = msgspec.msgpack.decode(content, type=Refusal)
            error = _ERRORS.get(refusal.code, BundleRefused)
            raise error(refusal.detail, errors=refusal.errors)
        if kind != wanted:
            raise BundleRefused(f"the process that tried it ended with {self._ended()}")
        return content

    def _frame(self, deadline: float | None) -> tuple[bytes, bytes]:
        """The next one; kind is empty when the child has ended."""
        head = self._read(HEAD.size, deadline)
        if len(head) < HEAD.size:
            return b"", b""
        kind, length = HEAD.unpack(head)
        content = self._read(min(length, MAX_FRAME_BYTES), deadline)
        return (kind, content) if len(content) == length else (b"", b"")

    def _read(self, count: int, deadline: float | None) -> bytes:
        """So many bytes, fewer at the end. Raises TimeoutError, Gone."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while len(self._buffer) < count:
            if self._gone.is_set():
                raise Gone
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            if select.select([pipe], [], [], LOOK_SECONDS)[0]:
                if not (chunk := os.read(pipe, READ_BYTES)):
                    break
                self._buffer += chunk
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _ended(self) -> int:
        self._process.kill()
        return self._process.wait()


def started(job: Job, *, seconds: float, gone: threading.Event) -> Upload:
    """A child at work. Raises BundleRefused where there is no room for its files."""
    try:
        folder = tempfile.mkdtemp(prefix="gaugewatch-upload-")
    except OSError:
        raise BundleRefused("this service has no folder to unpack it into") from None
    return Upload(msgspec.structs.replace(job, folder=folder), folder, seconds=seconds, gone=gone)


def _send(process: "subprocess.Popen[bytes]", job: Job) -> None:
    """The job; the pipe stays open, because its end would be ours."""
    assert process.stdin is not None
    try:
        write_frame(process.stdin, b"J", msgspec.msgpack.encode(job))
    except (OSError, ValueError):  # it has ended, and says so itself
        return


def _end(process: "subprocess.Popen[bytes]", folder: str) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not sent
                pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
