import numpy as np
import pytest

from cervseg.models.folder import final_network
from cervseg.models.inspection import geometry
from cervseg.models.unetplusplus import build

pytestmark = pytest.mark.usefixtures("started")


def made(**options):
    return build((None, None, 3), 2, **{"base_filters": 3, "num_layers": 4, **options})


def sources(layer):
    """Names of the layers that a layer reads."""
    return [x._keras_history.operation.name for x in layer._inbound_nodes[0].input_tensors]


def head_names(model):
    return [x._keras_history.operation.name for x in model.outputs]


def ancestors(model, output):
    import keras

    return {layer.name for layer in keras.Model(model.inputs[0], output).layers}


def test_a_triangle_of_nodes_each_of_two_convolutions_as_wide_as_its_level():
    model = made()

    found = {layer.name: layer for layer in model.layers if "conv" in layer.name}

    expected = {
        f"node{i}_{j}_conv{part}": 3 * 2**i
        for i in range(4)
        for j in range(4 - i)
        for part in (1, 2)
    }
    convolutions = {name: x for name, x in found.items() if hasattr(x, "filters")}
    assert {name: x.filters for name, x in convolutions.items()} == expected
    assert {x.kernel_size for x in convolutions.values()} == {(3, 3)}


def test_a_node_reads_all_before_it_on_its_level_and_the_one_below():
    model = made()

    for i, j in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)):
        before = [f"node{i}_{k}_conv2_act" for k in range(j)]
        assert sources(model.get_layer(f"node{i}_{j}_skip")) == [*before, f"node{i}_{j}_expand"]
        below = f"node{i + 1}_{j - 1}_conv2_act"
        assert sources(model.get_layer(f"node{i}_{j}_expand")) == [below]
        assert sources(model.get_layer(f"node{i}_{j}_conv1")) == [f"node{i}_{j}_skip"]


def test_the_last_node_of_level_0_answers_and_deep_supervision_asks_the_others():
    model, deep = made(), made(deep_supervision=True)

    assert head_names(model) == ["logits"]
    assert head_names(deep) == ["logits", "side1_logits", "side2_logits"]
    for head, j in (("logits", 3), ("side1_logits", 1), ("side2_logits", 2)):
        assert sources(deep.get_layer(head)) == [f"node0_{j}_conv2_act"]


def test_deep_supervision_changes_nothing_of_the_network_that_answers():
    cut, plain = final_network(made(deep_supervision=True)), made()

    assert [v.path for v in cut.weights] == [v.path for v in plain.weights]


def test_a_side_head_is_that_of_a_shallower_network_so_it_could_be_pruned():
    deep = made(deep_supervision=True)

    for j in (1, 2):
        levels = {int(n[4]) for n in ancestors(deep, deep.outputs[j]) if n.startswith("node")}
        assert max(levels) == j


def test_every_node_serves_the_answer():
    model = made(deep_supervision=True)

    nodes = {layer.name for layer in model.layers if layer.name.startswith("node")}

    assert nodes <= ancestors(model, model.outputs[0])


def test_two_levels_are_a_unet():
    model = made(num_layers=2, deep_supervision=True)

    assert head_names(model) == ["logits"]
    assert geometry(model).align == 2
    tile = np.full((1, 6, 10, 3), 9.0, "float32")
    assert model(tile).shape == (1, 6, 10, 2)


def test_too_few_levels_and_too_many_filters_are_refused():
    with pytest.raises(ValueError, match="^a UNet\\+\\+ has at least 2 levels$"):
        made(num_layers=1)
    for options in ({"base_filters": 4097, "num_layers": 2}, {"num_layers": 10**6}):
        with pytest.raises(ValueError, match="^the deepest level would have over 8192 filters$"):
            made(**options)


@pytest.mark.slow
def test_it_has_as_many_parameters_as_in_the_paper():
    model = build((None, None, 3), 1, base_filters=32, normalization="none")

    assert round(model.count_params() / 1e6, 2) == 9.04
