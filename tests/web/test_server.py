import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys
import structlog
from service.settings import Settings
from service.web.server import configure_log
configure_log(Settings(log_format=sys.argv[1]))
structlog.get_logger().info("started", bundles=["tiny"])
logging.getLogger("uvicorn.error").warning("of the %s", "library")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("uvicorn.error").exception("failed")
"""


def logged(form: str) -> str:
    command = [sys.executable, "-c", SCRIPT, form]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert ran.stdout == "", "the log goes to the standard error"
    return ran.stderr


@pytest.mark.parametrize("form", ["json", "auto"])
def test_machines_read_one_object_a_line_from_us_and_from_libraries(form: str) -> None:
    ours, theirs, failure = map(json.loads, logged(form).splitlines())
    assert (ours["event"], ours["level"], ours["bundles"]) == ("started", "info", ["tiny"])
    assert (theirs["event"], theirs["level"]) == ("of the library", "warning")
    assert "ZeroDivisionError" in failure["exception"]


def test_people_read_lines() -> None:
    assert "started" in logged("console").splitlines()[0]
