"""An old file's classes and their colours in our words."""

from cervseg.classes import distinct_colour, format_colour
from cervseg.config.legacy.ini import flag, optional, several, whole
from cervseg.config.legacy.keys import COLOURS
from cervseg.config.legacy.translation import Translation
from cervseg.reports import JSON

MOST_CLASSES = 30


def translate_colours(t: Translation) -> None:
    """The classes and what they are painted in, from `[mask]` and `[segmentation]`."""
    where = ("mask", "mask_colors")
    colours = t.get(where, optional(several(several(whole))), None) or ()
    shown = [(c[2], c[1], c[0]) for c in colours if len(c) == 3 and all(0 <= v <= 255 for v in c)]
    if len(shown) < len(colours):
        t.old.blame(*where, "each must be (blue, green, red), from 0 to 255")
    if t.classes == 1:
        t.remark(where, "ignored: with one class, bright is foreground")
        _translate_colour(t)
        return
    chosen = [distinct_colour(i) for i in range(t.classes)]
    foreground = [colour for colour in shown if any(colour)]
    if len(foreground) == t.classes:
        chosen = foreground
    elif foreground:
        t.old.blame(*where, f"{len(foreground)} colours for {t.classes} classes")
    named: dict[str, JSON] = {f"class_{i}": format_colour(c) for i, c in enumerate(chosen, start=1)}
    t.put("data.classes", named, where if foreground else ("model", "num_classes"))
    t.remark(("segmentation", "white"), "ignored: each of several classes has its colour")


def _translate_colour(t: Translation) -> None:
    """The colours that one class and the background are painted in."""
    white, black = ("segmentation", "white"), ("segmentation", "black")
    foreground = t.get(white, _colour, "#ffffff")
    background = t.get(black, _colour, "#000000")
    if not t.get(("segmentation", "colorize"), flag, False):
        t.remark(white, "ignored: colorize is False")
        t.remark(black, "ignored: colorize is False")
        t.put(
            "data.classes",
            {"cell": "#ffffff"},
            ("segmentation", "colorize"),
            comment="masks are white",
        )
        return
    t.put("data.classes", {"cell": foreground}, white)
    if background != "#000000":
        for section in ("infer", "tiled_infer"):
            t.put(f"{section}.colorize", {"background": background}, black)


def _colour(value: object) -> str:
    if isinstance(value, str) and value.strip().lower() in COLOURS:
        return COLOURS[value.strip().lower()]
    if isinstance(value, str) and len(value) == 7 and value[0] == "#":
        return value.lower()
    wanted = "a colour: a name, '#00ff00' or (0, 255, 0)"
    try:
        red, green, blue = several(whole)(value)
    except ValueError as exc:
        raise ValueError(wanted) from exc
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(wanted)
    return format_colour((red, green, blue))
