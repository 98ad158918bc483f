"""Tiles a second: what the service gives sixteen viewers at once, over HTTP on this machine.

    python benchmarks/serving.py [--seconds 20] [--connections 16] [--controls]

Input: the map of scikit-learn's digits, made here without a cluster; the service is a process of its own.
The load is ``wrk`` (Debian's package), which asks for the next tile as soon as it has the last: ranges of the
archives, as the viewer reads them, and colored tiles, all of them warm. Printed are requests a second, the median
and the 95th percentile, and the service's memory before and after. wrk shares the cores. Other work on the
machine counts in full: the load is printed.

Gate, before anything is timed: every answer has the bytes that the archive has at its place, and every colored
tile those that are colored here from the archive's. Controls: a range one byte further, another colormap.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from machine import describe

from featurescape.server import colormaps
from featurescape.server.attempts import assign
from featurescape.server.jobstore import JobStore
from featurescape_jobs.artifacts import ColorLayerInfo, Manifest, MapInfo, job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader

ARCHIVE_BAR, ARCHIVE_P95_MS, COLORED_BAR = 800, 50, 300
COLORMAP, OTHER = "magma", "gray"
_LUA = """
local requests, at = {}, 0
init = function()
  for line in io.lines(os.getenv("REQUESTS")) do
    local path, range = line:match("^(%S+)%s?(.*)$")
    local headers = {["Host"] = wrk.headers["Host"]}
    if range ~= "" then headers["Range"] = range end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end
request = function() at = at % #requests + 1; return requests[at] end
done = function(summary, latency)
  io.write("RESULT " .. string.format('{"requests": %d, "microseconds": %d, "p50": %d, "p95": %d, "bad": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95),
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect) .. "\\n")
end
"""


@dataclass(frozen=True)
class Request:
    """Request of a tile, and the bytes that answer it."""

    path: str
    expected: bytes
    range: str = ""


def main() -> int:
    """Check, load, print; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=20, help="of each load")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--controls", action="store_true", help="only the gate")
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    if not options.controls and shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        manifest = digits_map(folder)
        storage = Storage(folder)
        archive = archive_requests(storage, manifest)
        colored = colored_requests(storage, manifest)
        with running(folder) as (url, pid):
            if not gate(url, archive, colored):
                return 1
            if options.controls:
                return 0
            return measure(url, pid, {"archive tiles": archive, "colored tiles": colored}, options)


# -- the map -----------------------------------------------------------------------------------


def digits_map(folder: str) -> Manifest:
    """The map of the digits, made in this process and recorded as a service records it."""
    storage, store = Storage(folder), JobStore(Path(folder) / "service" / "jobs.db")
    model = {"name": "lenet", "weights": "random"}
    spec: dict[str, object] = {"job": "features", "dataset": {"name": "digits"}, "model": model}
    for following in ("embedding", "tiles", None):
        record = store.claim(store.create(parse_spec(spec)))
        assert record is not None
        assign(storage, record, record.attempt, (), 1)
        manifest = execute(storage, record.id, record.attempt)
        assert manifest is not None
        store.succeed(record, manifest.rows, manifest.error_rows)
        if following is not None:
            spec = {"job": following, record.job: record.id}
    store.close()
    return manifest


def layers(manifest: Manifest) -> Iterator[tuple[ColorLayerInfo, str]]:
    """The layers of a map, with the path of their archive in the storage."""
    for layer in MapInfo.model_validate(manifest.details["map"]).layers:
        yield layer, f"{job_dir(manifest.job_id)}/{layer.path}"


def places(layer: ColorLayerInfo) -> Iterator[tuple[int, int, int]]:
    """All tiles (z, x, y) of a layer."""
    for z in range(layer.min_zoom, layer.max_zoom + 1):
        yield from ((z, x, y) for x in range(1 << z) for y in range(1 << z))


def archive_requests(storage: Storage, manifest: Manifest) -> list[Request]:
    """The range of every tile that is there, as the viewer asks for it."""
    found = []
    for layer, path in layers(manifest):
        whole, reader = storage.read(path), ArchiveReader(storage, path)
        address = f"/v1/jobs/{manifest.job_id}/files/{layer.path}"
        for place in places(layer):
            tile = reader.get(*place)
            if tile:
                start = whole.index(tile)
                found.append(Request(address, tile, f"bytes={start}-{start + len(tile) - 1}"))
    return found


def colored_requests(storage: Storage, manifest: Manifest) -> list[Request]:
    """Every density tile in a colormap."""
    layer, path = next(each for each in layers(manifest) if each[0].legend.kind == "density")
    reader = ArchiveReader(storage, path)
    found = []
    for z, x, y in places(layer):
        tile = reader.get(z, x, y)
        if tile:
            address = f"/v1/maps/{manifest.job_id}/tiles/{layer.name}/{z}/{x}/{y}.png"
            expected = colored(tile, layer, z, COLORMAP)
            found.append(Request(f"{address}?colormap={COLORMAP}", expected))
    return found


def colored(tile: bytes, layer: ColorLayerInfo, z: int, colormap: str) -> bytes:
    counts = colormaps.decode(tile)
    return colormaps.encode(colormaps.color_density(counts, layer.legend.count_max[z], colormap))


# -- the service -------------------------------------------------------------------------------


def serve(folder: str) -> int:
    """Serve a storage without a cluster until the process is ended; the address goes to stdout."""
    from featurescape.server.embedded import EmbeddedService
    from featurescape.server.runner import RunnerUnavailableError
    from featurescape.server.settings import Settings

    class Nobody:
        """A runner for a service whose jobs have all ended."""

        def connect(self) -> bool:
            raise RunnerUnavailableError("no cluster")

        def access(self) -> None:
            raise RunnerUnavailableError("no cluster")

        def close(self) -> bool:
            return False

    with EmbeddedService(Settings(storage=folder, port=0), Nobody()) as service:  # type: ignore[arg-type]
        print(service.url, flush=True)
        sys.stdin.read()
    return 0


@contextmanager
def running(folder: str) -> Iterator[tuple[str, int]]:
    """Address and process of a service on the storage."""
    command = [sys.executable, __file__, "--serve", folder]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None  # noqa: PT018
        yield process.stdout.readline().strip(), process.pid
        process.stdin.close()


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- gate and load -----------------------------------------------------------------------------


def gate(url: str, archive: list[Request], colored: list[Request]) -> bool:
    """True if all answers have the bytes that they must have, and the controls have not."""
    with httpx.Client(base_url=url, timeout=60) as http:
        right = all(is_right(http, each) for each in (*archive, *colored))
        first, last = (int(part) for part in archive[-1].range[6:].split("-"))
        further = Request(archive[-1].path, archive[-1].expected, f"bytes={first - 1}-{last - 1}")
        other = Request(colored[0].path.replace(COLORMAP, OTHER), colored[0].expected)
        passing = [name for name, each in {"a byte further": further, "another colormap": other}.items()
                   if is_right(http, each)]  # fmt: skip
    print(
        f"gate: {len(archive)} archive tiles and {len(colored)} colored tiles, bytes equal: {right}"
    )
    print(f"controls that pass: {', '.join(passing) or 'none'}", flush=True)
    return right and not passing


def is_right(http: httpx.Client, request: Request) -> bool:
    """True if the answer has the expected bytes."""
    answer = http.get(request.path, headers={"Range": request.range} if request.range else {})
    return answer.is_success and answer.content == request.expected


def measure(
    url: str, pid: int, loads: dict[str, list[Request]], options: argparse.Namespace
) -> int:
    """Load the service with each; the exit status says whether the bars are met."""
    before, load = resident_mb(pid), os.getloadavg()
    print(f"{'':<14} {'a second':>9} {'p50, ms':>8} {'p95, ms':>8} {'bad':>4}")
    met = True
    for name, requests in loads.items():
        result = wrk(url, requests, options)
        speed = 1e6 * result["requests"] / result["microseconds"]
        p50, p95 = result["p50"] / 1000, result["p95"] / 1000
        print(f"{name:<14} {speed:9.0f} {p50:8.1f} {p95:8.1f} {result['bad']:4}", flush=True)
        bar = COLORED_BAR if name.startswith("colored") else ARCHIVE_BAR
        late = name.startswith("archive") and p95 > ARCHIVE_P95_MS
        met = met and speed >= bar and not late and not result["bad"]
    print(f"memory of the service: {before:.0f} MB before, {resident_mb(pid):.0f} MB after")
    print(
        f"bars ({ARCHIVE_BAR} and {COLORED_BAR} a second, p95 {ARCHIVE_P95_MS} ms): {'met' if met else 'missed'}"
    )
    print(describe(1, load))
    return 0 if met else 1


def wrk(url: str, requests: list[Request], options: argparse.Namespace) -> dict[str, int]:
    """Counts and latencies of a load, after a short one that warms."""
    with tempfile.TemporaryDirectory() as folder:
        script, listed = Path(folder) / "load.lua", Path(folder) / "requests"
        script.write_text(_LUA)
        listed.write_text("".join(f"{each.path} {each.range}\n" for each in requests))
        command = ["wrk", "-t1", f"-c{options.connections}", "-s", str(script)]
        environment = {**os.environ, "REQUESTS": str(listed)}
        for seconds in (2, options.seconds):
            out = subprocess.run(
                [*command, f"-d{seconds}s", url],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            time.sleep(0.2)
    line = next(each for each in out.splitlines() if each.startswith("RESULT "))
    found: dict[str, int] = json.loads(line.removeprefix("RESULT "))
    return found


if __name__ == "__main__":
    sys.exit(main())
