from pathlib import Path

import pytest

from cervseg.commands.evaluate import _following, evaluate
from cervseg.config import Config
from cervseg.errors import ConfigError


@pytest.mark.parametrize(("name", "given"), [("model", ("run",)), ("whole", True)])
def test_masks_from_files_are_refused_beside_what_would_predict(name, given):
    with pytest.raises(ConfigError) as caught:
        evaluate(Config(), predictions=Path("masks"), **{name: given})

    assert str(caught.value) == f"--predictions are scored as they are, without --{name}"


@pytest.mark.parametrize(
    ("data", "words", "named"),
    [
        ({"train": {"output": "runs/mine"}}, "c.yaml", False),
        (
            {},
            "--set tiled_infer.scale=2",
            True,
        ),  # without an experiment the built-in is the default
        ({}, None, True),
    ],
)
def test_the_next_command_names_the_model_unless_the_config_does(data, words, named):
    config = Config.model_validate(data)

    command = _following(config, [config.train.output], config_words=words, fold=None)

    assert ("--model" in command) == named
    assert command.endswith("IMAGES") and (words or "") in command
