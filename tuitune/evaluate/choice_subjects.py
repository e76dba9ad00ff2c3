"""What subjects are called, and to which category they belong: from mapping.json, and for MMLU also without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import DataError
from tuitune.fit.files import read_json

FILES = ("mapping.json", "subject_mapping.json")  # of LLaMA-Factory, and of C-Eval itself

# Hendrycks et al., arXiv 2009.03300, with the four groups of their evaluation.
_MMLU = {
    "STEM": (
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science college_mathematics "
        "college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics "
        "high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics "
        "high_school_physics high_school_statistics machine_learning"
    ),
    "Social Sciences": (
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
        "high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations "
        "security_studies sociology us_foreign_policy"
    ),
    "Humanities": (
        "formal_logic high_school_european_history high_school_us_history high_school_world_history international_law "
        "jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law "
        "world_religions"
    ),
    "Other": (
        "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing "
        "medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology"
    ),
}
_OF_MMLU = {subject: category for category, subjects in _MMLU.items() for subject in subjects.split()}


@dataclass(frozen=True)
class Subject:
    """What a subject is called in a prompt, and its category, "" where nobody says."""

    name: str
    category: str = ""


def subjects_of(folder: Path, lang: str) -> dict[str, Subject]:
    """Return what the benchmark's mapping says, {} without one. Raises DataError for one that cannot be read."""
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    values = read_json(path)
    if not isinstance(values, dict) or not values:
        raise DataError(f"{path} is no object of subjects", 'it holds {"SUBJECT": {"name": "...", "category": "..."}}')
    return {key: _read(path, key, value, lang) for key, value in values.items()}


def _read(path: Path, key: str, value: object, lang: str) -> Subject:
    match value:
        case {"name": str() as name, "category": str() as category}:
            return Subject(name, category)
        case [str() as english, str() as chinese, str() as category, *_]:  # C-Eval's own
            return Subject(chinese if lang == "zh" else english, category)
    raise DataError(f"{path}: {key} has no name and category", 'it is {"name": "...", "category": "..."}')


def plain(key: str) -> Subject:
    """Return what a subject without a mapping is called: by its file, with MMLU's category where it is one of those."""
    return Subject(key.replace("_", " "), _OF_MMLU.get(key, ""))


def named(mapping: Mapping[str, Subject], key: str) -> Subject:
    """Return what is known of a subject."""
    return mapping.get(key) or plain(key)
