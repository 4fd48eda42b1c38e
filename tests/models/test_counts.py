"""Learned parameters at each paper's own setting, against what was published.

`docs/networks.md` shows the same numbers and says where they come from.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from cervseg.models import ARCHITECTURES

PAGE = Path(__file__).parents[2] / "docs/networks.md"


class Count(NamedTuple):
    """One setting: ours, what theirs has more by counting layers by hand, and theirs, millions."""

    name: str
    options: dict
    channels: int
    published: float
    more: int = 0
    encoder: bool = False  # that alone

    @property
    def id(self):
        return "-".join([self.name, *(f"{v}" for v in self.options.values())])


PLAIN = {"normalization": "none"}
# Enlarging by 3 x 3 instead of 2 x 2 convolutions; gates of half our width, 1 x 1 instead of 2 x 2.
ATTENTION = sum((9 - 4) * 2 * f * f - (6 - 1) * f * f for f in (64, 128, 256, 512))
# Three blocks of a ResNet at stride 16, each convolution with a scale and a shift.
RESNET = 3 * (2 * 1024 * 256 + 9 * 256 * 256 + 2 * (256 + 256 + 1024))
# Of ImageNet's 1000 classes, which no encoder has.
LITE_HEAD = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000

COUNTS = [
    Count("unet", {"base_filters": 64, **PLAIN}, 1, 31.03),
    Count("attention_unet", {"base_filters": 64}, 1, 34.88, more=ATTENTION),
    Count("multires_unet", {}, 1, 7.26),
    Count("unetplusplus", {"base_filters": 32, **PLAIN}, 1, 9.04),
    Count("unet3plus", {"base_filters": 64}, 1, 26.97),
    Count("u2net", {}, 1, 44.0),
    Count("u2net", {"size": "small"}, 1, 1.13),
    Count("basnet", {}, 1, 87.06),
    Count("efficient_unet", {}, 1, 5.3, more=1281 * 1000, encoder=True),
    Count("deeplabv3plus", {}, 1, 25.6, more=2049 * 1000, encoder=True),
    Count("xception_unet", {}, 3, 2.06),
    Count("lite_unet", {}, 1, 4.652, more=LITE_HEAD, encoder=True),
    Count("swin_unet", {}, 9, 27.17),
    Count("trans_unet", {"encoder": "resnet50"}, 9, 105.28, more=RESNET),
    Count("segformer", {"size": "b0"}, 150, 3.8),
    Count("segformer", {"size": "b1"}, 150, 13.7),
    Count("segformer", {"size": "b2"}, 150, 27.5),
]
CASES = [pytest.param(count, id=count.id) for count in COUNTS]

pytestmark = pytest.mark.usefixtures("started")


def learned(count):
    model = ARCHITECTURES[count.name]((None, None, 3), count.channels, **count.options)
    variables = {
        v.path: v
        for layer in model.layers
        for v in layer.trainable_variables
        if layer.name.startswith("encoder_") or not count.encoder
    }
    return sum(math.prod(v.shape) for v in variables.values())


@pytest.mark.slow
@pytest.mark.parametrize("count", CASES)
def test_a_network_has_as_many_parameters_as_published_within_two_percent(count):
    ours = learned(count)

    assert (ours + count.more) / 1e6 == pytest.approx(count.published, rel=0.02)
    assert f"{ours:,}" in PAGE.read_text(encoding="utf-8"), ours


@pytest.mark.slow
def test_sharpening_learns_nothing_more_than_a_unet():
    sharp, plain = (
        learned(Count(name, {"base_filters": 32, **PLAIN}, 1, 0)) for name in ("sharp_unet", "unet")
    )

    assert sharp == plain


def test_every_network_has_a_row_of_counts_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    section = re.search(r"^## Parameters\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]

    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(ARCHITECTURES)
