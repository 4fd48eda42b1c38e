import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.config.loader import load_config
from cervseg.contract import Contract
from cervseg.errors import ConfigError, ModelError

pytestmark = pytest.mark.usefixtures("started")


def build(**options):
    from cervseg.models.unet import build

    return build((None, None, 3), 1, **{"base_filters": 2, "num_layers": 4, **options})


@pytest.mark.parametrize(("filters", "layers"), [(512, 6), (1, 15), (8193, 1)])
def test_a_network_of_too_many_filters_is_not_built(filters, layers):
    with pytest.raises(ValueError) as caught:
        build(base_filters=filters, num_layers=layers)

    assert str(caught.value) == "the bottleneck would have over 8192 filters"


def test_a_contract_that_asks_for_too_many_is_refused_in_one_line():
    from cervseg.models.folder import build_network

    hostile = Contract(
        architecture="unet", options={"base_filters": 512, "num_layers": 20}, tile_size=64,
        classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    )  # fmt: skip

    with pytest.raises(ModelError) as caught:
        build_network(hostile, where="m/contract.json")

    assert str(caught.value) == (
        "m/contract.json: can't build unet: the bottleneck would have over 8192 filters"
    )


def test_as_many_filters_as_are_allowed_are_built(monkeypatch):
    monkeypatch.setattr("cervseg.models.blocks.MOST_FILTERS", 16)  # 8192 would take gigabytes

    assert build(num_layers=4).get_layer("bottleneck_conv2").filters == 16
    with pytest.raises(ValueError):
        build(num_layers=5)


@pytest.mark.parametrize(("filters", "layers", "widest"), [(512, 6, 16384), (17, 10, 8704)])
def test_a_config_that_asks_for_too_many_is_refused_before_any_work(
    *, tmp_path, filters, layers, widest
):
    path = tmp_path / "c.yaml"
    path.write_text(f"model:\n  base_filters: {filters}\n  num_layers: {layers}\n")

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert str(caught.value) == (
        f"{path}:1: 'model': the bottleneck would have {widest} filters, at most 8192 are allowed"
    )


@pytest.mark.parametrize(("filters", "layers"), [(512, 5), (16, 10)])
def test_the_config_allows_what_the_network_does(filters, layers):
    from cervseg.models.blocks import MOST_FILTERS

    changes = [f"model.base_filters={filters}", f"model.num_layers={layers}"]

    model = load_config(None, changes).config.model

    assert model.base_filters * 2 ** (model.num_layers - 1) == MOST_FILTERS


@pytest.mark.parametrize("layers", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", [0, 7])
def test_no_two_dropout_layers_have_one_seed(layers, seed):
    model = build(num_layers=layers, dropout_rate=0.2, dropout_seed=seed, base_filters=1)

    seeds = {layer.name: layer.seed for layer in model.layers if "dropout" in layer.name}

    down = [f"down{i}_dropout" for i in range(1, layers - 1)]
    up = [f"up{i}_dropout" for i in range(1, layers - 1)]
    assert set(seeds) == {*down, "bottleneck_dropout", *up}
    assert len(set(seeds.values())) == len(seeds)


def test_a_level_does_not_drop_on_the_way_up_what_it_dropped_on_the_way_down():
    model = build(num_layers=3, dropout_rate=0.4, dropout_seed=0)
    ones = np.ones((1, 9, 15, 4), "float32")

    down, up = (
        np.asarray(model.get_layer(f"{way}1_dropout")(ones, training=True))
        for way in ("down", "up")
    )

    assert 0.2 < (down == 0).mean() < 0.6 and 0.2 < (up == 0).mean() < 0.6
    assert not np.array_equal(down, up)
