"""Near duplicates: one picture turned, mirrored, rescaled, re-encoded or cut a little.

A hash proposes pairs without reading them again; the correlation of the aligned pictures confirms.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB
from cervseg.reports import SILENT, Progress, track

DISTANCE = 14
"""Hashes that differ in at most this many of their 63 bits are proposed."""

CONFIRMED = 0.98
"""Aligned pictures are duplicates from this correlation on."""

PROMISING = 0.3
"""Below it, before they are aligned, two pictures are told apart without aligning them."""

WORTH_ALIGNING = 0.8
"""Below it, roughly aligned, finer aligning would not make them alike."""

SIDE = 128
"""Pictures are compared as squares of this side, whatever their shape: squeezing is no change."""

FINE, COARSE = 2.5, 10.0
"""Standard deviations of the two blurs between which details are compared, of `SIDE` pixels."""

FREQUENCIES = 8
"""Lowest ones along each axis that make the hash."""

BLOCK = 256
"""Hashes compared with all others at once: 40 MB for 20 000."""

Grey = NDArray[np.float32]


class Duplicate(NamedTuple):
    """Two pictures that show the same.

    Args:
        first: Place in the list of pictures, the smaller one.
        second: Likewise.
        correlation: 1 where every pixel is the same.
    """

    first: int
    second: int
    correlation: float


def perceptual_hash(image: RGB) -> str:
    """Reduce a picture to the signs of its 8 x 8 lowest cosine frequencies, the mean left out.

    Turning the picture by a right angle or mirroring it permutes the signs or flips every second
    one, so `propose` finds such copies from the hashes alone.

    Args:
        image: Shape (height, width, 3).

    Returns:
        16 hexadecimal digits; empty for a picture of one colour.
    """
    if (image == image[:1, :1]).all():
        return ""
    frequencies = cv2.dct(_square_grey(image, 64))[:FREQUENCIES, :FREQUENCIES]
    signs = frequencies > 0
    signs[0, 0] = False  # brightness
    return np.packbits(signs).tobytes().hex()


def propose(hashes: Sequence[str], *, distance: int = DISTANCE) -> list[tuple[int, int]]:
    """List the pairs whose hashes are near in some of the eight positions.

    Args:
        hashes: Of `perceptual_hash`; empty ones pair with nothing.
        distance: Bits that may differ, 0 to 63.

    Returns:
        Pairs of places in `hashes`, the smaller first, sorted.
    """
    places = np.array([i for i, text in enumerate(hashes) if text], np.intp)
    if len(places) < 2:
        return []
    positions = _positions([text for text in hashes if text])  # (8, n)
    upright = positions[0]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(places), BLOCK):
        block = positions[:, start : start + BLOCK, None]
        near = np.bitwise_count(block[0] ^ upright[start:])
        for turned in block[1:]:
            np.minimum(near, np.bitwise_count(turned ^ upright[start:]), out=near)
        first, second = np.nonzero(np.triu(near <= distance, 1))
        found = zip(places[start + first], places[start + second], strict=True)
        pairs += [(int(a), int(b)) for a, b in found]
    return pairs


def _positions(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """The hashes of the eight positions of each picture, shape (8, n), upright first."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    signs = np.unpackbits(raw).reshape(-1, FREQUENCIES, FREQUENCIES).astype(bool)
    odd = np.arange(FREQUENCIES) % 2 == 1
    flips = (False, odd, odd[:, None], odd ^ odd[:, None])  # as is, left-right, up-down, both
    turned = [across ^ flip for across in (signs, signs.swapaxes(1, 2)) for flip in flips]
    packed = np.packbits(np.stack(turned).reshape(8, -1, FREQUENCIES**2), axis=-1)
    return np.ascontiguousarray(packed).view(np.uint64)[..., 0]


def find_near_duplicates(
    images: Callable[[int], RGB], hashes: Sequence[str], *, progress: Progress = SILENT
) -> list[Duplicate]:
    """Find the pictures that show the same.

    Args:
        images: Reads the picture of a place in `hashes`; called for proposed ones only.
        hashes: Of `perceptual_hash`.
        progress: Shows how far the comparing is.
    """
    return confirm(images, propose(hashes), progress=progress)


def confirm(
    images: Callable[[int], RGB],
    pairs: Sequence[tuple[int, int]],
    *,
    progress: Progress = SILENT,
) -> list[Duplicate]:
    """Keep the proposed pairs whose aligned pictures correlate by 0.98 or more.

    Args:
        images: Reads the picture of a place.
        pairs: Places, as `propose` lists them.
        progress: Shows how far the comparing is.
    """
    if not pairs:  # nor is there a bar to show
        return []
    small = lru_cache(maxsize=2048)(lambda place: _square_grey(images(place), SIDE))  # 128 MB
    found = []
    for first, second in track(pairs, "near duplicates", total=len(pairs), progress=progress):
        correlation = _correlation(small(first), small(second))
        if correlation >= CONFIRMED:
            found.append(Duplicate(first, second, correlation))
    return found


def aligned_correlation(a: RGB, b: RGB) -> float:
    """Correlate the details of two pictures where they overlap, in the best of eight positions.

        r = Pearson(D(a), D(b'))      D(p) = p blurred by 2.5 less p blurred by 10, of 128 pixels

    b' is b turned or mirrored, then moved by an affine map near the identity that fits it to a
    (Evangelidis & Psarakis, 2008, as OpenCV has it). Grey levels themselves would not do: any two
    cells on plain ground correlate by 0.97. What is as white as one picture gets counts as white
    in the other too, so that a brighter copy with burnt-out ground is still one.

    Args:
        a: Shape (height, width, 3).
        b: Likewise, of any size.

    Returns:
        -1 to 1; 0 where one of them has no details.
    """
    return _correlation(_square_grey(a, SIDE), _square_grey(b, SIDE))


def _square_grey(image: RGB, side: int) -> Grey:
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _details(picture: Grey) -> Grey:
    fine, coarse = (cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (FINE, COARSE))
    return np.asarray(fine - coarse, np.float32)


def _correlation(a: Grey, b: Grey) -> float:
    details = _details(a)
    matches = [_pearson(details, turned) for turned in _turned(_details(b))]
    if max(matches) < PROMISING:
        return max(matches)
    best = np.argsort(matches)[-2:]  # a round cell fits in several positions
    return max(_aligned(a, turned) for i, turned in enumerate(_turned(b)) if i in best)


def _turned(picture: Grey) -> Iterator[Grey]:
    for mirrored in (picture, picture[:, ::-1]):
        for quarter in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter))


def _aligned(a: Grey, b: Grey) -> float:
    """Correlation after aligning: roughly on pictures of half the side, then if it is worth it."""
    rough = _fit(_halved(a), _halved(b), np.eye(2, 3, dtype=np.float32), steps=30)
    rough[:, 2] *= 2
    match = _matched(a, b, rough)
    if match < WORTH_ALIGNING:
        return match
    return max(match, _matched(a, b, _fit(a, b, rough, steps=60)))


def _halved(picture: Grey) -> Grey:
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def _matched(a: Grey, b: Grey, transform: Grey) -> float:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(b, transform, a.shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones_like(b), transform, a.shape, flags=flags) > 0.99
    a, moved = _equally_white(a, np.asarray(moved, np.float32))
    return _pearson(_details(a)[inside], _details(moved)[inside])


def _fit(a: Grey, b: Grey, start: Grey, *, steps: int) -> Grey:
    """The affine map, shape (2, 3), from places of a to places of b; `start` if none fits."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-5)
    try:
        _, found = cv2.findTransformECC(a, b, start.copy(), cv2.MOTION_AFFINE, criteria)
    except cv2.error:  # did not converge: the pictures have nothing in common
        return start
    change = np.abs(found - np.eye(2, 3))
    # More would be another cell pulled into the shape of the first.
    is_small = change[:, :2].max() <= 0.12 and change[:, 2].max() <= 0.17 * len(a)
    return np.asarray(found, np.float32) if is_small else start


def _equally_white(a: Grey, b: Grey) -> tuple[Grey, Grey]:
    """Cut each picture off at the level where the other is burnt out."""
    burnt = 245
    usable = (a < burnt) & (b < burnt)
    if usable.sum() < SIDE or np.ptp(a[usable]) == 0:
        return a, b
    gain, offset = np.polyfit(a[usable], b[usable], 1)
    if gain < 0.2:  # not one picture at two exposures
        return a, b
    limits = (b.max() - offset) / gain, gain * a.max() + offset
    return np.minimum(a, np.float32(limits[0])), np.minimum(b, np.float32(limits[1]))


def _pearson(a: Grey, b: Grey) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.square(a).sum(dtype=np.float64) * np.square(b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64) / norm) if norm > 0 else 0.0
