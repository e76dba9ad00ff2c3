"""Every template with a name. The texts are facts of the models, found as in LLaMA-Factory's data/template.py."""

from __future__ import annotations

from tuitune.data.templates.named import NamedTemplate
from tuitune.data.templates.table.asian import ASIAN
from tuitune.data.templates.table.chatml import CHATML
from tuitune.data.templates.table.glm import GLM
from tuitune.data.templates.table.llama import LLAMA
from tuitune.data.templates.table.western import WESTERN
from tuitune.data.templates.table.words import WORDS

TEMPLATES: dict[str, NamedTemplate] = {
    template.name: template
    for template in sorted((*WORDS, *CHATML, *LLAMA, *GLM, *WESTERN, *ASIAN), key=lambda each: each.name)
}
