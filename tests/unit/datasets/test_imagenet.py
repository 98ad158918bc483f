"""ImageNet in every layout gives the same ids, order, labels, class names and images."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.sources.imagenet_synsets import class_names, ground_truth
from featurescape_jobs.datasets.sources.tree import LocalTree
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.models.torchvision_shim import imagenet_classes
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import bucket, jpeg, tar_bytes, upload, write

IMAGENET = DATASETS["imagenet"]
WNIDS = [f"n{1440764 + 977 * k:08d}" for k in range(12)]
WORDS = {wnid: f"thing {k}, Res {k}" for k, wnid in enumerate(WNIDS)}
TRAIN = {
    wnid: {f"{wnid}_{7 * n + 3}.JPEG": jpeg(20 * k + n) for n in range(3)}
    for k, wnid in enumerate(WNIDS)
}
TRUTH = {f"ILSVRC2012_val_{n + 1:08d}": WNIDS[(5 * n) % 12] for n in range(24)}
VAL = {f"{stem}.JPEG": jpeg(200 + n) for n, stem in enumerate(TRUTH)}
MAPPING = "".join(f"{wnid} {words}\n" for wnid, words in WORDS.items()).encode()
CSV = "ImageId,PredictionString\n" + "".join(
    f"{stem},{wnid} 1 2 3 4 \n" for stem, wnid in reversed(TRUTH.items())
)
NUMBER = {wnid: 1 + (7 * k) % 12 for k, wnid in enumerate(WNIDS)}


def meta_mat() -> bytes:
    """The devkit's list of synsets: 12 leaves in an order of their own, and one above them."""
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(NUMBER[wnid], wnid, WORDS[wnid], 0) for wnid in WNIDS] + [(13, "n00001740", "all", 12)]
    sink = io.BytesIO()
    savemat(sink, {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})
    return sink.getvalue()


def devkit() -> dict[str, bytes]:
    numbers = "".join(f"{NUMBER[wnid]}\n" for wnid in TRUTH.values()).encode()
    return {"data/ILSVRC2012_validation_ground_truth.txt": numbers, "data/meta.mat": meta_mat()}


def below(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{name}": data for name, data in files.items()}


def train_folders(prefix: str = "train") -> dict[str, bytes]:
    return {
        f"{prefix}/{wnid}/{n}": data for wnid, files in TRAIN.items() for n, data in files.items()
    }


def train_tars() -> dict[str, bytes]:
    """One archive per synset; inside, in no order."""
    return {f"{wnid}.tar": tar_bytes([*reversed(files.items())]) for wnid, files in TRAIN.items()}


def val_folders(prefix: str = "val") -> dict[str, bytes]:
    return {f"{prefix}/{TRUTH[name.removesuffix('.JPEG')]}/{name}": d for name, d in VAL.items()}


def layouts() -> dict[str, dict[str, bytes]]:
    kit = below("ILSVRC2012_devkit_t12", devkit())
    csv = {"LOC_val_solution.csv": CSV.encode(), "LOC_synset_mapping.txt": MAPPING}
    labels = "".join(f"{wnid}\n" for wnid in TRUTH.values()).encode()
    return {
        "folders": {**train_folders(), **val_folders(), "synset_words.txt": MAPPING},
        "folders and the devkit": {**train_folders(), **below("val", VAL), **kit},
        "tars in train": {**below("train", train_tars()), **below("val", VAL), **csv},
        "tars in ILSVRC2012_img_train": {
            **below("ILSVRC2012_img_train", train_tars()),
            **below("ILSVRC2012_img_val", VAL),
            **kit,
        },
        "tars in the root": {
            **train_tars(),
            **below("val", VAL),
            "imagenet_2012_validation_synset_labels.txt": labels,
            "words.txt": MAPPING.replace(b" ", b"\t", 1),
        },
        "as downloaded": {
            "ILSVRC2012_img_train.tar": tar_bytes([*reversed(train_tars().items())]),
            "ILSVRC2012_img_val.tar": tar_bytes([*reversed(VAL.items())]),
            "ILSVRC2012_devkit_t12.tar.gz": gzip.compress(tar_bytes(kit)),
        },
        "Kaggle": {
            **train_folders("ILSVRC/Data/CLS-LOC/train"),
            **below("ILSVRC/Data/CLS-LOC/val", VAL),
            **csv,
        },
        "tars per synset in both": {
            **below("train", train_tars()),
            **{
                f"val/{wnid}.tar": tar_bytes(
                    {n: d for n, d in VAL.items() if TRUTH[n.removesuffix(".JPEG")] == wnid}
                )
                for wnid in set(TRUTH.values())
            },
            "LOC_synset_mapping.txt": MAPPING,
        },
    }


def contents(root: str, split: str = "all") -> tuple[list[tuple[str, int | None]], tuple[str, ...]]:
    listing = IMAGENET.freeze(DatasetSpec(name="imagenet", root=root, split=split))
    rows = [(entry.example_id, entry.label) for entry in listing.entries]
    return rows, tuple(listing.classes)


def images(root: str) -> dict[str, ImageArray]:
    spec = DatasetSpec(name="imagenet", root=root)
    reader = IMAGENET.open_reader(spec)
    return {e.example_id: reader.read(e.locator) for e in IMAGENET.freeze(spec).entries}


EXPECTED = [
    (f"train/{wnid}/{stem}", k)
    for k, wnid in enumerate(WNIDS)
    for stem in sorted(name.removesuffix(".JPEG") for name in TRAIN[wnid])
] + [(f"val/{stem}", WNIDS.index(wnid)) for stem, wnid in TRUTH.items()]
NAMES = tuple(f"thing {k}" for k in range(12))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageArray]:
    return images(str(write(tmp_path_factory.mktemp("first"), layouts()["folders"])))


@pytest.mark.parametrize("layout", list(layouts()))
def test_every_layout_gives_the_same_examples(
    tmp_path: Path, layout: str, first: dict[str, ImageArray]
) -> None:
    write(tmp_path, layouts()[layout])
    IMAGENET.check(DatasetSpec(name="imagenet", root=str(tmp_path)))
    assert contents(str(tmp_path)) == (EXPECTED, NAMES)
    found = images(str(tmp_path))
    assert list(found) == list(first)
    assert all(np.array_equal(found[name], first[name]) for name in first)


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    with bucket("imagenet") as root:
        yield root


@pytest.mark.parametrize("layout", ["folders and the devkit", "as downloaded", "Kaggle"])
def test_a_bucket_gives_the_same_examples(
    tmp_path: Path, layout: str, s3_root: str, first: dict[str, ImageArray]
) -> None:
    root = upload(write(tmp_path, layouts()[layout]), f"{s3_root}/{len(layout)}")
    assert contents(root) == (EXPECTED, NAMES)
    found = images(root)
    assert all(np.array_equal(found[name], first[name]) for name in first)


@pytest.mark.parametrize("layout", ["folders", "as downloaded"])
def test_splits_are_parts_with_the_same_labels(tmp_path: Path, layout: str) -> None:
    write(tmp_path, layouts()[layout])
    for split, rows in (("train", EXPECTED[:36]), ("val", EXPECTED[36:])):
        assert contents(str(tmp_path), split) == (rows, NAMES)


def test_without_words_the_wnid_is_the_name(tmp_path: Path) -> None:
    write(tmp_path, train_folders())
    assert contents(str(tmp_path)) == (EXPECTED[:36], tuple(WNIDS))


def test_a_thousand_classes_have_the_names_of_torchvision(tmp_path: Path) -> None:
    wnids = [f"n{1440764 + 13638 * k:08d}" for k in range(999)] + ["n15075141"]
    names = class_names(wnids, ground_truth(LocalTree(tmp_path), ""))
    assert (names[0], names[999], len(set(names))) == ("tench", "toilet tissue", 1000)
    assert names == imagenet_classes()


def test_two_classes_of_one_name_are_told_apart_by_the_wnid(tmp_path: Path) -> None:
    words = b"n02012849 crane\nn03126707 crane, hoist\nn01440764 tench\n"
    write(tmp_path, {"LOC_synset_mapping.txt": words})
    ground = ground_truth(LocalTree(tmp_path), "")
    wnids = ["n01440764", "n02012849", "n03126707"]
    names = ("tench", "crane (n02012849)", "crane (n03126707)")
    assert class_names(wnids, ground) == names


@pytest.mark.parametrize(
    ("files", "split", "message"),
    [
        ({"cats/1.jpg": b""}, "all", "no images of 'all' in .*looked for"),
        (train_folders(), "val", "no images of 'val'"),
        (below("val", VAL), "val", r"without ground truth; put LOC_val_solution\.csv"),
        ({**below("val", VAL), "LOC_val_solution.csv": b"a,b\n1,2\n"}, "all", "expected lines of"),
        (
            {**below("val", VAL), "imagenet_2012_validation_synset_labels.txt": b"n01440764\nx\n"},
            "all",
            "line 2 names no class",
        ),
        ({**below("val", VAL), **devkit(), "data/meta.mat": b"x"}, "all", r"is no meta\.mat"),
        ({**below("val", VAL), "ILSVRC2012_devkit_t12.tar.gz": b"x"}, "all", "cannot be unpacked"),
        (
            {**below("val", VAL), "ILSVRC2012_devkit_t12.tar.gz": gzip.compress(tar_bytes({}))},
            "all",
            "lacks .* is it the devkit",
        ),
        ({f"train/{WNIDS[0]}.tar": b"x" * 600}, "train", "is no tar but plain text"),
    ],
)
def test_what_is_missing_or_broken_is_said(
    tmp_path: Path, files: dict[str, bytes], split: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        contents(str(write(tmp_path, files)), split)
    assert caught.value.detail["field"] == "dataset.root"


def test_training_images_do_not_need_the_ground_truth_of_others(tmp_path: Path) -> None:
    write(tmp_path, {**train_folders(), **below("val", VAL)})
    assert contents(str(tmp_path), "train")[0] == EXPECTED[:36]


def test_a_bomb_in_place_of_the_devkit_is_not_unpacked_whole(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=1)
    write(tmp_path, {**below("val", VAL), "ILSVRC2012_devkit_t12.tar.gz": bomb})
    with pytest.raises(DatasetError, match="lacks"):
        contents(str(tmp_path))


# -- Tiny ImageNet -----------------------------------------------------------------------------


def tiny(annotations: str | None = None, **more: bytes) -> dict[str, bytes]:
    """Two classes; of the validation images the second class has the first one."""
    cats, dogs = WNIDS[:2]
    images = {
        f"train/{wnid}/images/{wnid}_{n}.JPEG": jpeg(10 * k + n)
        for k, wnid in enumerate((cats, dogs))
        for n in range(2)
    }
    val = {f"val/images/val_{n}.JPEG": jpeg(90 + n) for n in range(3)}
    lines = "".join(
        f"val_{n}.JPEG\t{wnid}\t0\t0\t62\t62\n" for n, wnid in enumerate((dogs, cats, cats))
    )
    boxes = {f"train/{cats}/{cats}_boxes.txt": b"x\t0\t0\t1\t1\n"}
    words = f"{cats}\tcat, house cat\n{dogs}\tdog\nn99999999\tnobody\n".encode()
    said = {
        "wnids.txt": f"{dogs}\n{cats}\n".encode(),
        "words.txt": words,
        "val/val_annotations.txt": (lines if annotations is None else annotations).encode(),
    }
    test = {"test/images/test_0.JPEG": jpeg(120)}
    return {**images, **val, **boxes, **said, **test, **more}


def test_tiny_imagenet_has_its_labels_and_words(tmp_path: Path) -> None:
    root = str(write(tmp_path, tiny()))
    found, classes = contents(root)
    cats, dogs = WNIDS[:2]
    assert classes == ("cat", "dog")
    assert found == [
        *((f"train/{wnid}/{wnid}_{n}", k) for k, wnid in enumerate((cats, dogs)) for n in (0, 1)),
        ("val/val_0", 1),
        ("val/val_1", 0),
        ("val/val_2", 0),
    ]
    listing = IMAGENET.freeze(DatasetSpec(name="imagenet", root=root))
    list(listing.entries)
    said = listing.passed_over.record().reasons
    assert [(one.reason, one.names) for one in said] == [
        ("a .txt file", [f"train/{cats}/{cats}_boxes.txt"]),
        ("a folder without ground truth", ["test"]),
    ]
    assert contents(root, "val")[0] == found[4:]


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ("val_0.JPEG\tn01440764\t0\n", "names 1 of 3, not 'val_1'"),
        (
            "val_0.JPEG n01440764\n",
            "val_annotations.txt: line 1: expected an image, a tab, a wnid",
        ),
        ("val_0.JPEG\tcat\n", "line 1: expected an image, a tab, a wnid"),
        (
            "val_0.JPEG\tn01440764\n\nval_0.JPEG\tn01441741\n",
            "line 3 gives 'val_0.JPEG' a second wnid",
        ),
    ],
)
def test_annotations_that_say_too_little_or_two_things_are_named(
    annotations: str, said: str, tmp_path: Path
) -> None:
    root = str(write(tmp_path, tiny(annotations)))
    with pytest.raises(DatasetError) as caught:
        contents(root)
    assert said in caught.value.message


def test_what_lies_beside_the_synsets_is_counted(tmp_path: Path) -> None:
    beside = {"train/cat/a.jpg": jpeg(1), "train/b.jpg": jpeg(2), "extra/c.jpg": jpeg(3)}
    one = f"train/{WNIDS[0]}"
    both = {f"{one}/d.JPEG": jpeg(4), f"{one}.tar": b"", "words.txt": b"n1\tx\n", "e.jpg": jpeg(5)}
    root = str(write(tmp_path, {**beside, **both, "test/f.JPEG": jpeg(6)}))
    listing = IMAGENET.freeze(DatasetSpec(name="imagenet", root=root, split="train"))
    assert [entry.example_id for entry in listing.entries] == [f"{one}/d"]
    assert {each.reason: each.names for each in listing.passed_over.record().reasons} == {
        "a folder outside the synsets": ["extra", "train/cat"],
        "an image outside the synsets": ["e.jpg", "train/b.jpg"],
        "a folder without ground truth": ["test"],
        "a .tar file": [f"{one}.tar"],
    }


def test_images_without_a_suffix_are_told_apart(tmp_path: Path) -> None:
    root = str(
        write(tmp_path, {f"train/{WNIDS[0]}/{name}": jpeg(1) for name in ("a1", "a2", "b.c")})
    )
    assert [name for name, _ in contents(root)[0]] == [
        f"train/{WNIDS[0]}/{stem}" for stem in ("a1", "a2", "b")
    ]


# -- links -------------------------------------------------------------------------------------


def test_a_training_folder_that_may_not_be_followed_is_said(tmp_path: Path) -> None:
    write(tmp_path / "private", {f"{WNIDS[0]}/a.JPEG": jpeg(1)})
    root = tmp_path / "imagenet"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "private")
    spec = DatasetSpec(name="imagenet", root=str(root)).resolved(str(root), (str(root),))
    with pytest.raises(DatasetError, match="1 link outside the allowed roots"):
        IMAGENET.freeze(spec)


def test_class_folders_that_are_links_keep_their_labels(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "disk2", {f"x/{WNIDS[1]}_3.JPEG": jpeg(1)})
    outside = write(tmp_path / "private", {f"x/{WNIDS[2]}_3.JPEG": jpeg(2)})
    files = {f"train/{WNIDS[k]}/{WNIDS[k]}_3.JPEG": jpeg(k) for k in (0, 3)}
    root = write(tmp_path / "imagenet", files)
    (root / "train" / WNIDS[1]).symlink_to(elsewhere / "x")
    (root / "train" / WNIDS[2]).symlink_to(outside / "x")
    roots = (str(root), str(elsewhere))
    spec = DatasetSpec(name="imagenet", root=str(root), split="train").resolved(str(root), roots)
    listing = IMAGENET.freeze(spec)
    entries = {entry.example_id: entry for entry in listing.entries}
    refused = f"train/{WNIDS[2]}/{WNIDS[2]}"  # one row for all that may not be looked at
    assert {name: entry.label for name, entry in entries.items()} == {
        **{f"train/{WNIDS[k]}/{WNIDS[k]}_3": k for k in (0, 1, 3)},
        refused: 2,
    }
    with pytest.raises(RowError) as caught:
        IMAGENET.open_reader(spec).read(entries[refused].locator)
    assert caught.value.code == "refused"
    assert listing.classes == tuple(WNIDS[:4])
    said = listing.passed_over.record().reasons
    assert [(one.reason, one.names) for one in said] == [
        ("a link outside the allowed roots", [f"train/{WNIDS[2]}"])
    ]
