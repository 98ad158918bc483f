"""Names of classes where a format has none: a file beside IDX files, or names that come with a request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, SpecError
from featurescape_jobs.specs import DatasetSpec, parse_spec
from featurescape_jobs.specs.class_names import named_classes, read_class_names


def write_idx(path: Path, values: np.ndarray) -> None:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in values.shape)
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def collection(root: Path, names: bytes | None = None) -> tuple[str, ...]:
    """Classes of four images with the labels 0, 1, 2, 1, and a file of names beside them."""
    write_idx(root / "train-images-idx3-ubyte", np.zeros((4, 2, 2)))
    write_idx(root / "train-labels-idx1-ubyte", np.array([0, 1, 2, 1]))
    if names is not None:
        (root / "classes.txt").write_bytes(names)
    listing = DATASETS["mnist"].freeze(DatasetSpec(name="mnist", root=str(root), split="train"))
    assert [entry.label for entry in listing.entries] == [0, 1, 2, 1]
    assert listing.passed_over.record().files == 0
    return tuple(listing.classes)


def test_classes_txt_beside_idx_files_names_the_classes(tmp_path: Path) -> None:
    assert collection(tmp_path) == ("0", "1", "2")
    assert collection(tmp_path, "\ufeffcat\r\n красная  лиса \r\n<b>犬\n".encode()) == (
        "cat",
        "красная  лиса",
        "<b>犬",
    )


def test_more_names_than_labels_are_classes_without_examples(tmp_path: Path) -> None:
    assert collection(tmp_path, b"a\nb\nc\nd") == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (b"a\nb", "2 names, and labels from 0 to 2"),
        (b"a\n\nb\nc", "line 2 of .*classes.txt is empty"),
        (b"a\nb\n" + b"c" * 201, "line 3 of .*classes.txt is longer than 200 characters"),
        (b"\xff\xfea", "cannot read .*classes.txt as UTF-8 text"),
        (b"", "line 1 of .*classes.txt is empty"),
        (b"a\n" * 65_535, "classes.txt has more than 65,534 lines"),
    ],
)
def test_a_wrong_file_of_names_is_named(tmp_path: Path, names: bytes, said: str) -> None:
    with pytest.raises(DatasetError, match=f"^dataset.root: .*{said}"):
        collection(tmp_path, names)


def test_a_file_of_names_that_leads_out_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "secret.txt"
    inside.mkdir()
    outside.write_text("a\nb\nc")
    (inside / "classes.txt").symlink_to(outside)
    collection_spec = DatasetSpec(name="mnist", root=str(inside), split="train")
    write_idx(inside / "train-images-idx3-ubyte", np.zeros((4, 2, 2)))
    write_idx(inside / "train-labels-idx1-ubyte", np.array([0, 1, 2, 1]))
    allowed = collection_spec.resolved(str(inside), (str(inside),))
    with pytest.raises(DatasetError, match=r"classes\.txt is .*copy the file there"):
        DATASETS["mnist"].freeze(allowed)


def test_given_names_are_of_all_classes_or_of_some_by_index() -> None:
    classes = ("0", "1", "2")
    assert named_classes(classes, None) == classes
    assert named_classes(classes, ["a", "b", "c"]) == ("a", "b", "c")
    assert named_classes(classes, {1: "cat"}) == ("0", "cat", "2")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a"], "dataset.class_names: 1 names, and labels from 0 to 2"),
        ({3: "cat"}, "dataset.class_names: there is no class 3; classes are 0 to 2"),
        ({-1: "cat"}, "dataset.class_names: there is no class -1"),
    ],
)
def test_names_that_fit_no_class_are_refused(given: object, said: str) -> None:
    with pytest.raises(DatasetError, match=f"^{said}"):
        named_classes(("0", "1", "2"), given)  # type: ignore[arg-type]


def test_names_of_the_request_are_those_of_the_frozen_input(tmp_path: Path) -> None:
    run = RunContext(Storage(str(tmp_path)), "features-0123456789ab", 1, 0, {}, None)
    given = DatasetSpec(name="digits", limit=20, class_names={3: "three"})
    assert freeze(given, run).classes == (*"012", "three", *"456789")
    assert run.class_names["label"][3] == "three"


def test_names_of_a_dataset_without_classes_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"the dataset has no classes"):
        named_classes((), {0: "cat"})


def test_a_request_takes_a_list_or_a_mapping_and_names_what_is_wrong() -> None:
    def given(names: object) -> object:
        spec = {"job": "features", "model": {"name": "lenet"}}
        return parse_spec({**spec, "dataset": {"name": "digits", "class_names": names}})

    assert given(["a", "b"]).dataset.class_names == ("a", "b")  # type: ignore[attr-defined]
    assert given({"0": "cat"}).dataset.class_names == {0: "cat"}  # type: ignore[attr-defined]
    for wrong in ("cat", [""], {"cat": "0"}, ["x" * 201]):
        with pytest.raises(SpecError, match=r"dataset\.class_names"):
            given(wrong)


def test_the_file_of_the_command_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^--class-names: cannot read"):
        read_class_names(tmp_path / "none.txt", "--class-names")
