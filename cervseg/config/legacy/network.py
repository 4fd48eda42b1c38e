"""An old file's network and classes in our words."""

import difflib
from collections.abc import Callable

from cervseg.config.keys import all_keys
from cervseg.config.legacy.colours import MOST_CLASSES, translate_colours
from cervseg.config.legacy.ini import (
    MISSING,
    Missing,
    flag,
    one_of,
    optional,
    pair,
    several,
    text,
    whole,
)
from cervseg.config.legacy.keys import (
    BACKBONES,
    LATER,
    NETWORKS,
    ONE_CHANNEL,
    OPTIONS,
    SOFTMAX,
    Required,
)
from cervseg.config.legacy.translation import Translation
from cervseg.reports import JSON


def translate_network(t: Translation) -> None:
    """`[model]` as far as it describes the network."""
    name = _network_name(t)
    if name is None:
        for entry in t.old.left():
            if entry.section == "model":
                t.old.drop(entry.section, entry.key)
        return
    t.architecture = NETWORKS[name]
    t.put("model.architecture", t.architecture, ("model", "model"))
    _translate_size(t)
    for option in OPTIONS[name]:
        where = ("model", option.old)
        value: object
        if isinstance(option.default, Required):
            value = t.need(where, option.read, MISSING)
        else:
            value = t.old.take(*where, read=option.read, default=option.default)
        if not isinstance(value, Missing):
            t.put(f"model.{option.new}", _plain(value), where)
    _SPECIAL.get(name, _translate_others)(t)
    _translate_classes(t, name)
    for entry in t.old.left():
        if entry.section == "model" and entry.key in _NETWORK_KEYS:
            t.remark((entry.section, entry.key), f"ignored: {name} does not read it")


_NETWORK_KEYS = {option.old for options in OPTIONS.values() for option in options} | {
    "normalization", "input_normalize", "final_activation", "dropout_seed_fixing", "image_depth",
    "dilation", "efficientnet", "filters", "max_filter", "base_ksize", "batch_norm", "pool",
    "backbone", "weights", "freeze_backbone", "freeze_batch_norm",
}  # fmt: skip
"""Keys of `[model]` that one network or another reads."""


def _network_name(t: Translation) -> str | None:
    name = t.get(("model", "model"), text, "TensorflowUNet")
    if name == "Tensorflow3DUNet":
        t.old.blame("model", "model", "the 3-D network is not ported; images here are flat")
        return None
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(NETWORKS)}"
        t.old.blame("model", "model", f"no network of the reference: {name!r}", hint=hint)
        return None
    known = {kind for key in all_keys() if key.section == "model" for kind in key.kinds}
    if NETWORKS[name] not in known:
        t.old.blame("model", "model", f"{LATER}{name} ({NETWORKS[name]})")
        return None
    return name


def _plain(value: object) -> JSON:
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, bool | int | float | str) else None


def _translate_size(t: Translation) -> None:
    width = t.need(("model", "image_width"), whole, 512)
    height = t.need(("model", "image_height"), whole, 512)
    channels = t.need(("model", "image_channels"), whole, 3)
    t.tile_size = max(width, height)
    larger = "image_width" if width >= height else "image_height"
    t.put("data.tile_size", t.tile_size, ("model", larger), comment="the side of a square")
    if width != height:
        t.notice(
            ("model", larger),
            f"{width} x {height} is not square, where the reference itself fails; "
            f"tiles are square here, {t.tile_size} x {t.tile_size}",
        )
    t.put("model.input_channels", channels, ("model", "image_channels"))


def _translate_unet(t: Translation) -> None:
    if t.get(("model", "normalization"), flag, False):
        t.put("model.normalization", "batch", ("model", "normalization"))
        t.put("model.normalize_after", "activation", ("model", "normalization"))
    else:
        t.put("model.normalization", "none", ("model", "normalization"))
    if t.get(("model", "dropout_seed_fixing"), flag, False):
        t.put("model.dropout_seed", 137, ("model", "dropout_seed_fixing"), comment="its fixed seed")
    elif t.old.has("model", "dropout_seed_fixing"):
        t.remark(("model", "dropout_seed_fixing"), "off: the seed follows runtime.seed")
    inside = t.get(("model", "input_normalize"), flag, True)
    before = t.get(("dataset", "image_normalize"), flag, False)
    if t.get(("model", "generator"), flag, False):
        before = False
    if inside and before:
        t.old.blame(
            "dataset", "image_normalize", "scales what [model] input_normalize scales again"
        )
    of = ("dataset", "image_normalize") if before else ("model", "input_normalize")
    t.put("model.rescaling", "unit" if inside or before else "none", of)
    kernels = t.settings.get("model.base_kernels")
    if kernels is not None and kernels.value == [1, 1]:
        t.old.blame("model", "base_kernels", "the reference has 3 below level 0; here it is 1")


def _translate_classes(t: Translation, name: str) -> None:
    where = ("model", "num_classes")
    given = t.need(where, whole, 1)
    one = name in ONE_CHANNEL or (name == "TensorflowEfficientUNet" and given <= 2)
    channels = 1 if one else given
    if one and given != 1:
        t.notice(where, f"{name} gives one channel all the same")
    if not 1 <= channels <= MOST_CLASSES + 1:
        t.old.blame(*where, f"must be from 1 to {MOST_CLASSES}, not {given}")
        channels = 1
    final = "softmax" if name in SOFTMAX and channels > 1 else "sigmoid"
    if name == "TensorflowUNet":
        choices = {"sigmoid": "sigmoid", "softmax": "softmax"}
        final = t.get(("model", "final_activation"), one_of(choices), "sigmoid")
        where = ("model", "final_activation")
    if final == "softmax" and channels == 1:
        t.old.blame(*where, "a softmax of one channel is 1 everywhere")
    elif final == "softmax":
        channels -= 1
        t.notice(where, f"of {given} channels the first counts as background")
    t.classes = channels
    if final == "softmax" or channels > 1:
        t.put("model.final_activation", final, where)
    else:
        t.put("model.final_activation", "auto", where, comment="sigmoid, as there is one class")
    translate_colours(t)


def _translate_others(t: Translation) -> None:
    t.put("model.rescaling", "none", None, comment="the reference feeds [0, 255] to this network")


def _translate_multires(t: Translation) -> None:
    t.put("model.rescaling", "unit", None, comment="the reference always divides by 255 here")


def _translate_sharp(t: Translation) -> None:
    """Its list of filters doubles by default, as levels here always do."""
    where = ("model", "filters")
    filters = t.get(where, several(whole), (32, 64, 128, 256))
    most = t.get(("model", "max_filter"), whole, 512)
    first = filters[0] if filters else 0
    if first < 1 or [*filters, most] != [first * 2**i for i in range(len(filters) + 1)]:
        t.remark(where, f"{LATER}filters that do not double from level to level")
        t.remark(("model", "max_filter"), f"{LATER}filters that do not double from level to level")
    else:
        t.put("model.base_filters", first, where)
        t.put("model.num_layers", len(filters) + 1, where, comment="levels with the bottleneck")
    for key, usual in (("base_ksize", (3, 3)), ("dilation", (1, 1))):
        value = t.get(("model", key), pair, usual)
        t.remark(("model", key), "as here" if value == usual else f"{LATER}another than {usual}")
    _translate_others(t)


def _translate_trans(t: Translation) -> None:
    norm, backbone = ("model", "batch_norm"), ("model", "backbone")
    weights, freeze = ("model", "weights"), ("model", "freeze_backbone")
    norms = ("model", "freeze_batch_norm")
    t.put("model.normalization", "batch" if t.get(norm, flag, False) else "none", norm)
    encoder = t.get(backbone, optional(one_of(BACKBONES)), None)
    source, is_frozen = t.get(weights, optional(text), "imagenet"), t.get(freeze, flag, True)
    are_frozen = t.get(norms, flag, True)
    t.put("model.encoder", encoder or "plain", backbone)
    if encoder is None:
        for where in (weights, freeze, norms):
            t.remark(where, "ignored: there is no backbone")
        t.put(
            "model.rescaling", "none", None, comment="the reference feeds [0, 255] to this network"
        )
    else:
        t.put("model.encoder_weights", source or "none", weights)
        t.put("model.freeze_encoder", is_frozen, freeze)
        t.put("model.freeze_norms", are_frozen, norms)
    pool = ("model", "pool")
    t.remark(pool, "as here" if t.get(pool, flag, True) else f"{LATER}strided convolutions")


def _translate_encoder(t: Translation) -> None:
    t.put(
        "model.encoder_weights",
        "imagenet",
        ("model", "model"),
        comment="the reference downloads them",
    )


def _translate_b7(t: Translation) -> None:
    t.put("model.encoder", "efficientnet_b7", ("model", "model"))
    _translate_encoder(t)
    t.put("model.freeze_encoder", 61, ("model", "model"), comment="all layers but the last 61")


_SPECIAL: dict[str, Callable[[Translation], None]] = {
    "TensorflowUNet": _translate_unet,
    "TensorflowMultiResUNet": _translate_multires,
    "TensorflowSharpUNet": _translate_sharp,
    "TensorflowTransUNet": _translate_trans,
    "TensorflowEfficientUNet": _translate_encoder,
    "TensorflowEfficientNetB7UNet": _translate_b7,
    "TensorflowDeepLabV3Plus": _translate_encoder,
}
"""What a network says beyond its table of options."""
