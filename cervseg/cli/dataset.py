"""`cervseg dataset-tile`."""

from cervseg.cli.job import Job, Talk, load, refuse_both, words_of
from cervseg.cli.options import ConfigFile, Debug, Json, Overrides, Overwrite, Quiet, Resume
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg dataset-tile configs/metaplastic.yaml",
    "cervseg dataset-tile configs/metaplastic.yaml --set data.scale=0.5",
)


def dataset_tile(
    config: ConfigFile,
    *,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Check photographs and masks, split them without leaks, cut them into tiles."""
    refuse_both(overwrite, resume)

    def work(progress: Progress) -> Report:
        from cervseg.commands.dataset_tile import dataset_tile

        return dataset_tile(
            load(config, overrides),
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            config_words=words_of(config, overrides),
        )

    return Job("dataset-tile", work, Talk(json=json, quiet=quiet, debug=debug))
