"""An old file's augmentation in our words.

The reference applies one transform at a time, each at its one strength. Here a sample gets several,
each with a probability and up to that strength; what the old file leaves off is off.
"""

import math

from cervseg.config.legacy.ini import flag, number, several
from cervseg.config.legacy.translation import Translation, Where

_HOME = "train.augmentation"
_SECTIONS = ("augmentor", "deformation", "distortion", "barrdistortion", "pincdistortion",
             "sharpening", "brightening")  # fmt: skip
_OFTEN = 0.5


def translate_augmentation(t: Translation) -> None:
    """`[generator]`, `[augmentor]` and the sections of its transforms."""
    generator, wanted = ("model", "generator"), ("generator", "augmentation")
    is_drawn = t.get(generator, flag, False)
    is_on = is_drawn and t.get(wanted, flag, True)
    t.old.drop(*wanted)
    t.put(f"{_HOME}.preset", "none", None, comment="what the old file does not name is off"
          if is_on else "the old file varied nothing")  # fmt: skip
    if not is_on:
        for entry in t.old.left():
            if entry.section in _SECTIONS:
                t.remark((entry.section, entry.key), "ignored: nothing is augmented")
        return
    for name in ("hflip", "vflip"):
        switch = ("augmentor", name)
        t.put(f"{_HOME}.{name}", t.get(switch, flag, True), switch)
    _translate_rotation(t)
    _translate_size(t)
    _translate_deformation(t)
    _translate_distortion(t)
    for section, amount in (("barrdistortion", 0.5), ("pincdistortion", -0.5)):
        _translate_lens(t, section, amount)
    _translate_light(t)


def _is_on(t: Translation, name: str, target: str, *keys: str) -> bool:
    """Whether `[augmentor]` switches a transform on; its keys are done with where it does not."""
    switch = ("augmentor", name)
    if t.get(switch, flag, False):
        t.put(f"{_HOME}.{target}.probability", _OFTEN, switch)
        return True
    t.remark(switch, "off")
    for key in keys:
        t.remark((name, key), f"ignored: [augmentor] {name} is off")
    return False


def _translate_rotation(t: Translation) -> None:
    rotation, angles = ("augmentor", "rotation"), ("augmentor", "angles")
    turns = [float(a % 360) for a in t.get(angles, several(number), (90, 180, 270))]
    if t.get(rotation, flag, True) and turns:
        often = round(len(turns) / (len(turns) + 1), 2)
        t.put(f"{_HOME}.rotation.angles", turns, angles)
        t.put(f"{_HOME}.rotation.probability", often, rotation, comment="else it is not turned")
    else:
        t.remark(rotation, "off")
        t.remark(angles, "ignored: nothing is turned")


def _translate_size(t: Translation) -> None:
    shrinks, shears = ("augmentor", "shrinks"), ("augmentor", "shears")
    scales = (1.0, *map(float, t.get(shrinks, several(number), (0.8,))))
    if min(scales) < max(scales):
        t.put(f"{_HOME}.scale.range", [min(scales), max(scales)], shrinks,
              comment="any size between")  # fmt: skip
        t.put(f"{_HOME}.scale.probability", _OFTEN, None)
    else:
        t.remark(shrinks, "ignored: nothing changes its size")
    largest = max((abs(float(s)) for s in t.get(shears, several(number), ())), default=0.0)
    if largest:
        degrees = round(math.degrees(math.atan(largest)), 1)
        t.put(f"{_HOME}.shear.range", degrees, shears,
              comment="a factor there, its angle in degrees here")  # fmt: skip
        t.put(f"{_HOME}.shear.probability", _OFTEN, None)
    else:
        t.remark(shears, "ignored: nothing is sheared")


def _translate_deformation(t: Translation) -> None:
    alpha_key, sigma_key = ("deformation", "alpah"), ("deformation", "sigmoids")
    alpha = t.get(alpha_key, number, 1300)
    sigmas = t.get(sigma_key, several(number), (t.get(("deformation", "sigmoid"), number, 8),))
    taken = ""
    if sigma_key in t.old.fallen:
        t.notice(sigma_key, "no list, so the reference took [8], and so is it here")
        taken = "no list there, so [8] as the reference took"
    if not _is_on(t, "deformation", "elastic", "alpah", "sigmoid", "sigmoids"):
        return
    smallest = min(sigmas, default=0)
    if smallest <= 0:
        t.old.blame(*sigma_key, "must be above 0")
        return
    # There the noise is smoothed over the three colour channels too, with nothing beyond them:
    # that leaves √3 / (√2π sigma) of it, and shifts of 8 pixels at most for 1300 and 8 (measured).
    sigma = max(1.0, float(smallest))
    factor = round(abs(alpha) * math.sqrt(3 / (2 * math.pi)) / sigma, 1)
    t.put(f"{_HOME}.elastic.alpha", factor, alpha_key,
          comment="less by its smoothing across the colours")  # fmt: skip
    t.put(f"{_HOME}.elastic.sigma", sigma, sigma_key, comment=taken)
    t.remark(("deformation", "sigmoid"), "with sigmoids it decides the size of the deformation")


def _translate_distortion(t: Translation) -> None:
    strengths, sigma = ("distortion", "distortions"), ("distortion", "gaussian_filter_rsigma")
    given = t.get(strengths, several(number), (0.02,))
    smoothing = t.get(sigma, number, 40)
    if strengths in t.old.fallen:
        t.notice(strengths, "no list, so the reference took [0.02], and so is it here")
    if _is_on(t, "distortion", "distortion", "distortions", "gaussian_filter_rsigma"):
        largest = max((abs(float(s)) for s in given), default=0.0)
        t.put(f"{_HOME}.distortion.strength", largest, strengths, comment="at most")
        t.put(f"{_HOME}.distortion.sigma", float(smoothing), sigma)


def _place(value: object) -> tuple[float, ...]:
    """A centre as column and row, shares of the sides."""
    pair = several(number)(value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or not all(0 <= share <= 1 for share in pair):
        raise ValueError("two numbers from 0 to 1")
    return pair


def _translate_lens(t: Translation, section: str, usual: float) -> None:
    """Barrel and pincushion are one formula there; the sign of the amount tells them apart."""
    keys: list[Where] = [(section, key) for key in ("radius", "amount", "centers")]
    radius, amount = t.get(keys[0], number, 0.5), t.get(keys[1], number, usual)
    centers = t.get(keys[2], several(_place), ((0.5, 0.5),))
    target = "barrel" if amount >= 0 else "pincushion"
    if f"{_HOME}.{target}.probability" in t.settings:
        for key in [("augmentor", section), *keys]:
            t.remark(key, f"ignored: {_HOME}.{target} has its values from [barrdistortion]")
        return
    if not _is_on(t, section, target, "radius", "amount", "centers"):
        return
    t.put(f"{_HOME}.{target}.radius", float(radius), keys[0])
    t.put(f"{_HOME}.{target}.amount", abs(float(amount)), keys[1], comment="at most")
    t.put(f"{_HOME}.{target}.centers", [[float(row), float(column)] for column, row in centers],
          keys[2], comment="row before column")  # fmt: skip


def _translate_light(t: Translation) -> None:
    k = t.get(("sharpening", "k"), number, 1.0)
    if _is_on(t, "sharpening", "sharpen", "k"):
        t.put(f"{_HOME}.sharpen.k", abs(float(k)), ("sharpening", "k"), comment="at most")
    gain, shift = ("brightening", "alpha"), ("brightening", "beta")
    alpha, beta = float(t.get(gain, number, 1.2)), float(t.get(shift, number, 10))
    if not _is_on(t, "brightening", "brightness", "alpha", "beta"):
        return
    if alpha <= 0:
        t.old.blame(*gain, "must be above 0")
        return
    t.put(f"{_HOME}.brightness.alpha", round(max(alpha, 1 / alpha), 4), gain,
          comment="the least is 1 / alpha")  # fmt: skip
    t.put(f"{_HOME}.brightness.beta", abs(beta), shift, comment="either way")
