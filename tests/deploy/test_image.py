"""The image: built for real on a Debian base, and run by a user who may do and write nothing.

No registry is asked: the base image is made of Debian packages.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.deploy.monitoring import KEY
from tests.deploy.tools import DEPLOY, said
from tests.programs import program
from tests.system.processes import ROOT, RedisServer, free_port, status_of, until

PACKAGES: Final = "python3,python3-venv,python-is-python3"
PIP_OPTIONS: Final = frozenset({"index-url", "cert", "proxy", "trusted-host"})
UID: Final = 10_001


@dataclass(frozen=True)
class Image:
    """A built image, unpacked."""

    root: Path
    config: dict[str, Any]


def test_hadolint_has_nothing_to_say() -> None:
    assert said("hadolint", DEPLOY / "Dockerfile") == ""


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copies = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    assert ignored[1] == "*"
    assert kept == {name for line in copies for name in line.split()}


def test_the_image_can_record() -> None:
    """What `recording_directory` asks for is in it; the slow test below imports it."""
    assert " '.[parquet]' " in (DEPLOY / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once; it takes a minute or two and a gigabyte."""
    if os.geteuid() != 0:
        pytest.skip("NOT BUILT: building and running an image needs root here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            yield _built(folder)
        finally:
            _buildah(folder, "rm", "--all")
            _buildah(folder, "rmi", "--all", "--force")


def _buildah(folder: Path, *arguments: str | Path) -> str:
    store = ("--root", folder / "images", "--runroot", folder / "run")
    return said("buildah", *store, *arguments, seconds=600).strip()


def _built(folder: Path) -> Image:
    base, options = folder / "base.tar", folder / "pip.conf"
    said(
        "mmdebstrap",
        "--variant=minbase",
        "--dpkgopt=force-unsafe-io",
        f"--include={PACKAGES}",
        "bookworm",
        base,
        seconds=600,
    )
    options.write_text(_pip_options())
    empty = _buildah(folder, "from", "scratch")
    _buildah(folder, "add", empty, base, "/")
    _buildah(folder, "config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", empty)
    _buildah(folder, "commit", "--rm", empty, "localhost/base")
    base.unlink()
    chosen = ("--isolation", "chroot", "--format", "docker", "--file", DEPLOY / "Dockerfile")
    mounted = (
        "--volume",
        "/etc/ssl/certs:/etc/ssl/certs:ro",
        "--volume",
        f"{options}:/etc/pip.conf:ro",
    )
    argument = ("--build-arg", "BASE_IMAGE=localhost/base", "--tag", "localhost/gaugewatch")
    _buildah(folder, "bud", *chosen, *mounted, *argument, ROOT)
    container = _buildah(folder, "from", "localhost/gaugewatch")
    inspected = json.loads(_buildah(folder, "inspect", "--type", "image", "localhost/gaugewatch"))
    return Image(Path(_buildah(folder, "mount", container)), inspected["Docker"]["config"])


def _pip_options() -> str:
    """How pip reaches its index from here; the build has a configuration of its own."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = dict(re.findall(r"^[\w:]+\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    kept = [f"{name} = {value}" for name, value in found.items() if name in PIP_OPTIONS]
    return "\n".join(["[global]", *kept, ""])


@contextmanager
def container(image: Image, folder: Path, command: list[str], **settings: str) -> Iterator[str]:
    """Name of a container on our network: no capabilities, nothing to write to."""
    chosen = [f"GAUGEWATCH_{name.upper()}={value}" for name, value in settings.items()]
    nothing: dict[str, list[str]] = {key: [] for key in ("bounding", "effective", "permitted")}
    user, group = map(int, image.config["User"].split(":"))
    specification = {
        "ociVersion": "1.0.2",
        "root": {"path": str(image.root), "readonly": True},
        "process": {
            "user": {"uid": user, "gid": group},
            "cwd": image.config["WorkingDir"],
            "args": command,
            "env": image.config["Env"] + chosen,
            "noNewPrivileges": True,
            "capabilities": nothing,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {"namespaces": [{"type": one} for one in ("pid", "mount", "ipc", "uts")]},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(specification))
    name = f"gaugewatch-test-{os.getpid()}"
    own = [program("runc"), "--root", str(folder / "state")]
    with (folder / "log").open("wb") as log:
        run = [*own, "run", "--bundle", str(folder), name]
        process = subprocess.Popen(run, stdout=log, stderr=log)
    try:
        until(lambda: _is_running(folder, name) or process.poll() is not None, "a container")
        if process.returncode is not None:
            pytest.skip(f"NOT STARTED: {(folder / 'log').read_text()[-2_000:]}")
        yield name
        subprocess.run([*own, "kill", name, "TERM"], check=True)
        assert process.wait(30) == 0, (folder / "log").read_text()[-2_000:]
    finally:
        subprocess.run([*own, "delete", "--force", name], capture_output=True, check=False)
        process.wait()


def _is_running(folder: Path, name: str) -> bool:
    listed = said("runc", "--root", folder / "state", "list", "--format", "json")
    return any(one["id"] == name and one["status"] == "running" for one in json.loads(listed) or [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_serves_without_torch_root_or_a_writable_disk(
    image: Image, tmp_path: Path, redis_server: RedisServer
) -> None:
    assert image.config["User"] == f"{UID}:{UID}"
    port = free_port()
    command = [*image.config["Entrypoint"], *image.config["Cmd"], "--port", str(port)]
    settings = {"redis_url": redis_server.url, "api_keys": KEY}
    with container(image, tmp_path / "container", command, **settings) as name:
        inside = ("--root", tmp_path / "container" / "state", "exec", name)
        url = f"http://127.0.0.1:{port}"
        until(lambda: status_of(f"{url}/readyz") == 200, "the container to be ready")
        assert said("runc", *inside, "id", "-u") == f"{UID}\n"
        for code in ("import torch", "open('/srv/x', 'w')", "open('/var/lib/gaugewatch/x', 'w')"):
            with pytest.raises(AssertionError, match=r"ModuleNotFound|Read-only"):
                said("runc", *inside, "python", "-c", code)
        said("runc", *inside, "python", "-c", "import pyarrow.parquet")
        probe = [part.replace("8080", str(port)) for part in image.config["Healthcheck"]["Test"]]
        said("runc", *inside, *probe[1:])
        point = {"entity": "web-1", "timestamp_ms": 1_750_000_000_000, "values": {}}
        answer = httpx2.post(
            f"{url}/v1/points",
            json={"points": [point]},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
        ).raise_for_status()
    assert answer.json()["verdicts"][0]["status"] == "warming"
