"""The `driftd` command."""

# Without `from __future__ import annotations`: typer would compile and evaluate every annotation twice, at each start.

import os
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from driftd import __version__
from driftd.cli.output import Format
from driftd.model.deployer import Deployer
from driftd.model.engine import Engine
from driftd.model.errors import ConfigError, DriftdError, describe_defect
from driftd.model.text import visible
from driftd.process.exit import exit_immediately
from driftd.process.garbage_collector import enable_gc_after_imports

CONFIG = Path("driftd.yaml")


class ListFormat(StrEnum):
    """The formats of `status`, `history` and `incident`."""

    TABLE = "table"
    JSON = "json"


app = typer.Typer(
    name="driftd",
    help="Knows what differs between Git and a Kubernetes cluster, who did it, and puts it right.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Looks at the configuration file.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="DRIFTD_CONFIG", metavar="FILE", help="The configuration file.")
]
DeployerCredentials = Annotated[
    bool,
    typer.Option(
        "--use-deployer-credentials", help="Fetch what is found with the logins that Argo CD and Flux keep in Secrets."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Log everything.")]


def command() -> None:
    """`main` as a process of its own: it exits without freeing its objects, which would only take time."""
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        exit_immediately(end.code or 0)


def main() -> None:
    """The entry point: errors are messages on stderr, without a traceback unless `--debug` asks for it.

    Whatever goes wrong ends with 2: a code of 1 would say that something differs.
    """
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        if end.code == 1 and not isinstance(end.__context__, typer.Exit):  # typer's own, for an abort or a closed pipe
            sys.exit(2)
        raise
    except ConfigError as error:
        sys.exit(_refuse(error))
    except DriftdError as error:
        print(f"driftd: {visible(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except MemoryError:
        print("driftd: this needs more memory than one command may have: check less at once", file=sys.stderr)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001  an exit code of 1 would say that something differs
        if "--debug" in sys.argv:
            traceback.print_exception(error)
        print(f"driftd: {describe_defect(error)}; --debug shows more", file=sys.stderr)
        sys.exit(2)


def _refuse(error: ConfigError) -> int:
    """Tells the mistakes of a file; returns the exit code."""
    for mistake in error.mistakes:
        print(visible(mistake), file=sys.stderr)
    if error.file == str(CONFIG) and not CONFIG.exists():
        print("name the configuration by --config FILE, or by $DRIFTD_CONFIG", file=sys.stderr)
    return 2


def _version(show: bool) -> None:
    if show:
        typer.echo(f"driftd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Knows what differs between Git and a Kubernetes cluster, who did it, and puts it right."""


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="APP", help="With --config: only these apps.")] = None,
    repo: Annotated[
        str | None, typer.Option(help="A Git repository: a path or an address.", metavar="PATH_OR_URL")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(metavar="REV", help="A branch, tag or commit; of a local repository also HEAD~1. [default: HEAD]"),
    ] = None,
    path: Annotated[str, typer.Option(help="The folder in the repository.", metavar="DIR")] = "",
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="For objects that name none.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(metavar="FILE", help="The kubeconfig file.")] = None,
    context: Annotated[str | None, typer.Option(metavar="NAME", help="The context in the kubeconfig.")] = None,
    engine: Annotated[
        Engine | None, typer.Option(metavar="ENGINE", help="Who compares: client or server. [default: client]")
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", metavar="FORMAT", help="table, json, markdown, junit or sarif.")
    ] = Format.TABLE,
    worktree: Annotated[bool, typer.Option("--worktree", help="With --repo: also what is not committed.")] = False,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="BRANCH",
            help="With --repo: as merged into this branch, and what that changes live.",
        ),
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option("--values", metavar="FILE", help="With --repo: a values file of the chart.")
    ] = None,
    release_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --repo: the release of the chart. [default: the folder]")
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(help="Show every field of one object and what is said of it.", metavar="KIND/NAME"),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also list what is in sync.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Check its apps. [default: $DRIFTD_CONFIG, or ./driftd.yaml]"
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="A folder that declares nothing is no error.")
    ] = False,
    discover: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYERS",
            help="Check what argo, flux and helm deploy to the cluster. [default: all, without --repo and --config]",
        ),
    ] = None,
    use_deployer_credentials: DeployerCredentials = False,
    debug: Debug = False,
) -> None:
    """Compares what Git declares with what is live: of a repository, of a configuration's apps, or of all that
    Argo CD, Flux and Helm deploy to the cluster.

    Exits with 0 if all is in sync, 1 if something differs, 2 if something could not be told.
    """
    _logs(debug=debug)
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from driftd.config.folders import cache_folder
    from driftd.desired.worker import git_worker
    from driftd.process.limits import limit_own_memory

    limit_own_memory()  # a repository may declare more than the machine has
    with ExitStack() as stack:
        # A mirror of what is not committed, or not merged, is of no use to a later check.
        folder = (
            stack.enter_context(TemporaryDirectory(prefix="driftd-")) if worktree or base else cache_folder() / "check"
        )
        worker = stack.enter_context(git_worker(Path(folder)))
        from driftd.cli.check import run_check  # while the worker imports what it needs
        from driftd.cli.checked_apps import CheckRequest

        request = CheckRequest(
            names=tuple(names or ()), repo=repo, revision=revision, path=path, namespace=namespace,
            kubeconfig=kubeconfig, context=context, engine=engine, config=config, explain=explain,
            worktree=worktree, values_files=tuple(values or ()), release_name=release_name,
            allow_empty=allow_empty, discover=_deployers(discover), deployer_credentials=use_deployer_credentials,
            base=base,
        )  # fmt: skip
        code = _asyncio(run_check(request, output, show_all=show_all, provider=worker))
    raise typer.Exit(code)


def _deployers(names: str | None) -> tuple[Deployer, ...]:
    try:
        return tuple(Deployer(name.strip()) for name in names.split(",")) if names else ()
    except ValueError:
        raise DriftdError(f"--discover {names}: name one or more of {', '.join(Deployer)}") from None


@app.command()
def run(
    config: ConfigOption = CONFIG,
    discover: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYERS", help="Observe what argo and flux deploy to the clusters; there need be no file then."
        ),
    ] = None,
    use_deployer_credentials: DeployerCredentials = False,
) -> None:
    """Runs the daemon, which watches, reports and heals."""
    from driftd.cli.daemon import run_daemon

    deployers = _deployers(discover)
    if Deployer.HELM in deployers:
        raise DriftdError("the daemon follows argo and flux: what Helm has installed is judged by `driftd check`")
    raise typer.Exit(_asyncio(run_daemon(config, deployers, credentials=use_deployer_credentials)))


@app.command()
def sync(
    name: Annotated[str, typer.Argument(metavar="APP")],
    config: ConfigOption = CONFIG,
    release: Annotated[
        bool, typer.Option("--release", help="End a hold, and follow Git again. In mode observe, nothing is written.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Applies what Git declares for an app, where something differs."""
    _logs(debug=debug)
    from driftd.cli.operate import run_sync

    raise typer.Exit(_asyncio(run_sync(config, name, release=release)))


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="APP")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="REV", help="A revision of its history. [default: the last good one]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Go back to REV although it was bad.")] = False,
    config: ConfigOption = CONFIG,
    debug: Debug = False,
) -> None:
    """Applies an earlier revision of an app and holds it there.

    The hold ends when what Git declares changes, or with `driftd sync APP --release`.
    """
    _logs(debug=debug)
    from driftd.cli.operate import run_rollback

    raise typer.Exit(_asyncio(run_rollback(config, name, to=to, force=force)))


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="APP", help="All that is known of this app.")] = None,
    config: ConfigOption = CONFIG,
    output: Annotated[
        ListFormat, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")
    ] = ListFormat.TABLE,
) -> None:
    """Shows the apps as their last passes left them, or all that is known of one."""
    from driftd.cli.operate import run_status

    raise typer.Exit(_asyncio(run_status(config, name, output)))


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="APP", help="Only of this app.")] = None,
    config: ConfigOption = CONFIG,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not before this time; or so long ago: 30m, 2h.")
    ] = None,
    manager: Annotated[
        str | None, typer.Option("--manager", metavar="NAME", help="Changed under this field manager.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Of objects of this kind.")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Of objects in this namespace.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most N entries, 1000 at most.")
    ] = 50,
    output: Annotated[
        ListFormat, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")
    ] = ListFormat.TABLE,
) -> None:
    """Shows what happened, newest first.

    Revisions, verdicts, what was written and why, edits that were put back at once, and incidents, with object, field,
    both values, and who.
    """
    from datetime import UTC, datetime

    from driftd.cli.operate import moment, run_history
    from driftd.service.views import HistoryFilter

    start = moment(since, datetime.now(UTC)) if since is not None else None
    criteria = HistoryFilter(name, start, manager, kind, namespace)
    raise typer.Exit(_asyncio(run_history(config, criteria, limit, output)))


@app.command()
def incident(
    name: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, or its beginning.")],
    config: ConfigOption = CONFIG,
    output: Annotated[
        ListFormat, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")
    ] = ListFormat.TABLE,
) -> None:
    """Shows everything about an incident.

    What differed, who did it and which line of Git says otherwise, how it ended, what was written, and who was told.
    """
    from driftd.cli.operate import run_incident

    raise typer.Exit(_asyncio(run_incident(config, name, output)))


@config_app.command("validate")
def config_validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration file.")] = CONFIG,
) -> None:
    """Checks a configuration file, and names the place of every mistake."""
    from driftd.config.loading import load, unusable_files
    from driftd.model.text import plural

    loaded = load(file)
    problems = unusable_files(loaded, file)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(2)
    patterns = sum(app.is_pattern for app in loaded.apps)
    counts = [plural(len(loaded.sources), "source"), plural(len(loaded.apps) - patterns, "app")]
    counts += [plural(patterns, "pattern") + " of apps"] if patterns else []
    typer.echo(f"{file}: valid, with {', '.join(counts[:-1])} and {counts[-1]}")


@config_app.command("schema")
def config_schema() -> None:
    """Prints the JSON Schema of the configuration, for editors."""
    from driftd.config.schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the show, also on a terminal.")] = False,
) -> None:
    """Shows the main job on an embedded cluster.

    Drift, who and where, Slack, heal, a bad commit, rollback.
    """
    from driftd.cli.demo.steps import run_demo

    raise typer.Exit(_asyncio(run_demo(stay=sys.stdout.isatty() and not once)))


def _asyncio(work: Any) -> int:
    import asyncio

    enable_gc_after_imports()  # disabled by `driftd.__main__`
    try:
        code = int(asyncio.run(work))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`driftd check | head`). Not 1, which would mean drift.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return code


def _logs(*, debug: bool) -> None:
    from driftd.cli.logs import set_up_logging
    from driftd.config.logs import LogLevel

    set_up_logging(LogLevel.DEBUG if debug else LogLevel.WARNING)


if __name__ == "__main__":
    main()
