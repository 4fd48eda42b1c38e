"""`cervseg dataset-check`: what is wrong with a dataset, what it consists of, a cleaned copy."""

from collections.abc import Sequence
from pathlib import Path

from cervseg.commands.check_outputs import (
    field_records,
    findings_table,
    outlier_table,
    statistics_table,
    write_findings,
)
from cervseg.commands.check_pictures import write_augmentation, write_sheet, write_statistics
from cervseg.config import Config
from cervseg.config.loader import as_config
from cervseg.data.checks import Finding
from cervseg.data.examination import (
    Examined,
    check_classes,
    check_groups,
    check_inverted,
    check_pairs,
    examine_all,
    find_pairs,
)
from cervseg.data.repair import LOG, Repaired, repair_all
from cervseg.data.statistics import FieldStatistics, find_outliers, sum_up
from cervseg.data.survey import Survey, survey_config, survey_folder
from cervseg.errors import ConfigError, LeakError
from cervseg.files import claim, refuse_occupied
from cervseg.reports import SILENT, Failure, Progress, Report, Table
from cervseg.writable import refuse_unwritable

OUTPUT = Path("cervseg-check")
"""Where the pictures go unless somebody says."""


def dataset_check(
    config: Config | Path | str | None = None,
    *,
    folder: Path | str | None = None,
    output: Path | str = OUTPUT,
    fix: Path | str | None = None,
    strict: bool = False,
    augmentation: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Read every image and mask once; tell what is wrong with them and what they consist of.

    Args:
        config: With section `data`; default: all defaults.
        folder: Check this instead of `data.source`: a dataset folder, or one with `images` and
            `masks` in it or in `train`, `valid` and `test` below it.
        output: Folder for `findings.csv`, `fields.csv`, `findings.png`, `statistics.png`.
        fix: Folder for a cleaned copy; see `repair_field`.
        strict: Warnings are errors.
        augmentation: Also `augmentation.png`: what training makes of a few images.
        overwrite: Move occupied outputs aside.
        progress: Draws the bars.

    Returns:
        Errors are failures, with exit code 3, leaks 4.

    Raises:
        ConfigError: A key is missing or does not fit the data.
        DataError: There is nothing to check.
        OutputError: An output folder is occupied or can't be written.
    """
    config, output = as_config(config), Path(output)
    survey = survey_folder(Path(folder), config.data) if folder else survey_config(config.data)
    needed = [path for field in survey.fields for path in (field.image, field.origin)]
    for place in (output, *([Path(fix)] if fix else [])):
        refuse_occupied(place, overwrite=overwrite, needed=needed)
        refuse_unwritable(place)
    if fix and Path(fix).resolve() == output.resolve():
        raise ConfigError(f"--fix and --output are one folder, {output}")
    examined = examine_all(survey.fields, survey.classes, progress=progress)
    findings = _find(survey, examined, progress=progress)
    if strict:
        findings = [finding._replace(severity="error") for finding in findings]
    outliers = find_outliers(_rows(examined), survey.classes)
    with claim(output, overwrite=overwrite):
        paths = _write(output, survey, examined, findings=findings)
        if augmentation:
            paths += write_augmentation(output, survey, config)
    fixed = _fix(survey, fix, overwrite=overwrite, progress=progress)
    tables = (
        findings_table(findings),
        statistics_table(sum_up(_rows(examined)), survey),
        outlier_table(outliers),
        _fix_table(fixed),
    )
    return Report(
        "dataset-check",
        output,
        results=tuple(field_records(survey, examined, findings, outliers=outliers)),
        paths=(*paths, *((Path(fix),) if fix else ())),
        failures=_failures(findings),
        notices=(*survey.notices, *_notices(findings, fix)),
        tables=tuple(table for table in tables if table.rows),
    )


def _rows(examined: Sequence[Examined]) -> list[FieldStatistics]:
    return [one.statistics for one in examined if one.statistics]


def _write(
    output: Path, survey: Survey, examined: Sequence[Examined], *, findings: Sequence[Finding]
) -> list[Path]:
    rows = _rows(examined)
    return [
        *write_findings(output, findings, rows, classes=survey.classes),
        *write_statistics(output, survey, rows),
        *write_sheet(output, findings, survey.fields, classes=survey.classes),
    ]


def _find(survey: Survey, examined: Sequence[Examined], *, progress: Progress) -> list[Finding]:
    pairs = find_pairs(examined, progress=progress)
    return [
        *(_unpaired(problem) for problem in survey.problems),
        *(finding for one in examined for finding in one.findings),
        *check_pairs(examined, pairs),
        *check_groups(survey.fields),
        *check_classes(examined, survey.classes),
        *check_inverted(examined, survey.classes),
    ]


def _unpaired(problem: str) -> Finding:
    item, _, message = problem.rpartition(": ")
    return Finding("no partner", "error", item, message)


def _failures(findings: Sequence[Finding]) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            finding.item,
            f"{finding.kind}: {finding.message}",
            exit_code=LeakError.exit_code if finding.kind == "leak" else 3,
        )
        for finding in findings
        if finding.severity == "error"
    )


def _notices(findings: Sequence[Finding], fix: Path | str | None) -> list[str]:
    notices = []
    if any(finding.kind == "leak" for finding in findings):
        notices.append(
            "leaks flatter scores: give what belongs together one group (data.group_pattern, "
            "group_file), or split it otherwise"
        )
    if fix is not None:
        return [*notices, f"the masks in {fix} are class indices: set data.masks.read: index"]
    mendable = {"noise", "orientation"} & {finding.kind for finding in findings}
    if mendable:
        notices.append("--fix DIR writes a cleaned copy: masks of class indices, upright images")
    return notices


def _fix(
    survey: Survey, fix: Path | str | None, *, overwrite: bool, progress: Progress
) -> list[Repaired]:
    if fix is None:
        return []
    with claim(Path(fix), overwrite=overwrite) as folder:
        return repair_all(survey.fields, survey.classes, folder, progress=progress)


def _fix_table(fixed: Sequence[Repaired]) -> Table:
    """How many files were changed in which way."""
    changes: dict[str, list[int]] = {}
    for one in fixed:
        change = "left out" if one.change.startswith("left out") else one.change
        changes.setdefault(change, []).append(one.pixels)
    rows = tuple((what, str(len(p)), str(sum(p))) for what, p in sorted(changes.items()))
    return Table(f"cleaned copy, listed in {LOG}", ("what", "files", "pixels changed"), rows)
