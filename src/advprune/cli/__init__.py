"""The command line, one file a command; what several share is in files with a leading underscore.

Heavy libraries are imported inside the commands, so that ``--help`` is quick.
"""

import importlib
import pkgutil
import sys
from typing import Any

import click


class _Mistake(click.ClickException):
    """What the user can put right; shown in a line, without a traceback."""

    exit_code = 2


class _Commands(click.Group):
    """Commands whose complaints about what they were given are shown as such."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            click.echo(f"Interrupted. {interruption}".rstrip(), err=True)
            sys.exit(130)
        except (ValueError, OSError) as error:
            if ctx.params["debug"]:
                raise
            raise _Mistake(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="advprune", message="advprune %(version)s")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def main(debug: bool) -> None:
    """Make image classifiers robust to adversarial attacks and physically small."""


for _file in pkgutil.iter_modules(__path__):  # each holds the command of its own name
    if not _file.name.startswith("_"):
        main.add_command(getattr(importlib.import_module(f"{__name__}.{_file.name}"), _file.name))
