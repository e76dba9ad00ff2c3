"""Small YAML files of the user's: themes and settings, read with words for what is wrong in them."""

from __future__ import annotations

from pathlib import Path

from tuitune.errors import RecipeError
from tuitune.recipe.yamltext import load
from tuitune.text import clean_line

_LARGEST = 1 << 18


def read_mapping(path: Path) -> dict[str, object]:
    """Return the keys and values of the YAML file `path`; raises ValueError in words that name the file."""
    name = clean_line(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(data) > _LARGEST:
        raise ValueError(f"{name} is larger than 256 KiB: it holds something else")
    try:
        value = load(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text: save it as UTF-8") from None
    except RecipeError as error:
        raise ValueError(f"{name}, {clean_line(str(error.problems[0]))}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds no keys: write one `key: value` per line")
    return {str(key): item for key, item in value.items()}
