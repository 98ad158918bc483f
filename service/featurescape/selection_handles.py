"""Handle of a selection: points of a map, by a query or by the name that they are saved under."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurescape import selecting
from featurescape.selecting import Copies, Query, State
from featurescape.transport import Transport
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import DatasetSpec

if TYPE_CHECKING:
    import pyarrow as pa


class Selection:
    """Points of a map; ``|``, ``&``, ``-`` and ``~`` of selections are selections.

    Nothing is fetched before it is asked for.
    """

    def __init__(
        self, transport: Transport, map_id: str, query: Query, state: State | None = None
    ) -> None:
        self._transport = transport
        self.map_id = map_id
        self.query = query
        """As the service takes it."""
        self._state = state

    @property
    def name(self) -> str | None:
        """The name that it is saved under; None: it is not."""
        return None if self._state is None else str(self._state["name"])

    def count(self) -> int:
        """Points of it; of a saved one as they were when it was saved."""
        found = self._state if self._state is not None else self.summary()
        return int(found["count"])

    def summary(self) -> dict[str, Any]:
        """Counts per class, numbers, most frequent values, rows of the most central and the outermost."""
        return self._transport.run(selecting.summary(self.map_id, self.query))

    def save(self, name: str, *, replace: bool = False) -> Selection:
        """Save it under a name: its rows stay as they are now. Returns the selection of that name.

        Raises:
            ConflictError: there is one of that name, and ``replace`` is not said.
            SpecError: it has no points, or that can be no name.
        """
        steps = selecting.save(self.map_id, name, self.query, replace=replace)
        return self._saved(self._transport.run(steps))

    def rename(self, name: str) -> Selection:
        """Give it another name, where it is saved; returns the selection of that name."""
        return self._saved(self._transport.run(selecting.rename(self.map_id, self._known(), name)))

    def delete(self) -> None:
        """Delete the name; jobs that have it as their dataset keep its rows."""
        self._transport.run(selecting.remove(self.map_id, self._known()))

    def table(self) -> pa.Table:
        """Its rows: row, id, label, label_name, x, y, locator and every typed attribute; in memory."""
        return self._transport.run(selecting.table(self.map_id, self.query))

    def ids(self) -> list[str]:
        """Ids of its examples, in the order of the map."""
        return [str(name) for name in self.table()["id"].to_pylist()]

    def to_csv(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write its rows as CSV, in which no cell is a formula; returns the path."""
        steps = selecting.export(self.map_id, self.query, path, "csv", overwrite=overwrite)
        return self._transport.run(steps)

    def to_parquet(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write its rows as Parquet; returns the path."""
        steps = selecting.export(self.map_id, self.query, path, "parquet", overwrite=overwrite)
        return self._transport.run(steps)

    def to_dataset(self) -> DatasetSpec:
        """The dataset of a job that reads exactly its examples, in the order of the map.

        Raises:
            SpecError: it is not saved, or its points are no examples of a dataset.
        """
        self._known()
        assert self._state is not None
        return selecting.dataset_of(self._state)

    def copy_to(self, folder: str | Path, *, links: bool = False) -> list[Path]:
        """Write its images into a new folder, in one of each class; returns their paths.

        Args:
            folder: that is not there, or empty.
            links: whether they are links to the files of the dataset, which are on this machine then. Copies are
                of these files where they are here, else images as the service encodes them.

        Raises:
            RequestError: the folder is not empty, or an image has no file to link to.
        """
        copies = Copies(self.map_id, Path(folder).expanduser(), links)
        return self._transport.run(copies.make(self.query))

    def __or__(self, other: Selection) -> Selection:
        return self._with("union", other)

    def __and__(self, other: Selection) -> Selection:
        return self._with("intersection", other)

    def __sub__(self, other: Selection) -> Selection:
        return self._with("minus", other)

    def __invert__(self) -> Selection:
        return Selection(self._transport, self.map_id, {"invert": self.query})

    def __repr__(self) -> str:
        return selecting.described(self.map_id, self.query, self._state)

    def _with(self, how: str, other: Selection) -> Selection:
        selecting.check_same_map(self.map_id, other.map_id)
        return Selection(self._transport, self.map_id, {how: [self.query, other.query]})

    def _saved(self, state: State) -> Selection:
        return Selection(self._transport, self.map_id, {"saved": state["name"]}, state)

    def _known(self) -> str:
        if self.name is None:
            raise SpecError("name: this selection is not saved; save it first", field="name")
        return self.name
