"""Options of the jobs of a map: every field of their specs, typed; what is wrong is found before a submit."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mypy import api

from featurescape import Client, EmbeddingOptions, FeaturesOptions, TilesOptions, map_options
from featurescape.map_request import GROUPS, SUPPLIED
from featurescape.set_options import read_options
from featurescape_jobs.errors import FeaturescapeError, InputJobError, SpecError
from featurescape_jobs.specs import JOB_SPECS, ModelSpec
from helpers.service_fakes import RunningService

ROOT = Path(__file__).parents[3]
RANDOM = ModelSpec(name="lenet", weights="random")


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("option_types", ROOT / "docs/option_types.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_types_are_those_of_the_specs() -> None:
    written = Path(map_options.__file__).read_text()
    assert writer().render() == written, "run: python docs/option_types.py"


def test_every_field_but_those_of_the_map_is_an_option() -> None:
    for group in GROUPS:
        options = getattr(map_options, f"{group.title()}Options").__annotations__
        assert options.keys() == JOB_SPECS[group].model_fields.keys() - {"job", *SUPPLIED[group]}


def test_a_type_checker_knows_names_and_values(tmp_path: Path) -> None:
    shutil.copy(map_options.__file__, tmp_path / "map_options.py")
    script = tmp_path / "script.py"
    lines = [
        "from map_options import EmbeddingOptions, FeaturesOptions, TilesOptions",
        'EmbeddingOptions(metric="cosine", pca_components=None, perplexity=12.5)',
        'FeaturesOptions(layers="fc1", resources={"workers": 2})',
        'EmbeddingOptions(metric="cosin")',
        "TilesOptions(max_zom=6)",
        'FeaturesOptions(resources={"workers": "two"})',
    ]
    script.write_text("\n".join(lines))
    found, _, _ = api.run(
        [str(script), "--strict", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    )
    wrong = [line.partition(" error: ")[0].rpartition("script.py:")[2] for line in found.splitlines()
             if " error: " in line]  # fmt: skip
    assert wrong == ["4:", "5:", "6:"], found


def test_options_reach_the_specs_of_their_jobs(client: Client) -> None:
    view = client.map(
        "digits",
        RANDOM,
        seed=3,
        title="digits",
        features=FeaturesOptions(pooling="mean", layers="conv1", resources={"workers": 2}),
        embedding=EmbeddingOptions(metric="cosine", perplexity=7, seed=5),
        tiles={"max_zoom": 6, "color_layers": ["density"], "title": "the map"},
    )
    features, embedding, tiles = (job.spec for job in view.jobs)
    assert (features["pooling"], features["layers"]) == ("mean", ["conv1"])
    assert features["resources"]["workers"] == 2
    assert (embedding["metric"], embedding["perplexity"]) == ("cosine", 7)
    assert (tiles["max_zoom"], tiles["color_layers"]) == (6, ["density"])
    assert [spec["seed"] for spec in (features, embedding, tiles)] == [3, 5, 3]
    assert [spec["title"] for spec in (features, embedding, tiles)] == [
        "digits",
        "digits",
        "the map",
    ]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"embedding": {"metrik": "cosine"}}, "embedding.metrik", "did you mean metric?"),
    ({"embedding": {"metric": "cosin"}}, "embedding.metric", "cosine"),
    ({"tiles": {"max_zoom": 13}}, "tiles.max_zoom", "less than or equal to 12"),
    ({"features": {"resources": {"workers": 0}}}, "features.resources.workers", "equal to 1"),
    ({"features": {"resources": {"worker": 2}}}, "features.resources.worker", "workers?"),
    ({"features": {"dataset": {"name": "digits"}}}, "features.dataset", "the map says that itself"),
    ({"tiles": {"job": "tiles"}}, "tiles.job", "the map says that itself"),
    ({"layer": "fc1", "features": {"layers": "fc1"}}, "features.layers", "layer says the same"),
    ({"perplexity": 5, "embedding": {"perplexity": 5}}, "embedding.perplexity", "give one of"),
    ({"tiles": {"color_layers": ["densty"]}}, "tiles.color_layers", "did you mean density?"),
    ({"tiles": {"captions": "captions-000000000000"}}, "tiles.captions", "there is no job"),
    ({"tiles": {"color_layers": ["valeu:entropy"]}}, "tiles.color_layers", "did you mean value?"),
    ({"tiles": {"attributes": ["captions-000000000000"]}}, "tiles.attributes", "there is no job"),
    ({"embedding": "cosine"}, "embedding", "options of the embedding job"),
    ({"perplexity": 1}, "perplexity", "perplexity: "),
    ({"seed": -1}, "seed", "seed: "),
]


@pytest.mark.parametrize(("given", "field", "words"), WRONG)
def test_a_wrong_option_is_named_and_nothing_is_submitted(
    client: Client, service: RunningService, given: dict[str, Any], field: str, words: str
) -> None:
    before = len(service.store.waiting())
    with pytest.raises(FeaturescapeError) as caught:
        client.map("digits", RANDOM, **given)
    assert words in caught.value.message
    assert caught.value.detail["field"] == field
    assert caught.value.message.startswith(f"{field}: ")
    assert len(service.store.waiting()) == before


def test_a_job_that_is_named_has_to_be_of_its_type(client: Client, service: RunningService) -> None:
    other = client.submit({"job": "features", "dataset": {"name": "digits"}, "model": RANDOM})
    before = len(service.store.waiting())
    with pytest.raises(InputJobError, match=r"tiles\.captions: .* is a features job, not captions"):
        client.map("digits", RANDOM, tiles=TilesOptions(captions=other.id))
    assert len(service.store.waiting()) == before
    attributes = TilesOptions(attributes=[other.id], color_layers=["value:entropy", "density"])
    view = client.map("digits", RANDOM, tiles=attributes)
    assert view.tiles.spec["attributes"] == [other.id], "of any type"


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (["embedding.metric=cosine"], {"embedding": {"metric": "cosine"}}),
        (["embedding.pca_components=null"], {"embedding": {"pca_components": None}}),
        (["tiles.max_zoom=6", "tiles.max_zoom=7"], {"tiles": {"max_zoom": "7"}}),
        (["features.layers=fc1,fc2"], {"features": {"layers": ["fc1", "fc2"]}}),
        (["tiles.color_layers=density"], {"tiles": {"color_layers": ["density"]}}),
        (['tiles.color_layers=["a,b"]'], {"tiles": {"color_layers": ["a,b"]}}),
        (["features.resources.workers=2"], {"features": {"resources": {"workers": "2"}}}),
        (["tiles.title=a=b, c"], {"tiles": {"title": "a=b, c"}}),
        (["features.reuse=false"], {"features": {"reuse": False}}),
        (["features.nonsense=1"], {"features": {"nonsense": "1"}}),
        ([], {}),
    ],
)
def test_options_of_the_command_line_are_read_as_the_spec_has_them(
    given: list[str], options: dict[str, Any]
) -> None:
    assert read_options(given) == options


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("embedding", "write it as"),
        ("metric=cosine", "write it as"),
        ("embedding.=cosine", "write it as"),
        ("embeding.metric=cosine", "did you mean embedding?"),
        ("colors.metric=cosine", "there are features, embedding, tiles"),
        ("tiles.color_layers=[density", "no JSON"),
    ],
)
def test_what_is_no_option_of_a_map_is_refused(given: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_options([given])
    assert words in caught.value.message
    assert given.partition("=")[2] in caught.value.message


def test_a_value_has_no_fields_of_its_own() -> None:
    with pytest.raises(SpecError, match="resources has a value already"):
        read_options(["features.resources=2", "features.resources.workers=2"])
