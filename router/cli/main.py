"""The command ``router``: a group whose commands are imported when they are used, so that it starts at once.

What goes wrong is one line on stderr with what to do next, and an exit status: 0 done, 1 failed, 2 wrong usage or a
wrong file, 3 ledger, 4 a second server on the same home, 5 can't listen.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from router import __version__
from router.errors import RouterError

# Name -> (module, what the list of commands says of it). Grouped as a person meets them.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Run the server in the foreground."),
    "start": ("start", "Run the server in the background."),
    "stop": ("stop", "Stop the running server."),
    "restart": ("restart", "Replace the running server by a new one; no request notices it."),
    "status": ("status", "Show the running server and its profiles."),
    "init": ("init", "Make the home and a first profile."),
    "run": ("run", "Run an agent whose requests go to a profile."),
    "env": ("env", "Print the variables that point an agent at a profile."),
    "setup": ("setup", "Write an agent's own settings so that it goes to a profile."),
    "agents": ("agents", "List the agents, and through which profile each goes."),
    "import": ("import_", "Make a profile from another program's configuration."),
    "profile": ("profile", "Make, show, remove, stop and start profiles."),
    "route": ("route", "List, add, remove and move the rules of a profile."),
    "alias": ("alias", "List, set and remove the aliases of a profile."),
    "check": ("check", "Show every problem of every profile's files."),
    "explain": ("explain", "Show which rule takes a request, and why."),
    "usage": ("usage", "Show what was spent, by rule or otherwise."),
    "requests": ("requests", "Show the latest requests, or one with its calls."),
    "replay": ("replay", "Show where past requests would have gone by other rules."),
    "advise": ("advise", "Show what past requests suggest to change in the rules."),
    "providers": ("providers", "List the known providers and whether their keys are there."),
    "models": ("models", "List models with their context windows and prices."),
    "prices": ("prices", "Show the price table, or the prices of one model."),
    "demo": ("demo", "Show the router at work: no keys, no network."),
    "key": ("key", "Create, list and revoke client keys."),
    "doctor": ("doctor", "Look for what keeps the router from working."),
    "helper": ("helper", "See to the local programs that the server runs."),
    "breaker": ("breaker", "Show which targets and keys are left alone, or end that."),
}


class Router(click.Group):
    """The group. Commands come from ``COMMANDS``; errors end here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"router.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f'no command "{args[0]}"' + (f'; did you mean "{close[0]}"?' if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit with the status that fits."""

        def run() -> Any:
            return super(Router, self).main(args, prog_name, complete_var, standalone_mode=False, **extra)

        if not standalone_mode:
            return run()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # an old terminal shows ? for → instead of failing
        if os.environ.get("NO_COLOR"):
            extra.setdefault("color", False)
        try:
            status = run()
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        except click.UsageError as error:
            hint = f"see `{error.ctx.command_path} --help`" if error.ctx is not None else "see `router --help`"
            _fail(f"{error.format_message().rstrip('.')}; {hint}", 2)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except RouterError as error:
            _fail(str(error), error.exit_status)
        except click.Abort:
            sys.exit(130)  # as a shell says of a program ended by Ctrl-C
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has enough
            sys.exit(0)
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            _fail(f"{what}{(error.strerror or str(error)).lower()}", 1)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    click.secho(
        "router: ", fg="red", bold=True, nl=False, err=True, color=False if os.environ.get("NO_COLOR") else None
    )
    click.echo(message, err=True)
    sys.exit(status)


EPILOG = """\b
Examples:
  router init work -p anthropic   make a profile
  router serve                    run the server
  router usage --since 7d         see what it cost
"""


@click.group(cls=Router, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="router %(version)s")
def cli() -> None:
    """Route the requests of coding agents to models by rules, and see what each rule costs.

    The home is ~/.router, or where ROUTER_HOME says. Each profile in it has a routing.toml with ordered rules; the
    first that matches decides.
    """


def main() -> None:
    """The console script's entry."""
    cli(prog_name="router")
