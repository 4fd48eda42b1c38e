import pytest

from cervseg.config.augmentation import TRANSFORMS, AugmentationConfig
from cervseg.config.loader import dump_config, load_config
from cervseg.config.presets import PRESETS
from cervseg.errors import ConfigError


def loaded(*settings):
    overrides = [f"train.augmentation.{setting}" for setting in settings]
    return load_config(None, overrides).config.train.augmentation


def refusal(setting):
    with pytest.raises(ConfigError) as caught:
        loaded(setting)
    return (
        str(caught.value).removeprefix(f"--set train.augmentation.{setting}: "),
        caught.value.hint,
    )


def on(config):
    return {name for name in TRANSFORMS if getattr(config, name).probability > 0}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_turns_on_what_it_names_and_nothing_else(preset):
    assert on(loaded(f"preset={preset}")) == set(PRESETS[preset])


def test_without_a_word_the_preset_is_standard():
    assert loaded() == AugmentationConfig() == AugmentationConfig(preset="standard")
    assert "paste" not in on(loaded()), "it needs a second sample"


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_names_exists(preset):
    for name, values in PRESETS[preset].items():
        assert set(values) <= set(TRANSFORMS[name].model_fields)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_written_config_loads_back_as_the_same_one(preset, tmp_path):
    settings = [f"train.augmentation.preset={preset}", "train.augmentation.rotation=[30, 60]",
                "train.augmentation.blur=true"]  # fmt: skip
    config = load_config(None, settings).config
    path = tmp_path / "x.yaml"
    path.write_text(dump_config(config), encoding="utf-8")

    assert load_config(path).config == config


def test_what_is_written_stands_before_the_preset_and_the_rest_of_it_stays():
    config = loaded("preset=strong", "elastic.probability=0.1", "stain.gain=0.5")

    assert (config.elastic.probability, config.elastic.alpha) == (0.1, 300.0)
    assert (config.stain.gain, config.stain.shift, config.stain.probability) == (0.5, 0.04, 0.8)
    assert config.noise == loaded("preset=strong").noise


def test_a_transform_that_the_preset_leaves_out_comes_with_its_usual_values():
    config = loaded("preset=none", "blur.sigma=3", "jpeg=true", "elastic={}")

    assert on(config) == {"blur", "jpeg", "elastic"}
    assert (config.blur.sigma, config.blur.probability) == (3.0, 0.2)
    assert config.jpeg.quality == (50, 95)


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("rotation=30", "rotation.range", 30.0),
        ("rotation=[90, 180]", "rotation.angles", (90.0, 180.0)),
        ("rotation=[90, 180]", "rotation.range", 0.0),
        ("rotation={angles: [45]}", "rotation.range", 0.0),
        ("scale=[0.5, 2]", "scale.range", (0.5, 2.0)),
        ("shear=3", "shear.range", 3.0),
        ("hflip=0.2", "hflip.probability", 0.2),
        ("hflip=false", "hflip.probability", 0.0),
        ("elastic=50", "elastic.alpha", 50.0),
        ("distortion=0.01", "distortion.strength", 0.01),
        ("barrel=0.2", "barrel.amount", 0.2),
        ("brightness=30", "brightness.beta", 30.0),
        ("gamma=[0.5, 1]", "gamma.range", (0.5, 1.0)),
        ("jpeg=[30, 60]", "jpeg.quality", (30, 60)),
        ("sharpen=0.4", "sharpen.k", 0.4),
        ("paste=2", "paste.count", 2),
        ("stain=false", "stain.probability", 0.0),
    ],
)
def test_a_plain_value_stands_for_the_first_key_of_its_transform(setting, key, value):
    section, name = key.split(".")

    assert getattr(getattr(loaded(setting), section), name) == value


def test_true_is_as_the_preset_has_it():
    assert loaded("preset=strong", "elastic=true") == loaded("preset=strong")


def test_a_range_of_angles_takes_the_place_of_a_list_in_the_preset():
    config = loaded("preset=reference", "rotation.range=20")

    assert (config.rotation.range, config.rotation.angles) == (20.0, ())
    assert config.rotation.probability == loaded("preset=reference").rotation.probability


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("hflip=off", "'train.augmentation.hflip' must be a number, not 'off'", None),
        ("scale=[2, 1]", "'train.augmentation.scale': must be [smallest, largest]", None),
        ("jpeg=[90, 50]", "'train.augmentation.jpeg': must be [smallest, largest]", None),
        ("rotation=200", "'train.augmentation.rotation' must be at most 180, not 200", None),
        ("rotation={range: 3, angles: [90]}",
         "'train.augmentation.rotation': `range` and `angles` exclude each other", None),
        ("elastic.alhpa=3", "unknown key 'train.augmentation.elastic.alhpa'",
         "did you mean 'alpha'?"),
        ("preset=stron", "'train.augmentation.preset' must be one of 'none', 'reference', "
         "'standard', 'strong', not 'stron'", "did you mean 'strong'?"),
        ("noise={probability: 2}",
         "'train.augmentation.noise.probability' must be at most 1, not 2", None),
        ("barrel.centers=[]",
         "'train.augmentation.barrel.centers' must have at least 1 entry, not 0", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_where_it_stands(setting, message, hint):
    assert refusal(setting) == (message, hint)


def test_editors_know_the_short_forms():
    schema = AugmentationConfig.model_json_schema()

    for name, transform in TRANSFORMS.items():
        long, short = schema["properties"][name]["anyOf"]
        assert long == {"$ref": f"#/$defs/{transform.__name__}"}
        assert short["type"] == ["boolean", "number", "array"]
