"""A browser under measurement: how it is started, its frames, and its processes that draw pages."""

import os
from pathlib import Path

from playwright.sync_api import Browser, Playwright, ViewportSize

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
SIZE: ViewportSize = {"width": 1600, "height": 1000}
HEAP = "() => performance.memory.usedJSHeapSize"
FRAMES = """() => {  // of every second: how many, and the longest in ms
  const seen = (window.framesSeen = []);
  let second = 0, frames = 0, last = performance.now(), longest = 0;
  requestAnimationFrame(function count(now) {
    longest = Math.max(longest, now - last);
    last = now;
    frames += 1;
    if (now - second >= 1000) {
      if (second) seen.push([(1000 * frames) / (now - second), longest]);
      [second, frames, longest] = [now, 0, 0];
    }
    requestAnimationFrame(count);
  });
}"""


def launched(playwright: Playwright) -> Browser:
    """The one that is measured."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


def drawing_mb() -> float:
    """Memory of the largest process that draws a page."""
    return max(own_mb(one) for one in drawing_processes())


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
