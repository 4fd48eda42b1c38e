"""Micrometres per pixel, as files state it."""

import math
import re
from collections.abc import Sequence

INCH, CENTIMETRE = 2, 3
MICROMETRES = {INCH: 25_400.0, CENTIMETRE: 10_000.0}
"""Of TIFF's units of resolution."""

PLAUSIBLE = (0.02, 20.0)
"""Micrometres per pixel of microscopes; others are the default of some software (72 dpi: 353)."""

METRIC = {
    **dict.fromkeys(("", "µm", "μm", "um", "micron", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
}
"""Micrometres of a unit of OME; without one it is micrometres."""

IMAGEJ = {
    **{unit: length for unit, length in METRIC.items() if unit},
    **dict.fromkeys(("in", "inch", "inches"), MICROMETRES[INCH]),
    "microns": 1.0,
}
"""Micrometres of a unit of ImageJ."""


def plausible(across: float, down: float | None = None) -> float | None:
    """A size of pixels that a microscope can have; None otherwise, or if they are not square."""
    if not math.isfinite(across) or not PLAUSIBLE[0] <= across <= PLAUSIBLE[1]:
        return None
    is_square = down is None or abs(down - across) <= 0.02 * across
    return across if is_square else None


def from_resolution(resolution: Sequence[tuple[int, int]], unit: int | str) -> float | None:
    """Micrometres per pixel of TIFF's two resolutions, fractions in pixels per unit.

    Args:
        resolution: Across and down.
        unit: TIFF's number of it, or ImageJ's word.
    """
    length = IMAGEJ.get(unit.lower()) if isinstance(unit, str) else MICROMETRES.get(unit)
    if length is None or any(count <= 0 or per <= 0 for count, per in resolution):
        return None
    return plausible(*(length * per / count for count, per in resolution[:2]))


def imagej_unit(description: str) -> str | None:
    """The unit of length in a description that ImageJ wrote, where `µ` is escaped."""
    stated = dict(re.findall(r"^(y?unit)=(.*?)\s*$", description, re.MULTILINE))
    if not description.startswith("ImageJ=") or "unit" not in stated:
        return None
    if stated.get("yunit", stated["unit"]) != stated["unit"]:
        return ""  # of no length
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), stated["unit"])


def from_aperio(description: str) -> float | None:
    """Micrometres per pixel of the description that Aperio's scanners write: `MPP = 0.25`."""
    match = re.search(r"\bMPP\s*=\s*(\d+(?:\.\d+)?)", description)
    return plausible(float(match[1])) if match and description.startswith("Aperio") else None


def from_lengths(sizes: Sequence[object], units: Sequence[object]) -> float | None:
    """Micrometres per pixel of OME's lengths.

    Args:
        sizes: Across and, where known, down: numbers or their text.
        units: Of each; None is micrometres.
    """
    lengths = []
    for size, unit in zip(sizes, units, strict=True):
        factor = METRIC.get(str(unit or "").strip().lower())
        try:
            number = float(str(size))
        except ValueError:
            return None
        if factor is None:
            return None
        lengths.append(number * factor)
    return plausible(*lengths[:2]) if lengths else None
