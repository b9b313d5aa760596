"""All commands, in groups, and the options that stand before them."""

import sys
from typing import Annotated

import typer

from agentkit import __version__
from agentkit.cli import sandbox_packages
from agentkit.cli.approvals import list_requests, show_request
from agentkit.cli.approvals_decide import approve, deny, keygen
from agentkit.cli.audit_show import show
from agentkit.cli.audit_tail import tail
from agentkit.cli.audit_verify import verify
from agentkit.cli.chat import chat
from agentkit.cli.demo import demo
from agentkit.cli.doctor import doctor
from agentkit.cli.evaluate import tools
from agentkit.cli.failures import Commands
from agentkit.cli.init import init
from agentkit.cli.licence import licence
from agentkit.cli.logs import LogLevel, configure_logs
from agentkit.cli.plan import plan
from agentkit.cli.policy_cases import try_cases
from agentkit.cli.policy_explain import explain
from agentkit.cli.policy_show import show as show_policies
from agentkit.cli.run import run
from agentkit.cli.runs import cancel, list_runs, resume, show_run
from agentkit.cli.sandbox import build, check
from agentkit.cli.sandbox_run import run as run_in_sandbox
from agentkit.cli.schema import schema
from agentkit.cli.validate import validate

__all__ = ["app", "main"]

_BEGIN, _WORK, _PROVE = "Begin", "Work", "Prove"

app = typer.Typer(
    name="agentkit",
    cls=Commands,
    help="Tool-using assistants with a gate, a sandbox and an audit log.",
    epilog="Begin with: agentkit demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_audit = typer.Typer(no_args_is_help=True, help="Verify and read an audit log.")
_approvals = typer.Typer(no_args_is_help=True, help="Decide what agents ask people.")
_runs = typer.Typer(no_args_is_help=True, help="Runs that wait, were interrupted or are done.")
_evaluate = typer.Typer(no_args_is_help=True, help="Measure a model for this work.")
_policy = typer.Typer(no_args_is_help=True, help="Show, try and explain an agent's policies.")
_model = typer.Typer(no_args_is_help=True, help="Plan a model before it is downloaded.")
_sandbox = typer.Typer(no_args_is_help=True, help="Build and try the walls around code.")
_packages = typer.Typer(no_args_is_help=True, help="The packages that code may use.")

app.command(rich_help_panel=_BEGIN, epilog="Example: agentkit demo")(demo)
app.command(rich_help_panel=_BEGIN, epilog="Example: agentkit doctor")(doctor)
app.command(rich_help_panel=_BEGIN, epilog="Example: agentkit init my-agent --template analyst")(
    init
)
app.command(rich_help_panel=_BEGIN, epilog="Example: agentkit schema -o agent.schema.json")(schema)
app.add_typer(_model, name="model", rich_help_panel=_BEGIN)
app.command(rich_help_panel=_WORK, epilog="Example: agentkit validate agent.yaml")(validate)
app.command(rich_help_panel=_WORK, epilog="Example: agentkit run agent.yaml 'What is 6 * 7?'")(run)
app.command(rich_help_panel=_WORK, epilog="Example: agentkit chat agent.yaml")(chat)
app.add_typer(_approvals, name="approvals", rich_help_panel=_WORK)
app.add_typer(_runs, name="runs", rich_help_panel=_WORK)
app.add_typer(_sandbox, name="sandbox", rich_help_panel=_WORK)
_sandbox.add_typer(_packages, name="packages")
app.command(rich_help_panel=_PROVE, epilog="Example: agentkit licence agent.yaml")(licence)
app.add_typer(_evaluate, name="evaluate", rich_help_panel=_PROVE)
app.add_typer(_policy, name="policy", rich_help_panel=_PROVE)
app.add_typer(_audit, name="audit", rich_help_panel=_PROVE)

_evaluate.command(epilog="Example: agentkit evaluate tools --cases 100")(tools)
_model.command(epilog="Example: agentkit model plan --context 131072 --users 4")(plan)
_sandbox.command(epilog="Example: agentkit sandbox build")(build)
_sandbox.command(epilog="Example: agentkit sandbox check wasm")(check)
_sandbox.command("run", epilog="Example: agentkit sandbox run code.py --files data.csv --out made")(
    run_in_sandbox
)
_packages.command(name="list", epilog="Example: agentkit sandbox packages list")(
    sandbox_packages.show
)
_packages.command(epilog="Example: agentkit sandbox packages allow polars --lock my.json")(
    sandbox_packages.allow
)
_packages.command(epilog="Example: agentkit sandbox packages build numpy pandas")(
    sandbox_packages.build
)
_approvals.command("list", epilog="Example: agentkit approvals list agent.yaml")(list_requests)
_approvals.command("show", epilog="Example: agentkit approvals show agent.yaml 3f2a9c01d4e5")(
    show_request
)
_approvals.command(epilog="Example: agentkit approvals approve agent.yaml 3f2a9c01d4e5")(approve)
_approvals.command(epilog="Example: agentkit approvals deny agent.yaml 3f2a9c01d4e5")(deny)
_approvals.command(epilog="Example: agentkit approvals keygen --name kari")(keygen)
_runs.command("list", epilog="Example: agentkit runs list agent.yaml")(list_runs)
_runs.command("show", epilog="Example: agentkit runs show agent.yaml 5d1c")(show_run)
_runs.command(epilog="Example: agentkit runs resume agent.yaml 5d1c")(resume)
_runs.command(epilog="Example: agentkit runs cancel agent.yaml 5d1c")(cancel)
_policy.command("show", epilog="Example: agentkit policy show agent.yaml")(show_policies)
_policy.command("test", epilog="Example: agentkit policy test cases.yaml")(try_cases)
_policy.command(epilog="Example: agentkit policy explain 3f2a 1.1.1")(explain)
_audit.command(epilog="Example: agentkit audit verify agent.yaml --checkpoint note.txt")(verify)
_audit.command(epilog="Example: agentkit audit tail agent.yaml -n 50")(tail)
_audit.command(epilog="Example: agentkit audit show agent.yaml 3f2a 1.1.1")(show)


def main() -> None:
    """Run the command line; leaves by ``SystemExit`` with the codes of docs/cli.md."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is written out, not a reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="agentkit")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentkit {__version__}")
        raise typer.Exit


@app.callback()
def _prepare(
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="From which severity on to log, to stderr.")
    ] = LogLevel.WARNING,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")] = False,
    debug: Annotated[  # read by Commands.invoke
        bool, typer.Option("--debug", envvar="AGENTKIT_DEBUG", help="Show tracebacks.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    configure_logs(log_level, as_json=log_json, debug=debug)
