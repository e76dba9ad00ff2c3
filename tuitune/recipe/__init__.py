"""What the user asks for: one flat file of keys, each declared once in `fields/`."""

from __future__ import annotations

from tuitune.recipe.document import Document, load
from tuitune.recipe.field import FIELDS, Field, Range
from tuitune.recipe.fields import GROUPS
from tuitune.recipe.option import Rule, When
from tuitune.recipe.problems import Problem
from tuitune.recipe.recipe import Recipe
from tuitune.recipe.resolved import resolved
from tuitune.recipe.schema import schema

__all__ = [
    "FIELDS",
    "GROUPS",
    "Document",
    "Field",
    "Problem",
    "Range",
    "Recipe",
    "Rule",
    "When",
    "load",
    "resolved",
    "schema",
]
