"""An old file's training in our words."""

from cervseg.config.legacy.ini import flag, number, one_of, optional, several, text, whole
from cervseg.config.legacy.keys import LOSSES, METRICS, OPTIMIZERS
from cervseg.config.legacy.translation import Translation

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
