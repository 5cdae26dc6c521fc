"""The command line: one file for each command, and what several of them share.

Commands read flags, call the parts that hold the rules, and print. Rules do not belong here. A command's file
is imported when the command is called, so that each pays for what it uses alone. Used by the console script
`gateway` and by `python -m gateway`.
"""

from __future__ import annotations

import sys

import click

from gateway import __version__
from gateway.cli.lazy import LazyGroup
from gateway.errors import BadInput, GatewayError

FAILURE = 1
BAD_USAGE = 2
INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    commands_in={
        "serve": ("gateway.cli.serve", "Run the gateway."),
        "check": ("gateway.cli.check", "Check a configuration, and say what it means."),
        "doctor": ("gateway.cli.doctor", "Look at a deployment, and say what to do about it."),
        "keys": ("gateway.cli.keys", "Make, list and revoke gateway keys."),
        "feedback": ("gateway.cli.feedback", "Give feedback on a trace, and list what was given."),
        "import": ("gateway.cli.importing", "Bring in what another gateway has logged."),
        "logs": ("gateway.cli.logs", "Look at logged requests."),
        "audit": ("gateway.cli.audit", "Show what was done that only an admin may do."),
        "backup": ("gateway.cli.backup", "Copy the store while it is in use."),
        "restore": ("gateway.cli.restore", "Put a backup in the place of the store."),
        "merge": ("gateway.cli.merge", "Bring what other stores hold into this one."),
        "migrate": ("gateway.cli.migrate", "Bring everything from one store into another."),
        "compact": ("gateway.cli.compact", "Write the database anew, without what was erased."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="gateway %(version)s")
def commands() -> None:
    """An LLM gateway that logs every request whole, and joins feedback to it.

    Try it without any provider: gateway serve --demo
    """


def main() -> None:
    """Run the command that the process was called with, and exit.

    Exit codes: 0, 1 for a failure, 2 for wrong usage or a bad configuration, 130 where Ctrl-C broke off a
    command that would have ended by itself.
    """
    sys.exit(_run())


def _run() -> int:
    try:
        code = commands.main(prog_name="gateway", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return BAD_USAGE
    except click.UsageError as error:
        return _fail(_usage(error), BAD_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), FAILURE)
    except click.Abort:
        return INTERRUPTED
    except GatewayError as error:
        return _explain(error)
    except OSError as error:
        return _fail(_reason(error), FAILURE)
    return code if isinstance(code, int) else 0


def _explain(error: GatewayError) -> int:
    if error.code == "bad_config":
        # Each line begins with file, line and column, as editors and terminals like to jump to.
        click.echo(str(error), err=True)
        return BAD_USAGE
    return _fail(str(error), BAD_USAGE if isinstance(error, BadInput) else FAILURE)


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _usage(error: click.UsageError) -> str:
    hint = f" Try '{error.ctx.command_path} --help'." if error.ctx else ""
    return f"{error.format_message()}{hint}"


def _reason(error: OSError) -> str:
    # asyncio says "error while attempting to bind on address …" of a port in use.
    reason = (error.strerror or str(error)).replace("error while attempting to", "cannot", 1)
    return f"{error.filename}: {reason}" if error.filename else reason
