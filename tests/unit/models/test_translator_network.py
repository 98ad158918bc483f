"""The translator is what its equations say, whatever is padded."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.models.recurrent.network import Layer
from featurescape_jobs.models.translator.network import Translator
from helpers.reversals import SmallTranslator


def network(cell: str = "lstm", layers: int = 1) -> Translator:
    torch.manual_seed(0)
    shape = SmallTranslator(cell=cell, layers=layers)
    return Translator(shape, 9).double().eval().requires_grad_(False)


SOURCES = torch.tensor([[4, 3, 2, 0, 0, 0], [5, 6, 7, 8, 2, 0], [3, 0, 8, 8, 8, 8]])
LENGTHS = torch.tensor([4, 6, 2])
WORDS = torch.tensor([[9, 4, 3], [9, 2, 2], [9, 8, 7]])


def plain(found: Translator, source: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Logits of one sentence with torch's own modules: a bidirectional LSTM, and LSTM cells."""
    decoder, first = found.decoder, found.encoder.recurrent[0]
    assert isinstance(first, Layer)
    assert first.back is not None
    both = nn.LSTM(32, 32, bidirectional=True, batch_first=True).double()
    for name, value in first.ahead.cell.named_parameters():
        both.get_parameter(name).data.copy_(value)
    for name, value in first.back.cell.named_parameters():
        both.get_parameter(f"{name}_reverse").data.copy_(value)
    memory = both(decoder.embedding.weight[source][None])[0][0]
    h, c = torch.tanh(decoder.start[0](memory.mean(0))).chunk(2)
    logits = []
    for word in words.tolist():
        tried = torch.tanh(decoder.attention.key(memory) + decoder.attention.query(h))
        context = (tried @ decoder.attention.score.weight[0]).softmax(0) @ memory
        embedded = decoder.embedding.weight[word]
        _, (states, cells) = decoder.cells[0](
            torch.cat([embedded, context])[None], (h[None], c[None])
        )
        h, c = states[0], cells[0]
        deep = embedded + decoder.from_hidden(h) + decoder.from_context(context)
        said = functional.linear(torch.tanh(deep), decoder.embedding.weight[:9])
        logits.append(said + decoder.output.bias)
    return torch.stack(logits)


def test_a_translation_follows_from_the_equations() -> None:
    found = network()
    together = found(SOURCES, WORDS, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = plain(found, SOURCES[row, :length], WORDS[row])
        torch.testing.assert_close(together.logits[row], expected, atol=1e-9, rtol=0)
    cut = plain(found, SOURCES[1, :4], WORDS[1])
    assert not torch.allclose(together.logits[1], cut), "all of the source counts"


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_sentence_alone_is_what_it_is_in_a_batch(cell: str, layers: int) -> None:
    found = network(cell, layers)
    together = found(SOURCES, WORDS, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = found(SOURCES[row : row + 1, :length], WORDS[row : row + 1])
        torch.testing.assert_close(together.logits[row], alone.logits[0])
        torch.testing.assert_close(together.attention[row, :, :length], alone.attention[0])
        assert not together.attention[row, :, length:].any()


def test_a_state_has_every_weight_once() -> None:
    state = network(layers=2).state_dict()
    places = [value.data_ptr() for value in state.values()]
    assert len(set(places)) == len(places)
    again = Translator(SmallTranslator(cell="lstm", layers=2), 9).double().eval()
    again.load_state_dict(state)
    torch.testing.assert_close(
        again(SOURCES, WORDS, LENGTHS).logits, network(layers=2)(SOURCES, WORDS, LENGTHS).logits
    )
