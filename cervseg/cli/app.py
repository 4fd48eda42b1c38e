"""The command line of `cervseg`, and the one boundary where every error becomes words."""

import logging
import os
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout, suppress
from inspect import signature
from typing import Annotated, NoReturn

import typer

from cervseg import __version__
from cervseg.cli import (
    config,
    convert,
    dataset,
    evaluate,
    export,
    infer,
    inspect,
    plan,
    report,
    train,
)
from cervseg.cli.job import Job, Talk
from cervseg.cli.options import NO_VALUE, epilog
from cervseg.cli.stopping import Listener, TerminationSignal
from cervseg.console import (
    error_document,
    report_error,
    show_report,
    show_traceback,
    telling_notices,
    write_document,
    write_out,
)
from cervseg.errors import (
    BudgetError,
    CervsegError,
    ConfigError,
    FullDiskError,
    Interrupted,
    LostProcess,
    Terminated,
    tells_full_disk,
)
from cervseg.progress import RichProgress

BUG = 1

STOPPED = (Interrupted.exit_code, Terminated.exit_code, LostProcess.exit_code)
"""After which threads may still be at work."""

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")
config_app = typer.Typer(rich_markup_mode="markdown")


def _print_version(wanted: bool) -> None:
    if wanted:
        write_out(f"cervseg {__version__}")
        raise typer.Exit


def _show_help(context: typer.Context) -> None:
    """Without a command: what there is, on stderr, as for any wrong usage."""
    if context.invoked_subcommand is None:
        with redirect_stdout(sys.stderr):
            context.get_help()
        raise typer.Exit(ConfigError.exit_code)


@app.callback(
    invoke_without_command=True,
    epilog=epilog(
        "cervseg config init fields masks --output cells.yaml",
        "cervseg dataset-tile cells.yaml",
        "cervseg train cells.yaml",
        "cervseg evaluate cells.yaml",
        "cervseg tiled-infer cells.yaml new_fields",
    ),
)
def _top(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar=NO_VALUE,
            callback=_print_version,
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Segment Pap-smear images of any size: tile, train, score, infer; one YAML file."""
    _show_help(context)


@config_app.callback(invoke_without_command=True, epilog=epilog(*config.EXAMPLES))
def _config(context: typer.Context) -> None:
    """Draw up, check and explain configs."""
    _show_help(context)


app.command("plan", epilog=epilog(*plan.EXAMPLES))(plan.plan)
app.command("dataset-tile", epilog=epilog(*dataset.EXAMPLES))(dataset.dataset_tile)
app.command("dataset-check", epilog=epilog(*dataset.CHECK_EXAMPLES))(dataset.dataset_check)
app.command("convert", epilog=epilog(*convert.EXAMPLES))(convert.convert)
app.command("train", epilog=epilog(*train.EXAMPLES))(train.train)
app.command("evaluate", epilog=epilog(*evaluate.EXAMPLES))(evaluate.evaluate)
app.command("report", epilog=epilog(*report.EXAMPLES))(report.report)
app.command("infer", epilog=epilog(*infer.INFER_EXAMPLES))(infer.infer)
app.command("tiled-infer", epilog=epilog(*infer.TILED_INFER_EXAMPLES))(infer.tiled_infer)
app.command("inspect", epilog=epilog(*inspect.EXAMPLES))(inspect.inspect)
app.command("export", epilog=epilog(*export.EXAMPLES))(export.export)
app.add_typer(config_app, name="config")
config_app.command("show", epilog=epilog(*config.SHOW_EXAMPLES))(config.show)
config_app.command("schema", epilog=epilog(*config.SCHEMA_EXAMPLES))(config.schema)
config_app.command("init", epilog=epilog(*config.INIT_EXAMPLES))(config.init)
config_app.command("import", epilog=epilog(*config.IMPORT_EXAMPLES))(config.import_)


def run() -> NoReturn:
    """Be the `cervseg` of the shell."""
    code = main()
    if code in STOPPED or _is_joined():
        # Python's own end would abort threads of the backend that are still at work, and JAX's
        # would wait for the other processes.
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _is_joined() -> bool:
    """Whether this process trains together with others."""
    if "jax" not in sys.modules:
        return False
    from cervseg import processes

    return processes.is_joined()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: The words after `cervseg`; default: those of the process.

    Returns:
        The exit code, from the table in `errors.py`.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    command, talk = _overhear(words)
    told: Collection[str] = ()
    listener = Listener()
    try:
        with listener.listening():
            job = parse(words)
            if isinstance(job, int):
                return job
            command, talk = job.command, job.talk
            with telling_notices(quiet=talk.quiet, debug=talk.debug) as handler:
                told = handler.told
                return _perform(job, told, listener)
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - every error ends here
        error, exit_code = _explain(listener.cause_of(exc), words)
        if isinstance(error, Interrupted | FullDiskError) and _can_resume(command):
            room = "" if isinstance(error, Interrupted) else "make room, then "
            error.hint = f"{room}go on with: {_resuming(words)}"
        if exit_code == BUG or (talk.debug and not isinstance(exc, typer.TyperException)):
            show_traceback(exc)
        report_error(error)
        if talk.json:
            write_document(error_document(error, command=command, exit_code=exit_code, told=told))
        return exit_code


def parse(words: Sequence[str]) -> Job | int:
    """Understand a command line without running it; an exit code where help was all it asked."""
    job: object = app(list(words), prog_name="cervseg", standalone_mode=False)
    if job == Interrupted.exit_code:  # Typer makes a number of Ctrl-C
        raise KeyboardInterrupt
    return job if isinstance(job, Job | int) else 0


def _perform(job: Job, told: Collection[str], listener: Listener) -> int:
    with RichProgress(quiet=job.talk.quiet) as progress:
        result = job.work(listener.on(progress))
    if isinstance(result, str):
        write_out(result.removesuffix("\n"))
        return 0
    show_report(result, as_json=job.talk.json, quiet=job.talk.quiet, told=told)
    return result.exit_code


def _overhear(words: Sequence[str]) -> tuple[str | None, Talk]:
    """Guess command and manner before parsing, for errors of the parsing itself."""
    given = words[: words.index("--")] if "--" in words else words
    names = {str(info.name) for info in app.registered_commands}
    names |= {f"config {info.name}" for info in config_app.registered_commands} | {"config"}
    heads = (" ".join(given[:n]) for n in (2, 1))
    command = next((head for head in heads if head in names), None)
    talk = Talk(json="--json" in given, quiet="--quiet" in given, debug="--debug" in given)
    return command, talk


def _explain(exc: BaseException, words: Sequence[str]) -> tuple[CervsegError, int]:
    """Find the words and the exit code for whatever was raised."""
    error: CervsegError
    match exc:
        case typer.TyperException():
            error = _explain_usage(exc.format_message(), words)
        case Interrupted():
            error = Terminated(str(exc)) if _was_terminated(exc) else exc
        case CervsegError():
            error = exc
        case TerminationSignal():
            error = Terminated("terminated")
        case KeyboardInterrupt():
            error = Interrupted("interrupted")
        case MemoryError():
            hint = "a smaller batch_size or tile_size needs less"
            error = BudgetError("out of memory", hint=hint)
        case _ if tells_full_disk(exc):
            name = getattr(exc, "filename", None) or "output"
            error = FullDiskError(f"{name}: the disk is full", hint="make room")
        case _:
            described = ": ".join([type(exc).__name__, *str(exc).strip().splitlines()[:1]])
            hint = "please report it, with the lines above"
            return CervsegError(f"this is a bug of cervseg: {described}", hint=hint), BUG
    return error, error.exit_code


def _can_resume(command: str | None) -> bool:
    """Whether a command knows `--resume`."""
    found = next((info.callback for info in app.registered_commands if info.name == command), None)
    return found is not None and "resume" in signature(found).parameters


def _resuming(words: Sequence[str]) -> str:
    """The command line that goes on from here."""
    end = words.index("--") if "--" in words else len(words)  # behind it all are images
    kept = [word for word in words[:end] if word not in ("--overwrite", "--resume")]
    return shlex.join(["cervseg", *kept, "--resume", *words[end:]])


def _was_terminated(exc: BaseException | None) -> bool:
    """Whether a SIGTERM is among the causes."""
    while exc is not None:
        if isinstance(exc, TerminationSignal):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _explain_usage(message: str, words: Sequence[str]) -> ConfigError:
    """Put Typer's message into our form: lower case, no full stop, the suggestion as a hint."""
    message = " ".join(message.replace("Value error, ", "").split())
    message = message[:1].lower() + message[1:]
    suggested = re.fullmatch(r"(.*)\. Did you mean (.*)\?", message)
    possible = re.fullmatch(r"(.*) \(Possible options: (.*)\)", message)
    if suggested:
        message, hint = suggested[1], f"did you mean {suggested[2]}?"
    elif possible:
        message, hint = possible[1], f"did you mean {possible[2].replace(', ', ' or ')}?"
    else:
        command, _ = _overhear(words)
        hint = " ".join(filter(None, ("see cervseg", command, "--help")))
    return ConfigError(message.removesuffix("."), hint=hint)
