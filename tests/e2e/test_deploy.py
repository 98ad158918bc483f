"""The deployment files: their structure, and each container's command run as a process."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from featurescape.client import Client
from featurescape.server.settings import Settings
from featurescape_jobs.errors import AuthenticationError
from helpers.free_ports import free_port

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
NODES = ("api", "ray-head", "ray-worker")
STATE = "/var/lib/featurescape"
GIVEN = {"FEATURESCAPE_TOKEN": secrets.token_hex(16)}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image",
    "init", "ports", "read_only", "restart", "secrets", "security_opt", "shm_size",
    "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
HEALTHCHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
DURATION = re.compile(r"\d+(ms|s|m|h)")

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolate(value: Any, variables: dict[str, str]) -> Any:
    """``${NAME:-default}`` and ``${NAME:?message}`` in all strings, as compose does it."""
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, operator, argument = match.groups()
        if variables.get(name):
            return variables[name]
        if operator == "?":
            raise KeyError(f"{name}: {argument}")
        return argument or ""

    return _VARIABLE.sub(replace, value)


def compose(variables: dict[str, str] | None = None) -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE_FILE.read_text())
    found: dict[str, Any] = interpolate(loaded, GIVEN if variables is None else variables)
    return found


# -- structure ---------------------------------------------------------------------------------


def test_compose_names_the_services_secrets_and_volumes_that_it_uses() -> None:
    found = compose()
    assert set(found["services"]) == set(NODES)
    for name, service in found["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service["secrets"]) <= set(found["secrets"])
        named = {v["source"] for v in service["volumes"] if v["type"] == "volume" and "source" in v}
        assert named <= set(found["volumes"])
        for other, condition in service.get("depends_on", {}).items():
            assert other in found["services"]
            assert condition == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", NODES)
def test_every_container_is_healthchecked_restarted_and_confined(name: str) -> None:
    service = compose()["services"][name]
    check = service["healthcheck"]
    assert set(check) == HEALTHCHECK_KEYS
    assert check["test"][0] == "CMD"
    assert all(DURATION.fullmatch(check[key]) for key in ("interval", "timeout", "start_period"))
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["image"].endswith(":latest")


def test_only_the_api_has_a_port_and_only_on_this_machine() -> None:
    services = compose()["services"]
    assert [name for name in NODES if "ports" in services[name]] == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])


def test_there_is_no_default_token() -> None:
    with pytest.raises(KeyError, match="FEATURESCAPE_TOKEN"):
        compose({})
    found = compose()
    assert found["secrets"] == {"ray_token": {"file": "./deploy/secrets/ray_token"}}
    for name in NODES:
        environment = found["services"][name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert ("FEATURESCAPE_TOKEN" in environment) == (name == "api")


def test_the_settings_of_the_api_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = compose()["services"]["api"]["environment"]
    settings = {k: v for k, v in environment.items() if k.startswith("FEATURESCAPE_")}
    known = {f"FEATURESCAPE_{name.upper()}" for name in Settings.model_fields}
    assert set(settings) <= known
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    parsed = Settings()
    assert parsed.ray_address == "http://ray-head:8265"
    assert parsed.roots == ("/data",)
    assert {"localhost", "127.0.0.1"} <= parsed.hosts


def test_workers_have_shared_memory_for_their_object_store() -> None:
    for name in ("ray-head", "ray-worker"):
        service = compose()["services"][name]
        stores = [a for a in service["command"] if a.startswith("--object-store-memory=")]
        store_bytes = int(stores[0].partition("=")[2])
        unit = {"mb": 1 << 20, "gb": 1 << 30}[service["shm_size"][-2:]]
        assert store_bytes < int(service["shm_size"][:-2]) * unit
    assert (
        interpolate("${RAY_WORKERS:-2}", {})
        == compose()["services"]["ray-worker"]["deploy"]["replicas"]
    )


def test_all_containers_see_the_same_storage_at_the_same_place() -> None:
    for name in NODES:
        targets = {v.get("source"): v["target"] for v in compose()["services"][name]["volumes"]}
        assert targets["storage"] == f"{STATE}/storage"


def test_the_dockerfile_pins_its_bases_and_runs_without_root() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(bases) == 3
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)


def test_the_dockerfile_leaves_the_choice_of_a_package_index_to_pip() -> None:
    text = DOCKERFILE.read_text().lower()
    assert "index" not in text
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)


def test_everything_that_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    kept = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source.split('/')[0]}" in kept, source


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="NAME: say it"):
        interpolate({"a": ["${NAME:?say it}"]}, {})
    assert interpolate("${A:-x}-${B}", {"B": "b"}) == "x-b"


# -- the commands, as processes ----------------------------------------------------------------


@dataclass
class Machine:
    """This machine in the place of all containers: their hosts, ports and paths are replaced."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.token = secrets.token_hex(32)
        token_file = self.folder / "ray_token"
        token_file.touch(mode=0o600)
        token_file.write_text(self.token)
        ports = [free_port() for _ in range(6)]
        self.shared = {
            "6379": ports[0],
            "8265": ports[1],
            "8090": ports[2],
            "10001": ports[5],
            "ray-head": "127.0.0.1",
            "0.0.0.0": "127.0.0.1",
            "/run/secrets/ray_token": str(token_file),
            STATE: str(self.folder / "state"),
            "/tmp/ray": str(self.folder / "r"),
        }
        self.agents = {"ray-head": ports[3], "ray-worker": ports[4], "api": ""}

    def here(self, name: str, text: str) -> str:
        substitutes = {**self.shared, "52365": self.agents[name]}
        pattern = "|".join(re.escape(there) for there in substitutes)
        return re.sub(pattern, lambda match: str(substitutes[match[0]]), text)

    def environment(self, name: str, service: dict[str, Any]) -> dict[str, str]:
        given = {k: self.here(name, v) for k, v in service["environment"].items() if v is not None}
        bin_folder = str(Path(sys.executable).parent)
        path = os.pathsep.join([bin_folder, os.environ["PATH"]])
        home = str(self.folder)
        return {"PATH": path, "HOME": home, "RAY_USAGE_STATS_ENABLED": "0", **given}

    def start(self, name: str, service: dict[str, Any]) -> None:
        """Run the container's command until its health check passes."""
        environment = self.environment(name, service)
        with (self.folder / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                [self.here(name, part) for part in service["command"]],
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        check = [self.here(name, part) for part in service["healthcheck"]["test"][1:]]
        deadline = time.monotonic() + 120
        while subprocess.run(check, env=environment, capture_output=True).returncode != 0:
            log = (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]
            assert process.poll() is None, f"{name} ended:\n{log}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{log}"
            time.sleep(0.3)

    def stop(self) -> None:
        """End what was started, the last first, with all children."""
        for process in reversed(self.processes):
            tree = [psutil.Process(process.pid)] if process.poll() is None else []
            tree += [child for each in tree for child in each.children(recursive=True)]
            process.terminate()
            _, alive = psutil.wait_procs(tree, timeout=20)
            for each in alive:
                each.kill()
            process.wait()


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Not tmp_path: Ray's sockets lie below this folder, and a socket's path has few characters.
    folder = Path(tempfile.mkdtemp(prefix="fs-deploy-", dir="/tmp"))
    found = Machine(folder)
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_the_containers_commands_make_a_cluster_that_runs_jobs(machine: Machine) -> None:
    services = compose()["services"]
    for name in ("ray-head", "ray-worker", "api"):
        machine.start(name, services[name])
    url = machine.here("api", "http://127.0.0.1:8090")
    with (
        Client(url, "a token that is not the right one") as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.jobs()
    dashboard = machine.here("api", "http://127.0.0.1:8265/api/jobs/")
    assert httpx.get(dashboard, trust_env=False).status_code == 401
    with Client(url, GIVEN["FEATURESCAPE_TOKEN"]) as client:
        features = client.submit(
            {
                "job": "features",
                "dataset": {"name": "digits", "limit": 300},
                "model": {"name": "lenet", "weights": "random"},
            }
        )
        # The driver of an embedding takes CPUs: it runs on the worker, not on the head.
        embedding = client.submit(
            {
                "job": "embedding",
                "features": features.id,
                "early_exaggeration_iterations": 10,
                "iterations": 10,
            }
        )
        features.wait(150, show=False)
        embedding.wait(150, show=False)
        assert (features.rows, features.error_rows, embedding.rows) == (300, 0, 300)
        assert embedding.artifact().table("embedding").column_names == [
            "example_id",
            "label",
            "x",
            "y",
        ]
