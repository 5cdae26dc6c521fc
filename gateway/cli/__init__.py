"""The command line: a group that imports each command when it is called, exit codes and errors."""

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from gateway import __version__
from gateway.errors import BadInput, GatewayError


class LazyGroup(click.Group):
    """A group that imports a command when it is called, by its name, module and summary."""

    def __init__(self, *args: Any, command_modules: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._command_modules = command_modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._command_modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._command_modules:
            return None
        module = import_module(self._command_modules[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not (near := get_close_matches(args[0], self._command_modules, n=1)):
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._command_modules.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader, such as `head`, has enough. What is buffered would fail again at the interpreter's end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        return result


FAILURE = 1
BAD_USAGE = 2
INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    command_modules={
        "serve": ("gateway.cli.serve", "Run the gateway."),
        "check": ("gateway.cli.check", "Check a configuration, and show its effect."),
        "route": ("gateway.cli.route", "Show where a route sends a request, and why."),
        "experiments": ("gateway.cli.experiments", "Show which variant is better, and plan experiments."),
        "doctor": ("gateway.cli.doctor", "Find problems of a deployment, with their fixes."),
        "keys": ("gateway.cli.keys", "Create, list and revoke gateway keys."),
        "feedback": ("gateway.cli.feedback", "Add, list and rescale feedback."),
        "reviews": ("gateway.cli.reviews", "List reviews, and compare scores."),
        "report": ("gateway.cli.report", "Write what changed, what is disliked, and what it cost."),
        "stats": ("gateway.cli.report", "Show requests, errors, scores and cost over time."),
        "alerts": ("gateway.cli.alerts", "List, try, add and delete alerts."),
        "webhooks": ("gateway.cli.webhooks", "Make, list and change webhooks; list and resend messages."),
        "rules": ("gateway.cli.rules", "Make, try, list and change rules."),
        "import": ("gateway.cli.imports", "Import the logs of another gateway."),
        "logs": ("gateway.cli.logs", "Show logged requests."),
        "export": ("gateway.cli.export", "Write requests with their feedback to a file."),
        "datasets": ("gateway.cli.datasets", "Save filters under a name, and freeze what they find."),
        "replay": ("gateway.cli.replay", "Send logged conversations again, and compare the answers."),
        "open": ("gateway.cli.open", "Show the store in Datasette."),
        "audit": ("gateway.cli.audit", "Show the audit log."),
        "backup": ("gateway.cli.maintenance", "Copy the store while it is in use."),
        "restore": ("gateway.cli.maintenance", "Put a backup in the place of the store."),
        "merge": ("gateway.cli.maintenance", "Copy other stores into this one."),
        "migrate": ("gateway.cli.maintenance", "Copy one store into another."),
        "compact": ("gateway.cli.maintenance", "Rewrite the database without deleted rows."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="gateway %(version)s")
def commands() -> None:
    """An LLM gateway that logs every request in full and joins feedback to it.

    Try it without any provider: gateway serve --demo
    """


def main() -> None:
    """Run the command, and exit: 1 for a failure, 2 for wrong usage or configuration, 130 for Ctrl-C."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = commands.main(prog_name="gateway", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return BAD_USAGE
    except click.UsageError as error:
        hint = f" Try '{error.ctx.command_path} --help'." if error.ctx else ""
        return _report_failure(f"{error.format_message()}{hint}", BAD_USAGE)
    except click.ClickException as error:
        return _report_failure(error.format_message(), FAILURE)
    except click.Abort:
        return INTERRUPTED
    except GatewayError as error:
        if error.code == "bad_config":
            # Without "error:", since editors jump to lines that begin with file, line and column.
            click.echo(str(error), err=True)
            return BAD_USAGE
        return _report_failure(str(error), BAD_USAGE if isinstance(error, BadInput) else FAILURE)
    except OSError as error:
        return _report_failure(_os_error_message(error), FAILURE)
    return code if isinstance(code, int) else 0


def _report_failure(message: str, code: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _os_error_message(error: OSError) -> str:
    # asyncio says "error while attempting to bind on address …" of a port in use.
    reason = (error.strerror or str(error)).replace("error while attempting to", "cannot", 1)
    return f"{error.filename}: {reason}" if error.filename else reason
