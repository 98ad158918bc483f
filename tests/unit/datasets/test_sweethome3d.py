"""Furniture libraries are read by their catalog, member by member, whatever lies in them."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.datasets.sources.sweethome3d import properties
from featurescape_jobs.errors import DatasetError
from helpers.mesh_builders import LIBRARY, LIBRARY_FILES, box_obj, sh3f, write
from helpers.mesh_listings import MESHES, code_of, reader, spec_of


def listed(root: Path) -> tuple[list[Entry], list[str]]:
    listing = MESHES.freeze(spec_of(root))
    return list(listing.entries), list(listing.classes)


def test_a_furniture_library_is_listed_by_its_catalog(tmp_path: Path) -> None:
    sh3f(tmp_path / "in/lib.sh3f", LIBRARY_FILES, LIBRARY)
    write(tmp_path, {"in/Doors.obj": box_obj(), "Doors/a.obj": box_obj()})
    entries, classes = listed(tmp_path)
    assert classes == ["Doors", "Living room", "in"]
    assert [(e.example_id, e.locator, e.label) for e in entries] == [
        ("Doors/a", "Doors/a.obj", 0),
        ("in/Doors", "in/Doors.obj", 2),
        ("Living-room/Library-box", "in/lib.sh3f#1", 1),
        ("Doors/Library-tall", "in/lib.sh3f#2", 0),
        ("Doors/other", "in/lib.sh3f#3", 0),
    ]
    assert entries[2].attributes == {"name": "A box of wood", "category": "Living room"}
    assert entries[3].attributes == {"name": "Tür", "category": "Doors"}


def test_a_library_can_be_the_root_and_its_models_stand_upright(tmp_path: Path) -> None:
    path = sh3f(tmp_path / "lib.sh3f", LIBRARY_FILES, LIBRARY)
    assert len(listed(path)[0]) == 3
    opened = reader(path)
    box, tall = (opened.read_mesh(f"lib.sh3f#{number}") for number in (1, 2))
    assert (box.faces, box.missing, box.parts[0].color) == (12, 0, (1, 0, 0, 1))
    assert np.ptp(tall.parts[0].positions, axis=0).tolist() == [1, 4, 1]
    assert code_of(path, "lib.sh3f#3") == "not_a_mesh"
    assert code_of(path, "lib.sh3f#9") == "not_found"


def test_what_a_library_leaves_out_is_counted(tmp_path: Path) -> None:
    belongs = {"models/box/box.jpg": b"", "PluginFurnitureCatalog_fr.properties": "name#1=Boîte\n"}
    rest = {
        "models/spare.OBJ": box_obj(),
        "LICENSE.TXT": "free",
        "models/page.html": "<!DOCTYPE html><html>",
        "models/texture": b"\xff\xd8\xff\xe0" + bytes(20),
        "__MACOSX/._box.obj": b"\0\5\x16\7",
        "models/big.bin": b"",
    }
    catalog = LIBRARY.replace("tall.obj", "Tall.OBJ") + "name#4=A hole\n"
    sh3f(tmp_path / "lib.sh3f", {**LIBRARY_FILES, **belongs, **rest}, catalog)
    listing = MESHES.freeze(spec_of(tmp_path))
    assert len(list(listing.entries)) == 3
    assert listing.source is not None
    assert {one.reason: one.names for one in listing.source.passed_over.record().reasons} == {
        "a mesh that the catalog does not list": ["lib.sh3f/models/spare.OBJ"],
        "a piece of furniture without a model": ["lib.sh3f#4"],
        "a .txt file": ["lib.sh3f/LICENSE.TXT"],
        "an HTML page: download the file itself again": ["lib.sh3f/models/page.html"],
        "an image": ["lib.sh3f/models/texture"],
        "a system folder": ["lib.sh3f/__MACOSX/._box.obj"],
        "an empty file": ["lib.sh3f/models/big.bin"],
    }


def test_properties_are_read_as_java_writes_them() -> None:
    text = "a=1\n  b : x\\:y \n!no\nc\\ d = e\\\n   f\ng\n"
    assert list(properties(text)) == [("a", "1"), ("b", "x:y "), ("c d", "ef"), ("g", "")]


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("/models/../../etc/passwd.obj", "refused"),
        ("//etc/passwd.obj", "refused"),
        ("/models/gone.obj", "not_found"),
        ("/models/folder.obj/", "not_found"),
        ("http://host/a.obj", "refused"),
    ],
)
def test_what_a_library_may_not_name_is_a_row_error(tmp_path: Path, model: str, code: str) -> None:
    path = sh3f(tmp_path / "lib.sh3f", LIBRARY_FILES, f"model#1={model}\n")
    assert code_of(path, "lib.sh3f#1") == code


def test_a_member_that_unpacks_to_much_more_is_not_unpacked(tmp_path: Path) -> None:
    bomb = b"v 0 0 0\n" * (1 << 20)
    path = sh3f(tmp_path / "lib.sh3f", {"a.obj": bomb}, "model#1=/a.obj\n")
    assert code_of(path, "lib.sh3f#1") == "too_many_bytes"


def test_a_member_that_lies_about_its_size_is_a_row_error(tmp_path: Path) -> None:
    path = sh3f(tmp_path / "lib.sh3f", {"a.obj": box_obj()}, "model#1=/a.obj\n")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 20)
    path.write_bytes(data)
    assert code_of(path, "lib.sh3f#1") == "decode_error"


def test_an_encrypted_or_oddly_packed_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lib.sh3f"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "model#1=/a.obj\n")
        archive.writestr("a.obj", box_obj(), compress_type=zipfile.ZIP_BZIP2)
    assert code_of(path, "lib.sh3f#1") == "refused"
    plain = sh3f(tmp_path / "b.sh3f", {"a.obj": box_obj()}, "model#1=/a.obj\n")
    data = bytearray(plain.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    plain.write_bytes(data)
    assert code_of(plain, "b.sh3f#1") == "refused"


@pytest.mark.parametrize("damage", ["empty", "cut", "html", "directory", "zip64", "catalog"])
def test_a_library_that_is_no_sound_zip_ends_the_job(tmp_path: Path, damage: str) -> None:
    path = sh3f(tmp_path / "lib.sh3f", LIBRARY_FILES, LIBRARY)
    data = bytearray(path.read_bytes())
    end = len(data) - 22
    if damage == "directory":
        data[end + 12 : end + 16] = struct.pack("<L", 1 << 30)
    changed = {
        "empty": b"",
        "cut": bytes(data[: len(data) // 2]),
        "html": b"<html>" * 100,
        "directory": bytes(data),
        "zip64": bytes(data[:end]) + b"PK\x06\x07" + bytes(16) + bytes(data[end:]),
        "catalog": b"",
    }
    if damage == "catalog":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.obj", box_obj())
    else:
        path.write_bytes(changed[damage])
    with pytest.raises(DatasetError, match=r"lib\.sh3f"):
        listed(path)
