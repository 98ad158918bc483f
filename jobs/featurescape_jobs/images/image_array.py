"""The array type of decoded images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]
"""(H, W, 3) RGB or (H, W) gray, 0 to 255."""
