"""The gates of the benchmarks that run networks can fail: their negative controls, on small outputs made here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.optvis.deepdream import Dreamer, DreamOptions
from featurescape_jobs.optvis.objectives import Energy
from helpers.pixel_networks import loaded, pixels_of

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
OURS = "featurescape"


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def harness() -> ModuleType:
    return sys.modules["harness"]


def gate_of(judge: Any, controls: Any, outputs: dict[str, Any]) -> tuple[set[str], bool]:
    """Who passes, and whether all controls fail."""
    passed: tuple[set[str], bool] = harness().Gate(judge, controls).passed(outputs)
    return passed


PLAIN = (10 + np.random.default_rng(0).normal(size=(100, 30))).astype(np.float32)


@pytest.mark.parametrize(
    ("ours", "good"),
    [
        (PLAIN + np.float32(1e-4), True),
        (PLAIN[::-1], False),
        (np.repeat(PLAIN[:1], 100, 0), False),
        (PLAIN[:50], False),
    ],
    ids=["the same", "in another order", "constant", "half of them"],
)
def test_features_must_keep_what_the_loops_say(
    ours: np.ndarray,
    good: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = benchmark("features", monkeypatch)
    outputs = {"loop": PLAIN, OURS: ours}
    passed, controls_fail = gate_of(module.judge, module.controls, outputs)
    assert passed == ({"loop", OURS} if good else {"loop"})
    assert controls_fail
    said = capsys.readouterr().out
    assert "control: shuffled rows: fails" in said
    assert "control: one constant vector: fails" in said


def test_a_gate_of_features_that_lets_the_controls_pass_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = benchmark("features", monkeypatch)
    monkeypatch.setattr("featurescape_jobs.networks.fidelity.MIN_CENTERED_COSINE", -2.0)
    monkeypatch.setattr("featurescape_jobs.networks.fidelity.MAX_RELATIVE_ERROR", np.inf)
    monkeypatch.setattr("featurescape_jobs.networks.fidelity.MIN_NEIGHBOR_OVERLAP", 0.0)
    assert not gate_of(module.judge, module.controls, {"loop": PLAIN, OURS: PLAIN})[1]


def test_captions_say_what_the_start_of_ours_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours takes 15 s of 100 images, 10 of them warm; the faster strong peer 20."""
    module = benchmark("captions", monkeypatch)
    role, run = harness().Role, harness().Run
    seconds = {"a": (role.STRONG, 20.0), "b": (role.STRONG, 30.0), OURS: (role.OURS, 15.0)}
    contenders = [
        harness().Contender(name, one, lambda: None) for name, (one, _) in seconds.items()
    ]
    gate = harness().Gate(lambda output, outputs: None, lambda outputs: {})
    timings = harness().Timings(harness().Comparison("", "", contenders, gate))
    timings.runs = {name: [run(spent)] for name, (_, spent) in seconds.items()}
    module.print_startup(timings, 10.0, 100)
    assert capsys.readouterr().out.splitlines() == [
        "ours starts for 5.0 s, then 10.0 images/s: 10.0 s of all",
        "a has 5.0 images/s: 2.00 times as long as ours warm",
        "with its start, ours is ahead from 50 images on",
    ]


def brightness(images: np.ndarray) -> np.ndarray:
    """What dreams gain in these tests: what makes images brighter is a dream."""
    return images.reshape(len(images), -1).mean(1)


def dreamt(*gained: int) -> np.ndarray:
    """Gray images, brighter by so much."""
    return PHOTOS + np.array(gained, np.uint8)[:, None, None, None]


PHOTOS = np.full((4, 8, 8, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("gained", "good"),
    [
        ((40, 40, 40, 40), True),
        ((48, 33, 37, 45), True),
        ((52, 50, 49, 51), False),
        ((30, 28, 31, 30), False),
        ((0, 0, 0, 0), False),
    ],
)
def test_dreams_must_gain_what_the_notebooks_do_up_to_its_own_spread(
    gained: tuple[int, ...], good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The popular peer repeats itself within 2 of 40: of the mean of four the error is 1, and Student's 8.61.

    ``scipy.stats.t.ppf(0.9995, 4)`` is 8.610: means of 31.4 to 48.6 pass.
    """
    module = benchmark("dreams", monkeypatch)
    judge = module.Judge(PHOTOS, brightness)
    popular, again = dreamt(40, 40, 40, 40), dreamt(42, 38, 38, 42)
    outputs = {"popular": [popular], "again": [again], OURS: [dreamt(*gained)]}
    assert judge.tolerance(outputs) == pytest.approx(8.610, abs=1e-3)
    passed, controls_fail = gate_of(judge, judge.controls, outputs)
    assert passed == {"popular", "again"} | ({OURS} if good else set())
    assert controls_fail
    assert list(judge.controls(outputs)) == ["no steps", "noise as strong"]


def test_more_rounds_of_dreams_make_the_gate_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three rounds the error is 2 / √12, and Student's distribution of 12 has 4.318."""
    module = benchmark("dreams", monkeypatch)
    judge = module.Judge(PHOTOS, brightness)
    outputs = {"popular": 3 * [dreamt(40, 40, 40, 40)], "again": 3 * [dreamt(42, 38, 38, 42)]}
    assert judge.tolerance(outputs) == pytest.approx(2 / 12**0.5 * 4.318, abs=1e-3)
    assert judge(3 * [dreamt(41, 42, 43, 43)], outputs).passes
    assert not judge(3 * [dreamt(42, 43, 43, 43)], outputs).passes
    assert judge([dreamt(42, 43, 43, 43)], outputs).passes  # of one round


def test_a_gate_of_dreams_that_lets_the_controls_pass_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer that does not repeat itself at all is no yardstick: the controls say so."""
    module = benchmark("dreams", monkeypatch)
    judge = module.Judge(PHOTOS, brightness)
    outputs = {"popular": [dreamt(40, 40, 40, 40)], "again": [dreamt(80, 0, 0, 80)]}
    assert not gate_of(judge, judge.controls, outputs)[1]


def test_peers_and_ours_dream_the_same_images_under_the_same_shifts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All octaves, steps and shifts of the defaults, through a network that is smooth and so not chaotic.

    The changes are 48 of 255 in the mean, and 5 under other shifts; rounding leaves less than a hundredth.
    """
    benchmark("dreams", monkeypatch)
    peers = sys.modules["dream_peers"]
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 3, 3))
    photos = np.random.default_rng(0).integers(60, 200, (2, 60, 44, 3)).astype(np.uint8)
    images = torch.from_numpy(photos).float()

    def shifts(first: int = 0) -> list[np.random.Generator]:
        return [np.random.default_rng(first + at) for at in range(2)]

    up_to = peers.UpTo(loaded(module, 3), "2")
    each = zip(photos, shifts(), strict=True)
    plain = np.stack([peers.plain_dream(photo, up_to, rng) for photo, rng in each])
    batched = peers.batch_dream(images.permute(0, 3, 1, 2), up_to, shifts())
    dreamer = Dreamer(pixels_of(module, "2", 3), Energy(), DreamOptions())
    ours = dreamer.dream(images, shifts()).images.numpy()
    assert np.abs(plain - photos).mean() > 40
    assert np.abs(ours - plain).max() < 0.01
    assert np.abs(batched.permute(0, 2, 3, 1).numpy() - plain).max() < 0.01
    assert np.abs(dreamer.dream(images, shifts(7)).images.numpy() - plain).mean() > 1


WORDS = [
    ["a", "red", "ring"],
    ["a", "blue", "bar"],
    ["a", "green", "square"],
    ["a", "white", "bar"],
]


@pytest.mark.parametrize(
    ("said", "good"),
    [
        (WORDS, True),
        ([*WORDS, ["more"]], True),
        ([*WORDS[:3], ["a", "white", "ring"]], False),
        (WORDS[:3], False),
        ([[], [], [], []], False),
    ],
    ids=["the same", "and of more images", "another word", "one missing", "no words"],
)
def caption_judge(monkeypatch: pytest.MonkeyPatch, scores: Any = None, least: float = 0.995) -> Any:
    """The gate of captions; a caption has the score that a table gives it, and none is asked for without one."""
    module = benchmark("caption_gate", monkeypatch)
    return module.Judge(lambda at, words: scores[at, words[0]], least)


def shuffled(outputs: dict[str, Any]) -> Any:
    return sys.modules["caption_gate"].shuffled(outputs["one at a time"])


@pytest.mark.parametrize(
    ("said", "good"),
    [
        (WORDS, True),
        ([*WORDS, ["more"]], True),
        ([*WORDS[:3], ["a", "white", "ring"]], False),
        (WORDS[:3], False),
        ([[], [], [], []], False),
    ],
    ids=["the same", "and of more images", "another word", "one missing", "no words"],
)
def test_captions_must_have_the_words_of_the_plain_search(
    said: list[list[str]], good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"one at a time": WORDS, OURS: said}
    passed, controls_fail = gate_of(caption_judge(monkeypatch), shuffled, outputs)
    assert (OURS in passed) is good
    assert controls_fail
    loose = caption_judge(monkeypatch, least=0.0)
    assert gate_of(loose, shuffled, outputs) == (
        {"one at a time"} | ({OURS} if len(said) >= len(WORDS) else set()),
        False,
    )


CUT = ["another"] * 30


@pytest.mark.parametrize(
    ("said", "score", "good"),
    [
        (["other"] * 30, -50.0005, True),
        (["other"] * 30, -49.0, True),
        (["other"] * 30, -50.002, False),
        (["other"] * 12, -1.0, False),
    ],
    ids=["a tie", "more probable", "less probable", "of another length"],
)
def test_captions_that_are_cut_may_differ_but_not_be_less_probable(
    said: list[str],
    score: float,
    good: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The plain search's has -50 nats; a thousandth less is rounding."""
    outputs = {"one at a time": [*WORDS, CUT], OURS: [*WORDS, said]}
    scores = {(4, "another"): -50.0, (4, "other"): score, (4, "a"): -90.0}
    passed, controls_fail = gate_of(caption_judge(monkeypatch, scores), shuffled, outputs)
    assert (OURS in passed) is good
    assert controls_fail
    told = f"1 cut at 30 words, {0 if good else 1} of them less probable"
    assert f"100.00% of 4 that ended in the same words; {told}" in capsys.readouterr().out


def test_a_captioner_that_hardly_ever_ends_says_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"one at a time": [WORDS[0], CUT, CUT], OURS: [WORDS[0], CUT, CUT]}
    assert gate_of(caption_judge(monkeypatch), shuffled, outputs)[0] == set()


def random_decoder(vocabulary_size: int, strength: float) -> Any:
    """With random weights, under which beams end at different steps, or hardly ever."""
    from featurescape_jobs.models.attention_decoder.decoder import Decoder
    from featurescape_jobs.specs import CaptionerSpec

    torch.manual_seed(0)
    shape = CaptionerSpec(embedding_units=16, hidden_units=24, attention_units=12)
    decoder = Decoder(10, shape, vocabulary_size).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=strength)
    return decoder.requires_grad_(False)


def caption_peers(decoder: Any) -> tuple[Any, Any]:
    """The plain and the batched search over a decoder."""
    peers = sys.modules["caption_peers"]
    loop, batched = (object.__new__(kind) for kind in (peers.Loop, peers.Batched))
    for search in (loop, batched):
        search.captioner = SimpleNamespace(decoder=decoder)
    return loop, batched


def test_the_batched_peer_finds_the_words_of_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over random weights, where beams end at different steps: what is strong is no other search."""
    benchmark("captions", monkeypatch)
    loop, batched = caption_peers(random_decoder(30, 0.5))
    grids = torch.randn(7, 9, 10)
    expected = [loop.search(grid[None]) for grid in grids]
    assert batched.search(grids) == expected
    assert len({len(words) for words in expected}) > 1


def test_where_no_caption_ends_all_searches_cut_the_same_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The best of 30 words, not the start of the best of 31."""
    module = benchmark("captions", monkeypatch)
    from featurescape_jobs.captioning.describing import Describer

    decoder = random_decoder(30, 0.5)
    with torch.no_grad():
        decoder.output.bias[0] = -1000.0  # the end
    loop, batched = caption_peers(decoder)
    grids = torch.randn(7, 9, 10)
    expected = [loop.search(grid[None]) for grid in grids]
    assert {len(words) for words in expected} == {30}
    assert batched.search(grids) == expected
    describer = Describer(decoder, None, torch.device("cpu"))  # type: ignore[arg-type]
    assert module.describe(describer, grids) == expected


def test_the_score_of_a_caption_is_that_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours says with what log probability it has cut a caption; the peers' reference adds up the same."""
    module = benchmark("captions", monkeypatch)
    from featurescape_jobs.captioning.describing import Describer
    from featurescape_jobs.sequences.beam_search import BeamOptions

    decoder = random_decoder(30, 0.5)
    with torch.no_grad():
        decoder.output.bias[0] = -1000.0
    loop, _ = caption_peers(decoder)
    grids = torch.randn(3, 9, 10)
    describer = Describer(decoder, None, torch.device("cpu"))  # type: ignore[arg-type]
    options = BeamOptions(module.BEAM, module.MAX_WORDS)
    for grid, (found, *_) in zip(grids, describer.describe(grids, options), strict=True):
        assert found.truncated
        assert loop.score(grid[None], found.words) == pytest.approx(found.log_probability, abs=1e-3)


def test_a_gradient_must_be_as_near_as_autocasts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = benchmark("fine_tuning", monkeypatch)
    drawn = torch.Generator().manual_seed(1)

    def near(strength: float) -> dict[str, torch.Tensor]:
        noise = torch.randn(1000, generator=drawn)
        return {"conv.weight": exact["conv.weight"] + strength * noise}

    exact = {"conv.weight": torch.randn(1000, generator=drawn)}
    outputs = {"popular": exact, "strong": near(0.1), OURS: near(0.1), "too far": near(0.3)}

    def controls(outputs: Any) -> Any:
        return module.controls({"conv.weight": exact["conv.weight"].flip(0)}, outputs)

    passed, controls_fail = gate_of(module.judge, controls, outputs)
    assert passed == {"popular", "strong", OURS}
    assert controls_fail
    monkeypatch.setattr(module, "SLACK", 2.0)
    assert not gate_of(module.judge, controls, outputs)[1]
