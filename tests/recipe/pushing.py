"""`recipe push` as it is typed in tests."""

from __future__ import annotations

from click.testing import CliRunner, Result

from recipe.commands.push import command
from spine.errors import RecipeError
from tests.recipe.finished_run import ALPHA
from tests.recipe.hub import TOKEN

NAME = "somebody/shopping"
ADAPTER = {"adapter_model.safetensors", "adapter_config.json", "axolotl.yaml", "trainer_state.json",
           "tokenizer_config.json", "manifest.json", "README.md", ".gitattributes"}  # fmt: skip
MERGED = f"merged-{ALPHA}"


def push(*words: str) -> Result:
    return CliRunner().invoke(command, ["v8", "-p", "cpu", *words])


def sent(*words: str, to: str = NAME) -> Result:
    """With --yes; it went well."""
    done = push(*words, "--to", to, "--yes")
    assert done.exit_code == 0, (done.output, done.exception)
    assert TOKEN not in done.output
    return done


def refused(*words: str) -> str:
    done = push(*words)
    assert isinstance(done.exception, RecipeError), (done.output, done.exception)
    assert TOKEN not in done.output + str(done.exception)
    return str(done.exception)
