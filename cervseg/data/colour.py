"""Changes of light and stain, on the image alone."""

import numpy as np

from cervseg.arrays import RGB


def change_colour(
    image: RGB, *, brightness: float, contrast: float, gains: tuple[float, float, float]
) -> RGB:
    """Change contrast about mid-grey, then channel gains, then brightness.

        out = ((in - 127.5) · (1 + contrast) + 127.5) · gain + 255 · brightness, clipped

    Args:
        image: Shape (height, width, 3).
        brightness: Shift as a share of white.
        contrast: 0 leaves it as it is.
        gains: Of red, green and blue, 1 leaves them as they are.
    """
    values = np.arange(256, dtype=np.float32)
    stretched = (values - 127.5) * (1 + contrast) + 127.5
    curves = stretched[:, None] * np.asarray(gains, np.float32) + 255 * brightness  # (256, 3)
    table = np.clip(np.rint(curves), 0, 255).astype(np.uint8)
    return np.stack([table[:, c][image[..., c]] for c in range(3)], axis=-1)
