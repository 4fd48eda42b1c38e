import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.commands import forecasting
from cervseg.commands.forecasting import forecast_image
from cervseg.commands.inputs import Input
from cervseg.config.inference import TiledInferConfig
from cervseg.contract import Contract, Postprocessing
from cervseg.images.readers import open_image
from cervseg.images.segments import KEPT, Segmented
from cervseg.inference.assembly import Assembly
from cervseg.inference.budget import Costs, Memory, choices, within
from cervseg.inference.decision import Decision
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.prediction import plan_tiles
from cervseg.inference.segment import Model, Segmenter

CONTRACT = Contract(
    architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=256, align=16, receptive_field=40, margin=20, options={},
)  # fmt: skip
COSTS = Costs(idle=500_000_000, kept=10_000_000, tile=20_000_000, seconds=0.1)


def slide(height, width):
    """One that is read in segments, of which none is ever read here."""
    return Segmented(Path("a.tif"), height, width, segment=(512, 512), load=lambda *_: 1 / 0)


def tools(*, channels=1, blur=0.0, batch=4, **how):
    config = TiledInferConfig(batch_size=batch)
    decision = Decision("sigmoid", (0.5,), Postprocessing(blur=blur))
    output = OutputFolder(Path("out"))
    assembly = Assembly(output, decision, CONTRACT.classes, palette=[], **how)
    model = Model(CONTRACT, lambda tiles: tiles[..., :1] / np.float32(255), channels, {})
    plan = plan_tiles(CONTRACT, config, channels=channels)
    return Segmenter(model, assembly, config, plan)


def memory(tools, image, way):
    return forecast_image(within(tools, way), image, COSTS).memory


def test_memory_follows_from_the_width_not_the_height():
    low, high, wide = (forecast_image(tools(), slide(*size), COSTS) for size in (
        (5_003, 20_011), (40_009, 20_011), (5_003, 40_001)))  # fmt: skip

    assert low.memory == high.memory < wide.memory
    assert low.seconds < high.seconds and low.disk < high.disk and low.tiles < high.tiles


@pytest.mark.parametrize("size", [(301, 207), (3_001, 2_503), (40_009, 20_011)])
@pytest.mark.parametrize("how", [{}, {"channels": 3, "blur": 2.0, "probabilities": True}])
def test_what_comes_last_takes_least_and_each_part_counts(size, how):
    those, image = tools(**how), slide(*size)
    ways = list(choices(4))

    needed = [memory(those, image, way) for way in ways]

    assert ways[0] == Memory(4) and min(needed) == needed[-1] < needed[0] == max(needed)
    assert {way.batch for way in ways} == {1, 2, 3, 4} and len(ways) == len({*ways})
    for way, bytes_needed in zip(ways, needed, strict=True):
        for less in ({"batch": 1}, {"spare": 0}, {"piece": ways[-1].piece}):
            assert memory(those, image, way._replace(**less)) <= bytes_needed


def test_a_smaller_piece_is_counted_where_the_second_pass_needs_more_than_the_first():
    those = tools(channels=9, batch=1)

    large, small = (
        memory(those, slide(30_011, 3_001), Memory(1, piece=piece)) for piece in (10**6, 250_000)
    )

    assert large - small > 100_000_000


def test_what_a_reader_keeps_is_counted():
    more, less = (memory(tools(), slide(3001, 2503), Memory(4, spare)) for spare in (KEPT, 0))

    assert more - less == (6 - 2) * 5 * 512 * 512 * 3  # all rows of segments, or two


def test_only_the_batch_is_part_of_what_bands_depend_on():
    those = tools()
    fingerprints = [within(those, way).model.fingerprint for way in choices(2)]

    assert fingerprints == [{"batch_size": 2}] * 6 + [{"batch_size": 1}] * 6


def test_an_object_that_is_everywhere_is_counted_but_never_more_than_the_mask_holds():
    those = replace(tools(batch=1), plan=replace(tools(batch=1).plan, size=64, overlap=0))
    small, large = (
        forecast_image(those, slide(*size), COSTS._replace(tile=0)).memory - COSTS.idle - COSTS.kept
        for size in ((70, 90), (8_000, 9_000))
    )

    assert small < 3_000_000 and large > 75_000_000


def test_only_the_largest_photograph_stays_in_memory(tmp_path, monkeypatch):
    sizes = {"a": (37, 45), "b": (90, 121), "c": (64, 64), "d": (121, 80)}
    inputs = []
    for name, size in sizes.items():
        Pillow.fromarray(np.full((*size, 3), 9, np.uint8)).save(tmp_path / f"{name}.png")
        inputs.append(Input(tmp_path / f"{name}.png", name))
    (tmp_path / "broken.png").write_bytes(b"none")
    references = []

    def opened(path):
        image = open_image(path)
        references.append(weakref.ref(image))
        return image

    class Costly:
        def __call__(self, those, image):
            held = [one for reference in references if (one := reference()) is not None]
            assert (image.height, image.width) == sizes["b"] and held == [image]
            return COSTS

    monkeypatch.setattr(forecasting, "open_image", opened)
    monkeypatch.setattr(forecasting, "measure", Costly())
    planned, failures = forecasting.plan_images(
        [*inputs, Input(tmp_path / "broken.png", "broken")], tools()
    )

    assert [(p.image.height, p.image.width) for p in planned] == [*sizes.values()]
    assert [Path(failure.item).name for failure in failures] == ["broken.png"]
    expected = forecast_image(tools(), open_image(tmp_path / "d.png"), COSTS)
    assert planned[3].forecast == expected
