"""The network of `row_lstm`; apart from its card, so that the catalog needs no torch."""

from __future__ import annotations

import torch
from torch import nn


class RowLstmNetwork(nn.Module):
    """Rows of a gray picture as steps of an LSTM; logits from the last hidden state.

    Args:
        row_px: width of the picture: values per step.
        hidden: H, units of the LSTM.
        n_classes: outputs.
    """

    def __init__(self, row_px: int, hidden: int, n_classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(row_px, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_classes)
        with torch.no_grad():
            # The second quarter is the forget gate's (torch: i, f, g, o); the two biases are added.
            self.lstm.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1.0
            self.lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden] = 0.0

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 1, T, row_px) to (N, n_classes)."""
        states, _ = self.lstm(pictures.squeeze(1))  # (N, T, H)
        logits: torch.Tensor = self.head(states[:, -1])
        return logits
