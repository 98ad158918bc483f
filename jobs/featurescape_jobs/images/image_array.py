"""The array type of decoded pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB or (H, W) gray, 0 to 255."""
