"""Places: a URL with several hosts, and the URL of each server that they lead to."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from service.errors import SettingInvalid

_FORM: Final = "expected host:port,host:port in the URL of Redis"


class Places:
    """The hosts that a URL names; user, password and options are those of every server."""

    def __init__(self, url: str, *, default_port: int) -> None:
        """Raises SettingInvalid."""
        parts = urlsplit(url)
        self.scheme = parts.scheme.partition("+")[0]
        self._user, at, hosts = parts.netloc.rpartition("@")
        self._user += at
        self.path, self.query = parts.path, parts.query
        self.hosts = [_host_and_port(host, default_port) for host in hosts.split(",")]

    def url_at(self, host: str, port: int, path: str = "") -> str:
        """URL of one server."""
        return urlunsplit((self.scheme, self._user + netloc(host, port), path, self.query, ""))


def netloc(host: str, port: int) -> str:
    """As a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_and_port(place: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place.strip()}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise SettingInvalid(_FORM)
    return host, port or default_port
