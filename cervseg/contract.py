"""What a model expects and gives, readable without Keras: `contract.json`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast, get_args

from cervseg import values
from cervseg.arrays import RGB, Probabilities
from cervseg.bounds import one_line
from cervseg.classes import IGNORE, Classes, format_colour
from cervseg.errors import DataError, ModelError
from cervseg.files import read_json, write_json
from cervseg.reports import JSON
from cervseg.runs import Run

CONTRACT = "contract.json"
CARD = "card.md"
BUILTIN = "builtin:"
"""Before the name of a model that comes with the package, wherever a model is named."""
BUILTIN_NAME = r"[a-z][a-z0-9-]*"
DEFAULT_MODEL = Path(f"{BUILTIN}metaplastic")
"""Segments where no other is named, once the package has it."""
Activation = Literal["sigmoid", "softmax"]
ColorOrder = Literal["RGB", "BGR"]
ColorSpace = Literal["rgb", "hsv", "lab"]
Augment = Literal["none", "flips", "dihedral"]


class Predictor(Protocol):
    """A model that answers tiles; made in `engines`.

    Law: the answer for a tile does not depend on the other tiles of the call.
    """

    def __call__(self, tiles: RGB) -> Probabilities:
        """Predict tiles of shape (n, size, size, 3)."""
        ...


class TrainingImage(NamedTuple):
    """An image the model has seen, by the digest of its decoded pixels."""

    sha256: str
    phash: str | None
    split: str


@dataclass(frozen=True)
class Preprocessing:
    """The last step before the network; `images.preprocess` does it."""

    color_space: ColorSpace = "rgb"
    gamma: float = 1.0
    sharpen: float = 0.0


@dataclass(frozen=True)
class Postprocessing:
    """How probabilities become a mask, lengths and areas in pixels of a full-size photograph.

    Args:
        blur: Sigma of a Gaussian on the probabilities; 0 is off.
        hysteresis: Objects stay that reach this probability in a pixel; None: all.
        fill_holes: Holes of at most this area are filled; 0 is off.
        split_touching: Objects that touch are cut apart at centres so far apart; 0 is off.
        min_area: Smaller objects become background.
    """

    blur: float = 0.0
    hysteresis: float | None = None
    fill_holes: int = 0
    split_touching: float = 0.0
    min_area: int = 0

    def but(self, asked: object) -> "Postprocessing":
        """The same, except for what a config's section says: its attributes that are not None."""
        said = {name: getattr(asked, name) for name in asdict(self)}
        return replace(self, **{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True)
class Contract:
    """All that inference must know of a model.

    Args:
        architecture: A name in `ARCHITECTURES`.
        options: Keyword arguments of its `build`.
        classes: Foreground classes in order.
        activation: Applied to the logits. Sigmoid: a channel each class; softmax: background
            first.
        input_channels: 3, or 1 for grey.
        channels: Of the output.
        tile_size: Side of the square tiles it is given, a multiple of `align`, pixels.
        align: The total stride; tile origins are multiples of it.
        receptive_field: Radius in pixels; None where the network sees the whole tile.
        margin: Pixels at a cut edge that can't be trusted; None where it sees the whole tile.
        scale: Model pixels per pixel of a full-size photograph.
        mpp: Micrometres per model pixel, where known.
        threshold: One a sigmoid channel, in (0, 1).
        temperature: Divides the logits.
        postprocess: What is done to its masks unless somebody asks for something else.
        augment: Likewise how often it looks at a tile: once, in 4 flips, or in all 8 turns.
        trained_on: Images of the training and validation splits.
        statistics: Of objects and stain in the training images, where known.
    """

    architecture: str
    options: Mapping[str, JSON]
    classes: Classes
    activation: Activation
    tile_size: int
    align: int = 1
    input_channels: int = 3
    channels: int = 1
    color_order: ColorOrder = "RGB"
    preprocess: Preprocessing = Preprocessing()
    receptive_field: int | None = None
    margin: int | None = None
    scale: float = 1.0
    mpp: float | None = None
    threshold: tuple[float, ...] = (0.5,)
    temperature: float = 1.0
    postprocess: Postprocessing = Postprocessing()
    augment: Augment = "none"
    trained_on: tuple[TrainingImage, ...] = ()
    statistics: Mapping[str, JSON] | None = None
    seed: int = 0
    versions: Mapping[str, str] | None = None
    created: str = ""

    def save(self, folder: Path) -> None:
        """Write the contract into a model folder."""
        document = asdict(self)
        document["classes"] = [
            {"index": i, "name": name, "colour": format_colour(colour)}
            for i, (name, colour) in enumerate(
                zip(self.classes.names, self.classes.colours, strict=True), start=1
            )
        ]
        document["ignore"] = IGNORE
        document["rescaling"] = self.options.get("rescaling")
        document["trained_on"] = [image._asdict() for image in self.trained_on]
        write_json(folder / CONTRACT, document)

    @classmethod
    def load(cls, folder: Path) -> "Contract":
        """Read and check the contract of a model folder.

        Raises:
            ModelError: It is missing, broken, of another format, or out of bounds.
        """
        path = folder / CONTRACT
        try:
            document = read_json(path, what="contract")
        except DataError as exc:
            raise ModelError(str(exc)) from exc
        document.setdefault("postprocess", asdict(Postprocessing()))  # older ones have neither
        document.setdefault("augment", "none")
        try:
            return _parse(document)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            reason = f"{exc} is missing" if isinstance(exc, KeyError) else str(exc)
            raise ModelError(f"{path}: broken contract: {one_line(reason)}") from exc


def builtin_folder() -> Path:
    """Where the package keeps its own models, a folder each."""
    return Path(__file__).with_name("builtin")


def builtin_models() -> dict[str, Path]:
    """The folders of the models that come with the package, by name."""
    return {
        path.parent.name: path.parent
        for path in sorted(builtin_folder().glob(f"*/{CONTRACT}"))
        if re.fullmatch(BUILTIN_NAME, path.parent.name)  # nothing that is being written
    }


def is_builtin(path: Path) -> bool:
    """Whether a model is named as `builtin:NAME`."""
    return str(path).startswith(BUILTIN)


def find_model(path: Path) -> Path:
    """The model folder behind a run folder, a model folder or `builtin:NAME`.

    Raises:
        ModelError: There is none.
    """
    if is_builtin(path):
        return _find_builtin(path)
    for folder in (path / "model", path):
        if (folder / CONTRACT).is_file():
            return folder
    if not path.exists():
        raise ModelError(f"{path}: no such model", hint="make one with: cervseg train CONFIG")
    if Run(path).record.is_file():
        raise ModelError(
            f"{path}: its training has not ended, so there is no model yet",
            hint="go on with it: cervseg train CONFIG --resume",
        )
    parts = Run(path).models_within()
    hint = f"name one within: {parts}" if parts else "name a run folder, or its folder `model`"
    raise ModelError(f"{path}: no model in it (no {CONTRACT})", hint=hint)


def _find_builtin(path: Path) -> Path:
    models = builtin_models()
    name = str(path).removeprefix(BUILTIN)
    if name not in models:
        known = ", ".join(f"{BUILTIN}{other}" for other in models) or "none in this version"
        raise ModelError(f"{path}: no such built-in model; there is {known}")
    return models[name]


def _parse(document: dict[str, JSON]) -> Contract:
    classes = _parse_classes(document)
    align = values.integer(document, "align", (1, 4096))
    tile_size = values.integer(document, "tile_size", (1, 16384))
    if tile_size % align:
        raise ValueError(f"tile_size {tile_size} is no multiple of align {align}")
    activation = values.choice(document, "activation", ("sigmoid", "softmax"))
    channels = values.integer(document, "channels", (1, 256))
    if channels != len(classes) + (activation == "softmax"):
        raise ValueError(f"{channels} channels for {len(classes)} classes and {activation}")
    thresholds = values.typed(document, "threshold", list)
    if len(thresholds) != len(classes):
        raise ValueError(f"{len(thresholds)} thresholds for {len(classes)} classes")
    return Contract(
        architecture=values.typed(document, "architecture", str),
        options=values.typed(document, "options", dict),
        classes=classes,
        activation=cast(Activation, activation),
        tile_size=tile_size,
        align=align,
        input_channels=_input_channels(document),
        channels=channels,
        color_order=cast(ColorOrder, values.choice(document, "color_order", ("RGB", "BGR"))),
        preprocess=_parse_preprocessing(values.typed(document, "preprocess", dict)),
        receptive_field=values.integer_or_none(document, "receptive_field"),
        margin=values.integer_or_none(document, "margin"),
        scale=values.number(document, "scale", (1e-4, 1e4)),
        mpp=None if document["mpp"] is None else values.number(document, "mpp", (1e-4, 1e4)),
        threshold=tuple(
            values.number({"threshold": t}, "threshold", (1e-6, 1)) for t in thresholds
        ),
        temperature=values.number(document, "temperature", (1e-3, 1e3)),
        postprocess=_parse_postprocessing(values.typed(document, "postprocess", dict)),
        augment=cast(Augment, values.choice(document, "augment", get_args(Augment))),
        trained_on=tuple(map(_parse_training_image, values.rows(document, "trained_on"))),
        statistics=values.mapping_or_none(document, "statistics"),
        seed=values.integer(document, "seed", (0, 2**31)),
        versions=cast(Mapping[str, str] | None, values.mapping_or_none(document, "versions")),
        created=values.typed(document, "created", str),
    )


def _parse_classes(document: dict[str, JSON]) -> Classes:
    rows = values.rows(document, "classes")
    if not rows:
        raise ValueError("'classes' is empty")
    return Classes.of(
        {values.typed(row, "name", str): values.typed(row, "colour", str) for row in rows}
    )


def _parse_preprocessing(document: dict[str, JSON]) -> Preprocessing:
    return Preprocessing(
        cast(ColorSpace, values.choice(document, "color_space", ("rgb", "hsv", "lab"))),
        values.number(document, "gamma", (0.01, 100)),
        values.number(document, "sharpen", (0, 100)),
    )


def _parse_postprocessing(document: dict[str, JSON]) -> Postprocessing:
    hysteresis = document["hysteresis"]
    return Postprocessing(
        values.number(document, "blur", (0, 1000)),
        None if hysteresis is None else values.number(document, "hysteresis", (0, 1)),
        values.integer(document, "fill_holes", (0, 10**12)),
        values.number(document, "split_touching", (0, 1e6)),
        values.integer(document, "min_area", (0, 10**12)),
    )


def _parse_training_image(row: dict[str, JSON]) -> TrainingImage:
    phash = None if row["phash"] is None else values.typed(row, "phash", str)
    return TrainingImage(values.typed(row, "sha256", str), phash, values.typed(row, "split", str))


def _input_channels(document: dict[str, JSON]) -> int:
    count = values.integer(document, "input_channels", (1, 3))
    if count == 2:
        raise ValueError("'input_channels' must be 1 or 3, not 2")
    return count
