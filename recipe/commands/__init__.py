"""``recipe``: the root command. Commands are imported when they are called, so that ``--help`` is instant."""

from __future__ import annotations

import importlib
import os
import sys

import click

from spine.errors import STOPPED, RecipeError

# One line for --help each, so that listing the commands imports none of them; in the order of the work.
_COMMANDS = {
    "list": "Blends, profiles and datasets there are.",
    "show": "What a run would use: axolotl YAML, blend, steps.",
    "diff": "What differs between two blends: settings and rows.",
    "render": "Write every blend on every profile as a YAML for plain axolotl.",
    "plan": "What a run will take: GPU memory, hours, disk; refuses what cannot fit.",
    "check": "Let axolotl itself validate the rendered YAML.",
    "env": "What an environment takes, and whether this machine can have it.",
    "new": "Write the skeleton of a dataset of your own.",
    "model": "Unpack the embedded 135M model into a folder.",
    "sample-data": "Write the invented sample shop as raw files.",
    "fetch": "Fetch the published raw files of the sources.",
    "synth": "Let an LLM make and enrich datasets; keep, count and show its answers.",
    "smoke": "Try a little of every step on this machine, in minutes; write one page.",
    "reproduce": "Walk the whole recipe: two rounds, five tracks; skip what is done.",
    "data": "Build and mix a blend's datasets.",
    "questions": "Write held-out questions to choose weights on and to compare models on.",
    "samples": "Page through a blend's rows: prompt, answer, which tokens carry loss.",
    "train": "Train a blend with axolotl; resumes, skips when done.",
    "merge": "Merge an adapter into its base with a wise-ft weight.",
    "pad": "Widen a model's MLPs with zeros, for tensor parallel and groups.",
    "verify": "Prove that a model is what was written, and its padding harmless.",
    "inspect": "Tell what a folder or file is, without loading it.",
    "awq": "Export a model to 4 bit; measured, and refused where it lost too much.",
    "eval": "Answer questions with a model and score the answers.",
    "sweep": "Score several wise-ft weights through one loaded model.",
    "compare": "Tell whether one of two evaluations is better, from stored predictions.",
    "trial": "Train blends alike, ask them the same, tell what each does to every task.",
    "ablate": "Tell what each source, track, type, dataset or line of a blend brings.",
    "runs": "Lay out every training and evaluation in runs/, with what was changed.",
    "report": "Write one page about what was done: scores, flow, curves, examples.",
    "table": "Lay the scores of several models side by side.",
    "push": "Show what would go to the Hugging Face hub, with its card; upload it with --yes.",
    "serve": "Serve a model as OpenAI's API does, with the recipe's prompts and rules.",
    "ask": "Ask a served model a question; show the probabilities of its options.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]  # not `list`: that is a command, and once it is imported a name of this module

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            from spine.errors import did_you_mean

            ctx.fail(f"no command '{args[0]}'; {did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExamples:\n  recipe show v8\n  recipe diff v8 v9b\n  recipe train v8 --set 'lora_r=32'\n\n"
    '\b\nShell completion:\n  eval "$(_RECIPE_COMPLETE=bash_source recipe)"     (or zsh_source; fish_source | source)',
)
def root() -> None:
    """The KDD Cup 2024 shopping recipe: blend, train, merge, quantise, answer.

    Every command is also a make target: `make train-v8` is `recipe train v8`.
    """


def main() -> None:
    """Console entry. Exit codes: 1 after a RecipeError, 2 after a mistake in the command, 70 after an error of ours
    (sysexits' EX_SOFTWARE), 130 after Ctrl-C; a command that has explained itself has its own.
    """
    try:
        # Where it is not alone, click returns the code of a command that has explained itself (click.exceptions.Exit).
        if code := root.main(standalone_mode=False):
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(STOPPED)
    except RecipeError as error:
        _say_error(str(error))
        sys.exit(1)
    except BrokenPipeError:  # `recipe show v8 | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        from spine.unforeseen import reported  # as rare as it is

        _say_error(str(reported(error)))
        sys.exit(os.EX_SOFTWARE)


def _say_error(text: str) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
