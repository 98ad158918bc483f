"""Maps for searches: the three jobs run and committed in this process, without a layout worth looking at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurescape_jobs.engine.context import RunContext, open_input
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.live.requests import SearchSetup
from featurescape_jobs.run import JOBS, _commit
from featurescape_jobs.specs import parse_spec

IDS = {
    "features": "features-000000000001",
    "embedding": "embedding-000000000002",
    "tiles": "tiles-000000000003",
}


@dataclass(frozen=True)
class SearchedMap:
    """A map in a storage of its own."""

    storage: Storage

    @classmethod
    def at(cls, root: Path) -> SearchedMap:
        """What jobs have left in a folder."""
        return cls(Storage(str(root)))

    @property
    def setup(self) -> SearchSetup:
        return SearchSetup(
            map=IDS["tiles"],
            embedding=IDS["embedding"],
            features=IDS["features"],
            storage_root=self.storage.root,
            allowed_roots=None,
            threads=1,
        )

    def features(self, column: str) -> list[Any]:
        """A column of the features, in the order of the files, which is that of a map of examples."""
        return [
            value
            for table in open_input(self.storage, IDS["features"]).tables("features", [column])
            for value in table[column].to_pylist()
        ]

    @property
    def ids(self) -> list[str]:
        """Example ids in the order of the map's rows."""
        table = self.storage.read_table(f"jobs/{IDS['tiles']}/data/points.parquet", ["example_id"])
        return list(table["example_id"].to_pylist())


def searched_map(root: Path, features: dict[str, Any], **embedding: Any) -> SearchedMap:
    """The map of a features job; further fields are those of the embedding."""
    plain = {"iterations": 0, "early_exaggeration_iterations": 0, **embedding}
    for spec in (
        {"job": "features", **features},
        {"job": "embedding", "features": IDS["features"], **plain},
        {"job": "tiles", "embedding": IDS["embedding"], "color_layers": ["density"]},
    ):
        run_and_commit(root, spec)
    return SearchedMap.at(root)


def run_and_commit(root: Path, fields: dict[str, Any]) -> None:
    """Run one of the jobs under its id of `IDS`."""
    spec = parse_spec(fields)
    inputs = {name: fields[name] for name in ("features", "embedding") if name in fields}
    context = RunContext(Storage(str(root)), IDS[spec.job], 1, spec.seed, inputs)
    assert _commit(spec, context, JOBS[spec.job].run(spec, context)) is not None
