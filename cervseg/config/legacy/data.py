"""An old file's data and inference in our words."""

import math
import re

from cervseg.config.legacy.ini import flag, number, optional, pair, several, text, whole
from cervseg.config.legacy.keys import COLOR_SPACES, INEXACT_SPACES, LATER, THRESHOLDS
from cervseg.config.legacy.translation import Translation

_VALID = ("valid", "validation", "val")


def translate_data(t: Translation, name: str) -> str:
    """The folders of `[train]`, `[eval]`, `[test]`, `[mask]`, `[dataset]` and `[image]`.

    Returns:
        A name for the experiment: the folder that holds the splits, else the one given.
    """
    folders = {}
    for section in ("train", "eval", "test"):
        images = t.get((section, "image_datapath"), optional(text), None)
        masks = t.get((section, "mask_datapath"), optional(text), None)
        if images is not None and masks is not None:
            folders[section] = (images, masks)
    patterns = [_with_split(path) for path in folders.get("train", ())]
    if len(patterns) == 2 and all(patterns):
        images, masks = map(str, patterns)
        t.put("data.source.images", images, ("train", "image_datapath"))
        t.put("data.source.masks", masks, ("train", "mask_datapath"))
        t.put(
            "data.split.kind", "folders", ("train", "image_datapath"), comment="as they are on disk"
        )
        _check_splits(t, folders, (images, masks))
        around = images.rpartition("/{split}")[0].rpartition("/")[2]
        before = re.sub(r"[^\w.-]+", "-", around)
        name = before.strip("-.") or name
    elif folders:
        sources: list[dict[str, str]] = [{"images": i, "masks": m} for i, m in folders.values()]
        t.put("data.source", list({str(s): s for s in sources}.values()), None,
              comment="one pool, split anew: no folder is called train")  # fmt: skip
    _translate_masks(t)
    _translate_dataset(t)
    _translate_image(t)
    return name


def _with_split(path: str) -> str | None:
    """The path with its last folder `train` replaced; None where there is none."""
    parts = path.split("/")
    if "train" not in parts or "{" in path or "$" in path:
        return None
    last = len(parts) - 1 - parts[::-1].index("train")
    return "/".join((*parts[:last], "{split}", *parts[last + 1 :]))


def _check_splits(
    t: Translation, folders: dict[str, tuple[str, str]], patterns: tuple[str, str]
) -> None:
    """Say where validation or test images lie elsewhere than beside the training images."""
    for section, splits in (("eval", _VALID), ("test", ("test",))):
        given = folders.get(section)
        expected = [tuple(p.replace("{split}", split) for p in patterns) for split in splits]
        if given is None or given in expected:
            continue
        scoring = f"cervseg evaluate --images {given[0]} --masks {given[1]}"
        why = f"not beside the training images; score these by {scoring}"
        if section == "eval":
            why = "not `valid` beside the training images, the folder that validates here"
        t.remark((section, "image_datapath"), why)
        t.remark((section, "mask_datapath"), why)


def _translate_masks(t: Translation) -> None:
    binarize, threshold = ("mask", "binarize"), ("mask", "threshold")
    level = t.get(threshold, optional(number), None)
    is_on = t.get(binarize, flag, False)
    algorithm = t.get(("mask", "algorithm"), optional(text), None)
    t.remark(binarize, "masks are always made of classes: what is bright is foreground")
    if not is_on:
        t.remark(threshold, "ignored: binarize is False, so it was dead; every non-zero pixel was")
        t.remark(("mask", "algorithm"), "ignored: binarize is False")
    elif algorithm in THRESHOLDS:
        t.put("data.masks.threshold", THRESHOLDS[algorithm], ("mask", "algorithm"))
        t.remark(threshold, "ignored: algorithm finds it")
    else:
        t.remark(("mask", "algorithm"), "ignored: a fixed threshold decides")
        from_here = min(max(math.floor(127 if level is None else level) + 1, 1), 255)
        t.put("data.masks.threshold", from_here, threshold,
              comment="foreground above it there, from it on here")  # fmt: skip
    _translate_mask_filters(t)


def _translate_mask_filters(t: Translation) -> None:
    blur, size = ("mask", "blur"), ("mask", "blur_size")
    kernel = t.get(size, pair, (3, 3))
    if t.get(blur, flag, False):
        t.put("data.masks.blur", _sigma(kernel[0]), size, comment="a kernel's side there, its "
              "sigma here; before the threshold, as there")  # fmt: skip
        t.remark(blur, "data.masks.blur is above 0")
    else:
        t.remark(blur, "off")
        t.remark(size, "ignored: nothing is blurred")
    luma = ("mask", "grayscaling")
    weights = t.get(luma, optional(several(number)), None)
    if weights is None:
        t.remark(luma, "off")
    elif t.classes > 1 and len(weights) == 3 and all(0 <= w <= 1 for w in weights):
        t.put("data.masks.luma", list(map(float, weights)), luma)
        t.put("data.masks.read", "luma", None, comment="the nearest grey level of a class")
    else:
        t.remark(luma, "ignored: for one class the largest channel counts")


def _sigma(side: float) -> float:
    """Of a Gaussian kernel of so many pixels, as OpenCV has it."""
    return round(0.3 * ((side - 1) / 2 - 1) + 0.8, 2)


def _translate_dataset(t: Translation) -> None:
    kind = ("dataset", "datasetclass")
    order = t.get(("dataset", "color_order"), text, "bgr").lower()
    name = t.get(kind, text, "ImageMaskDataset")
    if t.get(("model", "generator"), flag, False):
        for entry in t.old.left():
            if entry.section == "dataset":
                t.old.drop(entry.section, entry.key)
        for where, entry in t.old.entries.items():
            if entry.section == "dataset":
                t.remark(where, "ignored: the reference reads no [dataset] with the generator")
        return
    shows_rgb = {"BaseImageMaskDataset": True, "RGB2GrayscaleImageMaskDataset": order == "rgb"}
    t.color_order = "RGB" if shows_rgb.get(name) else "BGR"
    t.remark(kind, "ignored: one way to read images and masks serves all")
    why = f"trained weights are shown {t.color_order}, a new training sees RGB"
    t.remark(("dataset", "color_order"), why)
    if name == "NormalizedImageMaskDataset":
        t.obstacles.append(f"{name} trained on black images")


def _translate_image(t: Translation) -> None:
    converter = ("image", "color_converter")
    space = t.get(converter, optional(text), None)
    if space in COLOR_SPACES:
        inexact = INEXACT_SPACES.get(space)
        t.put("data.preprocess.color_space", COLOR_SPACES[space], converter, comment=inexact or "")
        t.color_order = "RGB"  # hue, saturation, value and the like are not turned around
        if inexact:
            t.obstacles.append(f"{space}: {inexact}")
    elif space is not None:
        t.remark(converter, f"{LATER}another colour space than hsv and lab")
        t.obstacles.append(f"{space} is not supported")
    else:
        t.remark(converter, "off")
    gamma, sharpen = ("image", "gamma"), ("image", "sharpening")
    exponent, strength = t.get(gamma, number, 0), t.get(sharpen, number, 0)
    t.put("data.preprocess.gamma", float(exponent or 1), gamma, comment="the exponent; 1 is off")
    t.put("data.preprocess.sharpen", float(strength), sharpen, comment="by the four neighbours")


def translate_inference(t: Translation) -> None:
    """`[infer]` and `[tiledinfer]`; `[eval] batch_size`."""
    for old, new in (("infer", "infer"), ("tiledinfer", "tiled_infer")):
        for theirs, ours in (("images_dir", "images"), ("output_dir", "output")):
            folder = t.get((old, theirs), optional(text), None)
            if folder is not None:
                t.put(f"{new}.{ours}", folder, (old, theirs))
    blur, size = ("infer", "blur"), ("infer", "ksize")
    kernel = t.get(size, pair, (5, 5))
    if t.get(blur, flag, False):
        t.put(
            "infer.blur", _sigma(kernel[0]), size, comment="a kernel's side there, its sigma here"
        )
        t.remark(blur, "infer.blur is above 0")
    else:
        t.remark(blur, "off")
        t.remark(size, "ignored: nothing is blurred")
    where = ("eval", "batch_size")
    t.put("tiled_infer.batch_size", t.get(where, whole, 4), where)
    _translate_tiles(t)
    _translate_threshold(t)


def _translate_tiles(t: Translation) -> None:
    margin = t.get(("tiledinfer", "overlapping"), whole, 0)
    overlap = min(2 * margin, t.tile_size // 2)
    capped = "; at most half a tile" if overlap < 2 * margin else ""
    t.put("tiled_infer.overlap", overlap, ("tiledinfer", "overlapping"),
          comment=f"a margin on each side there, what neighbours share here{capped}")  # fmt: skip
    split = ("tiledinfer", "split_size")
    size = t.get(split, whole, t.tile_size)
    as_trained = size == t.tile_size
    resized = f"{LATER}tiles of another size than the model's, which it then saw resized"
    t.remark(split, "tiles have the model's size" if as_trained else resized)
    blending = ("tiledinfer", "bitwise_blending")
    together = t.get(blending, flag, True)
    t.put("tiled_infer.combine", "minimum" if together else "tiled", blending,
          comment="of both; the reference joined their bits" if together else "")  # fmt: skip


def _translate_threshold(t: Translation) -> None:
    binarize, level = ("tiledinfer", "binarize"), ("tiledinfer", "threshold")
    algorithm = ("tiledinfer", "algorithm")
    grey, name = t.get(level, number, 127), t.get(algorithm, optional(text), None)
    if not t.get(binarize, flag, False):
        t.remark(binarize, "masks are always decided; tiled_infer.probabilities keeps the grey")
        t.remark(level, "ignored: binarize is False")
        t.remark(algorithm, "ignored: binarize is False")
        return
    t.remark(binarize, "as here")
    if name in THRESHOLDS and t.classes == 1:
        t.put("tiled_infer.threshold", THRESHOLDS[name], algorithm,
              comment="as meant; the reference then decided nothing")  # fmt: skip
        t.remark(level, "ignored: algorithm finds it")
        return
    t.put("tiled_infer.threshold", round(grey / 255, 4), level, comment=f"{grey:g} of 255")
    t.remark(algorithm, "ignored: a fixed threshold decides")
