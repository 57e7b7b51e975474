"""A real Prometheus and a real Alertmanager, on the files in deploy/; a webhook that they tell."""

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.tools import DEPLOY
from tests.programs import program
from tests.system.processes import Service, answer_of, free_port

KEY: Final = "deployment-test-key"
SCRAPE_SECONDS: Final = 0.5


def shipped(path: str) -> Any:
    """A file of deploy/, decoded."""
    return yaml.safe_load((DEPLOY / path).read_text("utf-8"))


def prometheus_config(services: Sequence[Service], folder: Path, *, alertmanager: str) -> Path:
    """deploy/prometheus.yml, but faster, and with our addresses and key."""
    (folder / "key").write_text(KEY)
    config = shipped("prometheus.yml")
    every = f"{SCRAPE_SECONDS * 1000:.0f}ms"
    config["global"] = {"scrape_interval": every, "scrape_timeout": every}
    config["global"]["evaluation_interval"] = every
    config["rule_files"] = [str(DEPLOY / path) for path in config["rule_files"]]
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    alertmanagers["static_configs"] = [{"targets": [alertmanager]}]
    (scrape,) = config["scrape_configs"]
    del scrape["dns_sd_configs"]
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{one.port}" for one in services]}]
    scrape["authorization"]["credentials_file"] = str(folder / "key")
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    return folder / "prometheus.yml"


def alertmanager_config(folder: Path, *, webhook: str) -> Path:
    """deploy/alertmanager.yml, but at once, and telling our webhook."""
    config = shipped("alertmanager.yml")
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    (receiver,) = config["receivers"]
    receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    return folder / "alertmanager.yml"


@contextmanager
def running(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """A server that is killed in the end."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program(name), *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def prometheus(
    services: Sequence[Service], folder: Path, *, alertmanager: str = "127.0.0.1:9"
) -> Iterator[str]:
    """The address of a Prometheus that scrapes the services."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    config = prometheus_config(services, folder, alertmanager=alertmanager)
    options = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}")
    with running(folder, "prometheus", *options, f"--web.listen-address={address}"):
        yield f"http://{address}"


@contextmanager
def alertmanager(folder: Path, *, webhook: str) -> Iterator[str]:
    """The address (host:port) of an Alertmanager that tells the webhook."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    config = alertmanager_config(folder, webhook=webhook)
    options = (f"--config.file={config}", f"--storage.path={folder / 'data'}")
    single = (f"--web.listen-address={address}", "--cluster.listen-address=")
    with running(folder, "prometheus-alertmanager", *options, *single):
        yield address


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a receiver, and the messages it has got so far."""
    messages: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            messages.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", messages
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def found(address: str, query: str) -> list[dict[str, Any]]:
    """What an instant query finds now; nothing while the server is still starting."""
    answer = answer_of(f"{address}/api/v1/query", query=query)
    if answer is None:
        return []
    assert answer.status_code in (200, 503), answer.text
    return answer.json()["data"]["result"] if answer.status_code == 200 else []
