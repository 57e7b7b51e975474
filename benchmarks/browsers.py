"""The processes of a browser that we started: those that draw pages."""

import os
from pathlib import Path


def drawing_processes() -> list[int]:
    """Ids of the processes that draw the pages of browsers started by this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        process = int(place.parts[2])
        try:
            if b"--type=renderer" in place.read_bytes() and os.getpid() in _ancestors(process):
                found.append(process)
        except OSError:
            continue  # it is gone
    return found


def own_mb(process: int) -> float:
    """Memory of a process: what is its own, and its part of what is shared."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def _ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
        found.append(process)
    return found
