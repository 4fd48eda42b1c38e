import pytest

from cervseg.commands.record import score_settings
from cervseg.config import Config


def changed(section, **keys):
    part = getattr(Config(), section).model_copy(update=keys)
    return Config().model_copy(update={section: part})


@pytest.mark.parametrize(
    "config",
    [
        changed("evaluate", mpp=0.25),  # of the distances in micrometres
        changed("evaluate", surface_tolerance=5.0),
        changed("tiled_infer", min_area=100),
    ],
)
def test_settings_that_scores_depend_on_are_kept_with_them(config):
    assert score_settings(config, "tiled") != score_settings(Config(), "tiled")


@pytest.mark.parametrize(
    "config",
    [
        changed("evaluate", overlays=9),
        changed("tiled_infer", mpp=0.25),
        changed("tiled_infer", skip_background=True),
        changed("infer", min_area=100),
    ],
)
def test_settings_that_change_no_score_are_not(config):
    assert score_settings(config, "tiled") == score_settings(Config(), "tiled")
