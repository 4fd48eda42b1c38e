"""Everything that one inference needs, opened once a process."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from cervseg import machine, runtime
from cervseg.commands.record import make_record
from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Contract, Predictor, find_model
from cervseg.errors import ConfigError
from cervseg.inference.assembly import Assembly
from cervseg.inference.budget import Memory, within
from cervseg.inference.decision import decision_for
from cervseg.inference.objects.files import ObjectType
from cervseg.inference.outputs import OutputFolder, coloured_classes
from cervseg.inference.prediction import plan_tiles
from cervseg.inference.scales import require_scale
from cervseg.inference.segment import Model, Segmenter
from cervseg.reports import JSON

if TYPE_CHECKING:
    from cervseg.engines.settings import EngineName

_OBJECTS: dict[bool | str, ObjectType | None] = {
    False: None,
    True: "detection",
    "annotations": "annotation",
}
"""What key `objects` says of what is written."""


class Opening(NamedTuple):
    """What a process must be told to segment images as another does.

    Args:
        command: infer or tiled-infer.
        section: Of the config.
        models: Run or model folders.
        output: The folder to write.
        settings: Of the machine.
        engine: The one to use in place of the section's; None: the section's.
        memory: How images are worked; None: as the section says.
    """

    command: str
    section: InferConfig
    models: tuple[Path, ...]
    output: OutputFolder
    settings: RuntimeConfig
    engine: str | None = None
    memory: Memory | None = None


def open_segmenter(opening: Opening) -> Segmenter:
    """Load the model.

    Raises:
        ConfigError: A key does not fit the model, or an engine is missing.
        ModelError: The model is broken.
    """
    settings, section = opening.settings, opening.section
    machine.keep_blocks()
    from cervseg.engines import open_model
    from cervseg.engines.graphs import exported_for

    if any(exported_for(find_model(path)) is None for path in opening.models):
        runtime.start(
            device=settings.device, threads=settings.threads, deterministic=settings.deterministic
        )

    tiled = section if isinstance(section, TiledInferConfig) else None
    opened = open_model(
        opening.models,
        engine=cast("EngineName", opening.engine or section.engine),
        precision=section.precision,
        augment=section.augment,
        disagreement=section.disagreement,
        tile_size=tiled.tile_size if tiled else None,
        threads=settings.threads,
    )
    contract = opened.contract
    require_scale(section, contract)
    channels = contract.channels + opened.extra_channels
    plan = plan_tiles(contract, tiled, channels=channels, square=opened.square) if tiled else None
    assembly = _assembly(opening, contract)
    record = make_record(opening.command, section, opening.models)
    fingerprint: dict[str, JSON] = {
        **record,
        "engine": opened.engine,
        "versions": dict(runtime.versions()),
        "threads": settings.threads or runtime.allowed_cores(),
    }
    model = Model(contract, opened.predict, channels, fingerprint)
    large = _open_large(opening) if tiled and tiled.self_check else None
    tools = Segmenter(model, assembly, section, plan, large)
    if opening.memory is not None:
        tools = within(tools, opening.memory)
    return tools


def _assembly(opening: Opening, contract: Contract) -> Assembly:
    section, settings = opening.section, opening.settings
    classes, palette = coloured_classes(contract.classes, section.colorize)
    return Assembly(
        opening.output,
        decision_for(section, contract),
        classes,
        palette,
        probabilities=section.probabilities,
        disagreement=section.disagreement,
        overlays=section.overlays,
        objects=_OBJECTS[section.objects],
        look_first=section.look_first,
        threads=settings.threads or runtime.allowed_cores(),
    )


def _open_large(opening: Opening) -> Predictor:
    """The same model for windows of any size, which only Keras computes.

    Raises:
        ConfigError: A folder is exported, so for tiles of one size.
    """
    from cervseg.engines import open_model
    from cervseg.engines.graphs import exported_for

    for path in opening.models:
        if exported_for(find_model(path)) is not None:
            raise ConfigError(
                f"{path}: an exported model has tiles of one size, "
                "but 'tiled_infer.self_check' compares them with larger windows",
                hint="name the run that it was exported from",
            )
    return open_model(opening.models, augment=opening.section.augment).predict
