"""`cervseg plan`."""

import shlex

from cervseg.cli.job import Job, Talk
from cervseg.cli.options import Debug, OutputFile, Overrides, Quiet, Subject
from cervseg.errors import OutputError
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg plan fields --output cells.yaml",
    "cervseg plan configs/metaplastic.yaml --output metaplastic-plan.yaml",
)


def plan(
    subject: Subject,
    *,
    output: OutputFile = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Look at annotated images and this machine; write the config that suits them.

    Scale, tiles, network, batch, steps, sampling and loss, each with its reason, and what they
    cost here. A config's section `data` keeps what it says of images, masks, groups and splits.
    """

    def work(progress: Progress) -> Report | str:
        from cervseg.commands.plan import plan
        from cervseg.files import write_text
        from cervseg.writable import refuse_unwritable

        if output is not None and output.exists():
            raise OutputError(f"{output}: the file exists", hint="choose another --output")
        if output is not None:
            refuse_unwritable(output)
        text = plan(subject, overrides=overrides or (), output=output, progress=progress)
        if output is None:
            return text
        write_text(output, text)
        following = shlex.join(["cervseg", "dataset-tile", str(output)])
        return Report("plan", output=output, paths=(output,), next_command=following)

    return Job("plan", work, Talk(quiet=quiet, debug=debug))
