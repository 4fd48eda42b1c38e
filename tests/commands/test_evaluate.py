from pathlib import Path

import pytest

from cervseg.commands.evaluate import evaluate
from cervseg.config import Config
from cervseg.errors import ConfigError


@pytest.mark.parametrize(("name", "given"), [("model", ("run",)), ("whole", True)])
def test_masks_from_files_are_refused_beside_what_would_predict(name, given):
    with pytest.raises(ConfigError) as caught:
        evaluate(Config(), predictions=Path("masks"), **{name: given})

    assert str(caught.value) == f"--predictions are scored as they are, without --{name}"
