"""An old file's training and augmentation in our words."""

import math

from cervseg.config.legacy.ini import flag, number, one_of, optional, several, text, whole
from cervseg.config.legacy.keys import LOSSES, METRICS, OPTIMIZERS
from cervseg.config.legacy.translation import Translation
from cervseg.reports import JSON

_MOST_PREVIEWS = 20


def translate_training(t: Translation) -> None:
    """`[train]`, and what `[model]` says of the training."""
    rate = t.need(("model", "learning_rate"), number, 1e-3)
    t.put("train.epochs", t.need(("train", "epochs"), whole, 1), ("train", "epochs"))
    t.put("train.batch_size", t.need(("train", "batch_size"), whole, 2), ("train", "batch_size"))
    steps = ("train", "steps_per_epoch")
    if t.get(("model", "generator"), flag, False):
        t.put("train.steps_per_epoch", t.get(steps, whole, 400), steps)
    else:
        t.remark(steps, "ignored: without the generator an epoch is one pass")
    t.remark(("model", "generator"), "tiles are always drawn and varied while training")
    loss = t.need(("model", "loss"), one_of(LOSSES), "binary_crossentropy")
    t.put("train.loss", loss, ("model", "loss"))
    _translate_metrics(t)
    optimizer = t.get(("model", "optimizer"), one_of(OPTIMIZERS), "adam")
    t.put("train.optimizer", optimizer, ("model", "optimizer"))
    t.put("train.learning_rate", float(rate), ("model", "learning_rate"))
    clip = t.get(("model", "clipvalue"), optional(number), 0.2)
    t.put("train.clip_value", clip, ("model", "clipvalue"))
    _translate_patience(t)
    _translate_previews(t)


def _translate_metrics(t: Translation) -> None:
    where, shown = ("model", "metrics"), ("train", "metrics")
    names = dict.fromkeys(t.need(where, several(text), ()))
    known = [METRICS[name] for name in names if name in METRICS]
    lost = [name for name in names if name not in METRICS]
    if lost:
        t.notice(where, f"the reference drops what it does not know: {', '.join(lost)}")
    if known:
        t.put("train.metrics", known, where)
    columns = t.get(shown, several(text), ("accuracy", "val_accuracy"))
    wanted = list(dict.fromkeys(METRICS.get(c.removeprefix("val_"), c) for c in columns))
    if known and wanted and set(wanted) <= set(known):
        t.put("train.plot_metrics", wanted, shown, comment="training and validation in one picture")
    else:
        t.remark(shown, "ignored: names what [model] metrics does not; all metrics are drawn")


def _translate_patience(t: Translation) -> None:
    where = ("train", "patience")
    patience = t.get(where, whole, 10)
    t.put("train.patience", max(patience, 0), where, comment="off" if patience <= 0 else "")
    reducer = ("train", "learning_rate_reducer")
    factor, waiting = ("train", "reducer_factor"), ("train", "reducer_patience")
    rate = t.get(factor, number, 0.1)
    epochs = t.get(waiting, whole, int(patience / 2) or 5)
    if not t.get(reducer, flag, False):
        t.put("train.schedule", "flat", reducer)
        t.remark(factor, "ignored: there is no reducer")
        t.remark(waiting, "ignored: there is no reducer")
        return
    t.put(
        "train.schedule", "plateau", reducer, comment="not below 1e-6; the reference had no bound"
    )
    t.put("train.reducer.factor", rate, factor)
    t.put("train.reducer.patience", max(epochs, 1), waiting)


def _translate_previews(t: Translation) -> None:
    count_key = ("train", "num_infer_images")
    whole_key, tiled_key = ("train", "epoch_change_infer"), ("train", "epoch_change_tiledinfer")
    is_whole, is_tiled = t.get(whole_key, flag, False), t.get(tiled_key, flag, False)
    count = min(t.get(count_key, whole, 1), _MOST_PREVIEWS)
    if not is_whole and not is_tiled:
        t.put("train.previews.num_infer_images", 0, whole_key, comment="no previews")
        t.remark(tiled_key, "off, as epoch_change_infer is")
        t.remark(count_key, "ignored: there are no previews")
        return
    on = whole_key if is_whole else tiled_key
    t.put("train.previews.num_infer_images", count, count_key, comment="whole and tiled")
    for key in (whole_key, tiled_key):
        t.remark(key, "train.previews shows both, the whole image and the tiled one")
    folder = ("infer" if on == whole_key else "tiledinfer", "images_dir")
    images = t.get(folder, optional(text), None)
    if images is not None:
        t.put("train.previews.images", images, folder)


def translate_augmentation(t: Translation) -> None:
    """`[generator]`, `[augmentor]` and the sections of its warps."""
    generator, wanted = ("model", "generator"), ("generator", "augmentation")
    is_on = t.get(generator, flag, False) and t.get(wanted, flag, True)
    t.old.drop(*wanted)
    if not is_on:
        of = wanted if t.get(generator, flag, False) else generator
        off: dict[str, JSON] = {"hflip": False, "vflip": False, "scale": [1.0, 1.0]}
        for key in ("rotation", "shear", "deformation", "brightness", "contrast", "colour"):
            off[key] = 0.0
        for name, value in off.items():
            t.put(f"train.augmentation.{name}", value, of)
        sections = ("augmentor", "deformation", "distortion", "barrdistortion", "pincdistortion",
                    "sharpening", "brightening")  # fmt: skip
        for entry in t.old.left():
            if entry.section in sections:
                t.remark((entry.section, entry.key), "ignored: nothing is augmented")
        return
    for name in ("hflip", "vflip"):
        t.put(f"train.augmentation.{name}", t.get(("augmentor", name), flag, True),
              ("augmentor", name))  # fmt: skip
    _translate_geometry(t)
    _translate_deformation(t)
    _translate_brightening(t)


def _translate_geometry(t: Translation) -> None:
    rotation, angles = ("augmentor", "rotation"), ("augmentor", "angles")
    turns = [abs((a + 180) % 360 - 180) for a in t.get(angles, several(number), (90, 180, 270))]
    if t.get(rotation, flag, True) and turns:
        t.put(
            "train.augmentation.rotation", float(max(turns)), angles, comment="any angle up to it"
        )
        t.remark(rotation, "train.augmentation.rotation is above 0")
    else:
        t.put("train.augmentation.rotation", 0.0, rotation)
        t.remark(angles, "ignored: nothing is turned")
    shrinks, shears = ("augmentor", "shrinks"), ("augmentor", "shears")
    scales = (1.0, *map(float, t.get(shrinks, several(number), (0.8,))))
    t.put(
        "train.augmentation.scale", [min(scales), max(scales)], shrinks, comment="any size between"
    )
    factors = [abs(float(s)) for s in t.get(shears, several(number), ())]
    degrees = round(math.degrees(math.atan(max(factors, default=0.0))), 1)
    t.put(
        "train.augmentation.shear",
        degrees,
        shears,
        comment="a factor there, its angle in degrees here",
    )


def _translate_deformation(t: Translation) -> None:
    wanted = ("augmentor", "deformation")
    alpha_key, sigma_key = ("deformation", "alpah"), ("deformation", "sigmoids")
    alpha = t.get(alpha_key, number, 1300)
    sigmas = t.get(sigma_key, several(number), (t.get(("deformation", "sigmoid"), number, 8),))
    taken = ""
    if sigma_key in t.old.fallen:
        t.notice(sigma_key, "no list, so the reference took [8], and so is it here")
        taken = "no list there, so [8] as the reference took; "
    if not t.get(wanted, flag, False):
        t.put("train.augmentation.deformation", 0.0, wanted)
        for key in ("alpah", "sigmoid", "sigmoids"):
            t.remark(("deformation", key), "ignored: nothing is deformed")
        return
    smallest = min(sigmas, default=0)
    if smallest <= 0 or not math.isfinite(alpha):
        t.old.blame(*sigma_key, "must be above 0")
        return
    # 1300 and 8 shift by 8 pixels at most (measured); noise smoothed in space and over the colour
    # channels falls with the square of sigma.
    shift = round(8 * abs(alpha) / 1300 * (8 / smallest) ** 2, 1)
    t.put("train.augmentation.deformation", min(shift, 64.0), alpha_key,
          comment="a factor there, the largest shift in pixels here")  # fmt: skip
    t.put("train.augmentation.deformation_size", max(4.0, 4.0 * smallest), sigma_key,
          comment=f"{taken}four sigmas, the distance over which it changes")  # fmt: skip
    t.remark(wanted, "train.augmentation.deformation is above 0")
    t.remark(("deformation", "sigmoid"), "with sigmoids it decides the size of the deformation")


def _translate_brightening(t: Translation) -> None:
    wanted = ("augmentor", "brightening")
    gain, shift = ("brightening", "alpha"), ("brightening", "beta")
    alpha, beta = t.get(gain, number, 1.2), t.get(shift, number, 10)
    if t.get(wanted, flag, False):
        t.put(
            "train.augmentation.brightness",
            round(abs(beta) / 255, 4),
            shift,
            comment="share of white",
        )
        t.put("train.augmentation.contrast", round(abs(alpha - 1), 4), gain, comment="less 1")
        t.remark(wanted, "train.augmentation.brightness and contrast are above 0")
    else:
        t.put("train.augmentation.brightness", 0.0, wanted)
        t.put("train.augmentation.contrast", 0.0, wanted)
        t.remark(gain, "ignored: nothing is brightened")
        t.remark(shift, "ignored: nothing is brightened")
    t.put("train.augmentation.colour", 0.0, None, comment="the reference varies no colours")
