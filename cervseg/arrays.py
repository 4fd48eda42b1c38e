"""Names for the arrays that flow through the package: shape, dtype, range."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RGB: TypeAlias = NDArray[np.uint8]
"""Pixels, shape (…, height, width, 3), 0 to 255, red first."""

Mask: TypeAlias = NDArray[np.uint8]
"""Class indices, shape (height, width): 0 background, 1 and up the classes, 255 ignore."""

Probabilities: TypeAlias = NDArray[np.float32]
"""Network output, shape (…, height, width, channels), 0 to 1."""

Tensor: TypeAlias = Any
"""What a Keras backend hands over; the only `Any` of the package."""
