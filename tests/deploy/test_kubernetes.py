"""The manifests: rendered by Kustomize, validated by the schemas of Kubernetes, partly started."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from service.stream.store import Store, StoreOptions
from service.stream.topology import Topology, is_cluster
from tests.deploy.tools import DEPLOY, said
from tests.programs import program
from tests.system.processes import free_port, until

KUSTOMIZE = DEPLOY / "kustomize"
OVERLAYS = ("single-redis", "redis-cluster")
NODES = 6
Manifest = dict[str, Any]


def rendered(path: str) -> str:
    return said("kubectl", "kustomize", KUSTOMIZE / path)


def manifests(overlay: str) -> dict[tuple[str, str], Manifest]:
    """By kind and name."""
    found = list(yaml.safe_load_all(rendered(f"overlays/{overlay}")))
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def pods(found: dict[tuple[str, str], Manifest]) -> dict[str, Manifest]:
    return {
        name: one["spec"]["template"]["spec"]
        for (_, name), one in found.items()
        if "template" in one.get("spec", {})
    }


def test_every_manifest_is_valid(tmp_path: Path) -> None:
    for path in ("base", *(f"overlays/{overlay}" for overlay in OVERLAYS)):
        file = tmp_path / "rendered.yaml"
        file.write_text(rendered(path))
        said("kubernetes-validate", "--strict", file)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_runs_as_root_or_writes_to_its_image(overlay: str) -> None:
    found = pods(manifests(overlay))
    assert {"gaugewatch", "redis"} <= found.keys()
    for pod in found.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_service_is_set_up_by_settings_that_exist(overlay: str) -> None:
    pod = pods(manifests(overlay))["gaugewatch"]
    (container,) = pod["containers"]
    names = {one["name"] for one in container["env"]}
    known = {f"GAUGEWATCH_{name.upper()}" for name in Settings.model_fields}
    assert {"GAUGEWATCH_REDIS_URL", "GAUGEWATCH_API_KEYS"} <= names <= known
    assert pod["enableServiceLinks"] is False, "Kubernetes would set GAUGEWATCH_PORT"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_service_has_time_to_stop(overlay: str) -> None:
    pod = pods(manifests(overlay))["gaugewatch"]
    chosen = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    drain_seconds = float(chosen["GAUGEWATCH_DRAIN_SECONDS"] or 0)
    shutdown_seconds = Settings.model_fields["shutdown_seconds"].default
    assert pod["terminationGracePeriodSeconds"] > drain_seconds + shutdown_seconds


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_restarts_go_by_livez_and_traffic_by_readyz(overlay: str) -> None:
    (container,) = pods(manifests(overlay))["gaugewatch"]["containers"]
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert set(paths.values()) == {"/livez", "/readyz"}
    assert paths["readinessProbe"] == "/readyz"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_exactly_the_pods_they_mean(overlay: str) -> None:
    found = manifests(overlay)
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"].items()
        for (_, name), one in found.items()
        if "template" in one.get("spec", {})
    }
    for kind in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
        for (_, name), one in ((key, one) for key, one in found.items() if key[0] == kind):
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector).items()
            assert [pod for pod in labels if wanted <= labels[pod]] == [name], (kind, name)


def test_the_cluster_scales_by_load_and_survives_a_drain() -> None:
    found = manifests("redis-cluster")
    scaled = found["HorizontalPodAutoscaler", "gaugewatch"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "gaugewatch"
    assert "replicas" not in found["Deployment", "gaugewatch"]["spec"], "two would fight over it"
    assert scaled["minReplicas"] >= 2
    for name in ("gaugewatch", "redis"):
        assert found["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1
    assert found["StatefulSet", "redis"]["spec"]["replicas"] == NODES


def test_the_service_asks_the_cluster_by_nodes_that_exist() -> None:
    found = manifests("redis-cluster")
    (container,) = pods(found)["gaugewatch"]["containers"]
    (url,) = (one["value"] for one in container["env"] if one["name"] == "GAUGEWATCH_REDIS_URL")
    assert is_cluster(url)
    starts = Topology(url, StoreOptions().patience).starts
    assert len(set(starts)) > NODES // 2, "not all of them can be a primary and its only replica"
    assert set(starts) <= {(f"redis-{number}.redis", 6379) for number in range(NODES)}


def test_every_redis_is_configured_alike() -> None:
    own = (DEPLOY / "redis.conf").read_text("utf-8")
    assert (KUSTOMIZE / "overlays/single-redis/redis.conf").read_text("utf-8") == own
    assert (KUSTOMIZE / "overlays/redis-cluster/redis.conf").read_text("utf-8").startswith(own)


@contextmanager
def redis_node(folder: Path, configuration: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A node with a shipped configuration, on a port of its own."""
    folder.mkdir()
    port = free_port()
    own = folder / "redis.conf"
    own.write_text(configuration.read_text("utf-8").replace("/data", str(folder)))
    command = [program("redis-server"), str(own), "--port", str(port), "--bind", "127.0.0.1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield port, process
    finally:
        process.kill()
        process.wait()


def replicas_in_step(port: int) -> int:
    """Replicas that one node knows and that have copied everything."""
    listed = said("redis-cli", "-p", str(port), "cluster", "nodes").splitlines()
    words = [line.split() for line in listed]  # id, address, roles, ...
    ports = [one[1].split(":")[1].split("@")[0] for one in words if "slave" in one[2]]
    states = [said("redis-cli", "-p", one, "info", "replication") for one in ports]
    return sum("master_link_status:up" in state for state in states)


def is_served(port: int) -> bool:
    info = said("redis-cli", "-p", str(port), "cluster", "info")
    return "cluster_state:ok" in info and "cluster_slots_fail:0" in info


@pytest.mark.slow
def test_the_script_makes_a_cluster_that_outlives_a_primary(tmp_path: Path) -> None:
    folder = KUSTOMIZE / "overlays/redis-cluster"
    with ExitStack() as stack:
        started = [
            stack.enter_context(redis_node(tmp_path / str(n), folder / "redis.conf"))
            for n in range(NODES)
        ]
        nodes = [f"localhost:{port}" for port, _ in started]
        assert "16384 slots covered" in said("sh", folder / "create-cluster.sh", *nodes)
        assert "already" in said("sh", folder / "create-cluster.sh", *nodes)
        (last, _), (_, primary) = started[-1], started[0]
        until(lambda: replicas_in_step(last) == NODES // 2, "three replicas in step")
        until(lambda: is_served(last), "all slots to be served")
        store = stack.enter_context(closing(Store(f"redis+cluster://{','.join(nodes)}")))
        store.check()
        primary.kill()
        until(lambda: not is_served(last), "a primary to be missed")
        until(lambda: is_served(last), "its replica to take over")
        store.check()
        assert store.entity_count() == 0
