"""The `gitboot` command: one table of subcommands, each loaded only when it is called.

Shell. Here and in `reconciler.commands` alone are argv, the environment and the configuration file read; everything below
gets frozen settings. What goes wrong is said in one sentence with a next step, and never as a traceback.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

from reconciler.sentence import Sentence

COMMANDS = {
    "serve": "Serve a git repository: reconciler and netboot servers in one process.",
    "reconcile": "Follow a git repository and publish its plans, without any port.",
    "netboot": "Serve the published plan (DHCP, TFTP, HTTP), without git.",
    "init": "Declare a state directory to be a new site, so that runs may start.",
    "check": "Report every problem of an inventory.",
    "plan": "Say what a change would do to which machine.",
    "render": "Print what a machine would be sent.",
    "comment": "Put a text on a pull request.",
    "simulate": "Show a machine's boot packet by packet, without a server.",
    "why": "Say where every value that a machine gets comes from.",
    "history": "Show every commit that changed what a machine is sent.",
    "replay": "Answer a recorded boot again, from any commit.",
    "bisect": "Find the commit that changed what a recorded boot is answered.",
    "status": "Show what the machines are doing.",
    "events": "Print what happened to machines, and what happens.",
    "logs": "Print what a machine's actions printed, and go on while they do.",
    "wait": "Wait until a machine's run has ended, for scripts.",
    "issues": "Show what somebody ought to look at, and what each of it means.",
    "doctor": "Say what is missing on this host, and how to get it.",
    "notify": "Send a message to whom `--notify` names, to see that it arrives.",
    "detect": "Print a Site document that fits this host.",
    "try": "Boot one machine by another commit, once; or rehearse it.",
    "freeze": "Start no new runs until `gitboot unfreeze`.",
    "unfreeze": "Let new runs start again.",
    "token": "Make, list and remove the tokens that may read a server's status.",
    "agent": "Carry out this machine's workflow.",
    "actions": "Build and list the standard actions of workflows.",
    "os": "Build the in-memory OS from Debian's packages, and list what is built.",
    "secret": "Encrypt values for git.",
    "completion": "Print what makes a shell complete all of this.",
    "demo": "A whole site on loopback, with simulated machines.",
}
"""Name → what `gitboot --help` says of it. Each is `reconciler.commands.<name>.command`."""


class Commands(click.Group):
    """Knows the names and one-line helps without importing what they need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"reconciler.commands.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "`gitboot --help` lists the commands."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without loading every command for its help, for whoever pressed Tab waits."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=said) for name, said in COMMANDS.items() if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """A TOML file with one table per command becomes the commands' defaults: below flags and environment, above built-ins."""
    import tomllib

    if path is None:
        return None
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise Sentence(f"The configuration file {path} cannot be read ({error.strerror}); correct --config.", 2) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Sentence(f"The configuration file {path} is not TOML: {error}.", 2) from None
    ctx.default_map = {command: _flags(path, command, table) for command, table in document.items()}
    return path


def _flags(path: Path, name: str, table: object, command: click.Command | None = None) -> dict[str, object]:
    """Refuses what no flag would read: a misspelt setting must not be silently without effect."""
    if not isinstance(table, dict):
        raise Sentence(f"{path}: {name!r} stands outside of a command's table; write it below [serve], for instance.", 2)
    if command is None and name not in COMMANDS:
        raise Sentence(f"{path} has [{name}], but gitboot has no such command; `gitboot --help` lists them.", 2)
    command = command or importlib.import_module(f"reconciler.commands.{name}").command
    parts = command.commands if isinstance(command, click.Group) else {}
    known = {parameter.name for parameter in command.params} | parts.keys()
    lists = {parameter.name for parameter in command.params if isinstance(parameter, click.Option) and parameter.multiple}
    flags = {key.replace("-", "_"): value for key, value in table.items()}
    unknown = sorted(flags.keys() - known)
    if unknown:
        flag = unknown[0].replace("_", "-")
        raise Sentence(f"{path}: [{name}] has no setting {flag!r}; `gitboot {name} --help` lists them.", 2)
    for key, value in flags.items():
        if key in parts:
            flags[key] = _flags(path, f"{name}.{key}", value, parts[key])
        elif not isinstance(value, str | int | float) and not (key in lists and isinstance(value, list)):
            raise Sentence(f"{path}: [{name}] {key.replace('_', '-')} is one text, one number, true or false.", 2)
    return flags


@click.command(
    cls=Commands,
    context_settings={"auto_envvar_prefix": "GITBOOT", "help_option_names": ["-h", "--help"]},
    help="Bare metal that does what git says.",
    epilog="Every flag of a command is also a setting of the configuration file ([serve] http-port = 8080) and an"
    " environment variable (GITBOOT_SERVE_HTTP_PORT).",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    callback=_read_config,
    is_eager=True,
    metavar="FILE",
    help="TOML file with one table per command.",
)
@click.version_option(package_name="gitboot", prog_name="gitboot")
def gitboot(config: Path | None) -> None:
    del config  # its callback has already made it the commands' defaults


def main() -> None:
    """Entry point. Exits 0, 1 (the command's own failure) or 2 (usage); never shows a traceback for the world's faults."""
    try:
        status = gitboot(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
