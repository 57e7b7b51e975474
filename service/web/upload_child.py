"""The process that opens a bundle which came with a request, scores with it, and ends.

What a graph does here it does to nobody else: memory, time and files are bounded, and when the
parent is gone this ends too.
"""

import os
import resource
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from service.errors import BadInput, BundleRefused, GaugewatchError
from service.scoring.candidate import MEMORY_BYTES, try_bundle
from service.scoring.fold import Fold
from service.web.detect_columns import packed_of
from service.web.detect_state import SealedPast, owner_of
from service.web.detect_work import answer, detect, piece_of
from service.web.upload_files import write_bundle
from service.web.upload_frames import (
    END,
    HEAD,
    OPENED,
    PIECE,
    REFUSED,
    SCORED,
    Job,
    Refusal,
    write_frame,
)

NICENESS: Final = 5  # points that come meanwhile are more urgent
MAX_DETAIL_CHARACTERS: Final = 500


def main(cpu_seconds: int) -> int:
    """The child."""
    pipe = _own_output()
    _, length = HEAD.unpack(sys.stdin.buffer.read(HEAD.size))
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(length), type=Job)
    _limit(job, cpu_seconds)
    threading.Thread(target=_end_with_parent, args=[job.folder], daemon=True).start()
    try:
        for kind, content in _frames(job):
            write_frame(pipe, kind, content)
    except BadInput as error:
        _refuse(pipe, job, error)
    except GaugewatchError as error:
        _refuse(pipe, job, BundleRefused(error.detail))
    except MemoryError:
        _refuse(pipe, job, BundleRefused("it asks for more memory than a bundle may"))
    except Exception as error:  # noqa: BLE001  whatever a graph can do wrong is a reason
        reason = f"it cannot be run: {type(error).__name__}: {error}"
        _refuse(pipe, job, BundleRefused(reason))
    return 0


def _frames(job: Job) -> Iterator[tuple[bytes, bytes]]:
    came = packed_of(job.body)
    folder = write_bundle(came, Path(job.folder), max_bytes=job.max_bundle_bytes)
    fold = Fold(try_bundle(folder), budget=job.budget)
    yield OPENED, b""
    piece = piece_of(
        fold, came, job.wish, sealed=job.sealed, max_points=job.max_points, is_uploaded=True
    )
    detected, left = detect(fold, piece, job.wish.percentile)
    owner = owner_of(fold, job.wish.entity or "", is_uploaded=True)
    yield SCORED, msgspec.msgpack.encode(SealedPast(owner, left.encode()))
    for part in answer(job.wish, fold, detected):
        yield PIECE, part
    yield END, b""


def _own_output() -> BinaryIO:
    """The pipe to the parent; whatever else writes to standard output goes nowhere."""
    pipe = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return pipe


def _limit(job: Job, cpu_seconds: int) -> None:
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, job.max_bundle_bytes),
    ):
        resource.setrlimit(what, (limit, limit))
    os.nice(NICENESS)


def _end_with_parent(folder: str) -> None:
    """Nothing more comes from it, so an end of its pipe is its end."""
    os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _refuse(pipe: BinaryIO, job: Job, error: BadInput) -> None:
    """In words that do not show where we keep things."""
    text = error.detail.replace(f"{job.folder}/", "")
    detail = "".join(c if c.isprintable() else " " for c in text)[:MAX_DETAIL_CHARACTERS]
    refusal = Refusal(error.code, detail, error.errors)
    write_frame(pipe, REFUSED, msgspec.msgpack.encode(refusal))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
