"""Settings of the service, read from ``FEATURESCAPE_*``; units are in the names.

The client needs none of this: it knows ``FEATURESCAPE_URL`` and ``FEATURESCAPE_TOKEN`` only.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from featurescape.data_home import data_home
from featurescape_jobs.registry import plugins

_CLIENT_VARIABLES = {"FEATURESCAPE_URL"}
_SHARED_DATA = ("/usr/share/datasets", "/usr/share/tuxpaint")
_MIN_TOKEN_CHARACTERS = 16

Names = Annotated[tuple[str, ...], NoDecode]
"""Several values; in the environment separated by commas."""


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """Settings of the operator. Every field is also ``FEATURESCAPE_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="FEATURESCAPE_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    storage: str = Field(
        default_factory=lambda: str(data_home()),
        min_length=1,
        description="Folder or `s3://bucket/prefix` with everything that jobs leave behind. With a "
        "cluster it must be the same for all machines. S3 credentials come from AWS_* variables.",
    )
    database: Path | None = Field(
        default=None,
        description="SQLite file of the job record; on a disk of this machine, not a network one. "
        "None: `service/jobs.db` inside a local storage, else inside the data folder of the user.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on. Any other than this machine's own needs a token.",
    )
    port: int = Field(default=8090, ge=0, le=65535, description="TCP port; 0: any free one.")
    token: SecretStr | None = Field(
        default=None,
        description="Who knows it may do everything. At least 16 characters. None: no login, which "
        "is only allowed while the service listens on this machine alone.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Names under which browsers and clients may call (the Host header, without the "
        "port), besides this machine's own; `*`: any. Guards against DNS rebinding.",
    )
    allowed_roots: Names = Field(
        default=(),
        description="Folders and `s3://bucket/prefix` below which datasets and weights may lie. "
        "None given: on a service for this machine alone, the home and the working folder, the "
        "temporary folder and /usr/share/datasets, /usr/share/tuxpaint; else nothing.",
    )
    plugins: Names = Field(
        default=(),
        description="Installed packages whose datasets, models, color layers and jobs are added, as "
        "`furniture-captions`, or one entry point, `furniture-captions:furniture`. No other package is loaded. "
        "Only in the environment; every machine of a cluster must have them.",
    )
    frame_ancestors: Names = Field(
        default=("'self'", "http://localhost:*", "http://127.0.0.1:*"),
        description="Pages that may embed the viewer (CSP frame-ancestors): notebooks.",
    )
    max_body_bytes: int = Field(
        default=1_000_000, ge=1000, le=100_000_000, description="Largest request body, in bytes."
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Connections that may be open at once. With more, the one that has kept the service "
        "waiting for longest is closed; a new one gets 503 where all are being answered. Less where the "
        "process may not open so many files.",
    )
    head_seconds: float = Field(
        default=10, gt=0, description="Within so long the head of a request has to be there."
    )
    body_seconds: float = Field(
        default=30, gt=0, description="Within so long the next piece of a body has to come."
    )
    ray_address: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/@]+$",
        description="Dashboard of a Ray cluster, as `http://ray-head:8265`. None: a local Ray, "
        "started in a process of its own. RAY_AUTH_TOKEN is sent along where it is set.",
    )
    ray_client_address: str | None = Field(
        default=None,
        pattern=r"^ray://[^\s/@]+$",
        description="Where the cluster's Ray client server listens, for the live page, as "
        "`ray://ray-head:10001`. None: port 10001 of the host in `ray_address`.",
    )
    ray_cpus: int | None = Field(
        default=None,
        ge=1,
        description="CPUs of the local Ray; none: all that this process may use.",
    )
    ray_object_store_bytes: int = Field(
        default=1_000_000_000,
        ge=100_000_000,
        description="Shared memory of the local Ray, in bytes; at most 30 % of the machine's.",
    )
    ray_start_seconds: float = Field(
        default=90, gt=0, description="How long the local Ray may take to start."
    )
    ray_call_seconds: float = Field(
        default=5, gt=0, description="How long one call of Ray's API may take."
    )
    driver_cpus: int | None = Field(
        default=None,
        ge=1,
        description="CPUs that the driver of a job (training, embedding, tiles) gets at most; none:"
        " 2 on a cluster, locally an even share of the machine. On a cluster one node must have "
        "as many, or the job waits for ever.",
    )
    max_running_jobs: int | None = Field(
        default=None, ge=1, description="Jobs that run at once; none: 1 locally, 8 on a cluster."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a job is started whose process got lost."
    )
    lease_seconds: float = Field(
        default=300,
        ge=90,
        description="A running job without a sign of life for so long counts as lost. A driver that "
        "cannot give one ends itself after 60 seconds.",
    )
    poll_seconds: float = Field(
        default=0.5, gt=0, le=60, description="How often running jobs are looked after."
    )
    round_seconds: float = Field(
        default=120,
        gt=0,
        description="Where looking after the jobs once takes longer, /readyz says `unready`, and after "
        "three times as long /livez answers 503. The start of a local Ray has its own time on top.",
    )
    stop_seconds: float = Field(
        default=7, gt=0, description="A job that was told to stop is STOPPED after so long at most."
    )

    live_networks: int = Field(
        default=2,
        ge=0,
        le=100,
        description="Networks that the live page, and maps that searches, keep at once; 0: none.",
    )
    live_idle_seconds: float = Field(
        default=300, gt=0, description="A live network that nobody asks for so long is released."
    )
    live_start_seconds: float = Field(
        default=120, gt=0, description="How long a live network may take to start."
    )
    live_call_seconds: float = Field(
        default=30, gt=0, description="How long one answer of a live network may take."
    )
    live_cpus: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of a live network. A cluster reserves as many CPUs for it; the local "
        "Ray none, there it runs beside the jobs. None: 1 on a cluster, locally up to 4.",
    )
    live_gpus: float = Field(
        default=0, ge=0, le=1, description="Share of a GPU that a live network takes; 0: none."
    )
    live_image_bytes: int = Field(
        default=25_000_000,
        ge=1000,
        le=250_000_000,
        description="Largest image that the live page takes, in bytes.",
    )

    find_bytes: int = Field(
        default=8 << 30,
        ge=0,
        description="Disk that the indexes of maps may take in which words and numbers are found, beside the job "
        "record; those that were used least lately go first.",
    )

    @field_validator("allowed_hosts", "allowed_roots", "plugins", "frame_ancestors", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("storage")
    @classmethod
    def _storage_kind(cls, value: str) -> str:
        if "://" in value and not value.startswith("s3://"):
            raise ValueError("a folder or s3://bucket/prefix")
        return value if "://" in value else str(Path(value).expanduser().resolve())

    @field_validator("database")
    @classmethod
    def _sqlite_file(cls, value: Path | None) -> Path | None:
        if value is not None and ":/" in str(value):
            raise ValueError("the path of an SQLite file, not a URL")
        return None if value is None else value.expanduser().resolve()

    @field_validator("plugins")
    @classmethod
    def _as_in_the_environment(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if tuple(dict.fromkeys(value)) != plugins.named():
            raise ValueError(
                f"set {plugins.VARIABLE} before the process starts; it is for all of it"
            )
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Settings:
        token = self.token.get_secret_value() if self.token else ""
        if not is_loopback(self.host) and not token:
            raise ValueError(
                f"host {self.host} can be reached from other machines: set FEATURESCAPE_TOKEN too"
            )
        if self.token and len(token) < _MIN_TOKEN_CHARACTERS:
            raise ValueError(f"token: at least {_MIN_TOKEN_CHARACTERS} characters")
        return self

    @property
    def embedded(self) -> bool:
        """True if jobs run on a local Ray of this service."""
        return self.ray_address is None

    @property
    def database_path(self) -> Path:
        """The SQLite file; the lock and the note about the local Ray lie beside it."""
        if self.database is not None:
            return self.database
        base = Path(self.storage) if "://" not in self.storage else data_home()
        return base / "service" / "jobs.db"

    @property
    def roots(self) -> tuple[str, ...]:
        """Roots that datasets and weights may be read from."""
        if self.allowed_roots or not (self.embedded and is_loopback(self.host)):
            return self.allowed_roots
        own = (str(Path.home()), str(Path.cwd()), tempfile.gettempdir(), *_SHARED_DATA)
        return tuple(dict.fromkeys(root for root in own if root != "/"))

    @property
    def hosts(self) -> frozenset[str]:
        """Host names, in lower case, that a request may be addressed to."""
        own = ["localhost", "127.0.0.1", "::1", self.host.strip("[]")]
        if not is_loopback(self.host):
            own.append(socket.gethostname())
        return frozenset(name.lower() for name in (*own, *self.allowed_hosts))

    @property
    def round_limit_seconds(self) -> float:
        """Seconds that the scheduler may take to look after all jobs once."""
        return self.round_seconds + (self.ray_start_seconds if self.embedded else 0.0)

    @property
    def running_cap(self) -> int:
        """Jobs that run at once."""
        return self.max_running_jobs or (1 if self.embedded else 8)

    @property
    def driver_cap(self) -> int:
        """CPU threads that a driver uses at most."""
        return self.driver_cpus or (max(1, self.cpus // self.running_cap) if self.embedded else 2)

    @property
    def live_threads(self) -> int:
        """CPU threads of a live network."""
        return self.live_cpus or (min(4, self.cpus) if self.embedded else 1)

    @property
    def cpus(self) -> int:
        """CPUs of the local Ray."""
        if self.ray_cpus is not None:
            return self.ray_cpus
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1


def unknown_variables() -> list[str]:
    """Variables in the environment that look like settings and are none: typing errors."""
    known = {f"FEATURESCAPE_{name.upper()}" for name in Settings.model_fields} | _CLIENT_VARIABLES
    return sorted(v for v in os.environ if v.startswith("FEATURESCAPE_") and v not in known)
