"""The commands are functions of the package too."""

import pytest

import cervseg


@pytest.mark.parametrize(
    "name", ["dataset_tile", "train", "cross_validate", "evaluate", "infer", "tiled_infer"]
)
def test_a_command_is_a_function_of_the_package(fake, name):
    assert name in cervseg.__all__
    assert name in dir(cervseg)

    getattr(cervseg, name)(None, progress=None)

    assert fake.calls == [(name, None, {})]


def test_the_package_loads_configs(config):
    assert cervseg.load_config(config).config.train.epochs == 3


def test_another_name_is_no_attribute_of_the_package():
    with pytest.raises(AttributeError, match="module 'cervseg' has no attribute 'infre'"):
        _ = cervseg.infre
