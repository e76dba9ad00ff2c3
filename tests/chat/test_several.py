"""Several weights on one model in memory: each answers as if it were alone, and the model is there once."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PromptTuningConfig, get_peft_model

from tests.engine.given import data_folder, model_folder, start
from tests.tiny import tiny_model
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.several import Several
from tuitune.chat.weights import Weights, of_run
from tuitune.engine.run import run
from tuitune.errors import ModelError
from tuitune.models.shaping import Shaping
from tuitune.models.twin import memory_of, twin
from tuitune.recipe import load

ASKED = [Turn("user", "Name three fruits.")]
GREEDY = {"temperature": 0, "max_new_tokens": 12}
# Wide enough that an adapter of rank 4 is little beside it, as in models that are used.
WIDE: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 512, "initializer_range": 0.1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("several")
    model_folder(path, **WIDE)
    return path


def wild(model: Any) -> Any:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


CONFIGS: dict[str, Any] = {
    "lora": LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    "few": LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    "tied": LoraConfig(r=4, target_modules=["embed_tokens", "lm_head", "v_proj"], task_type="CAUSAL_LM"),
    "saved": LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["norm"], task_type="CAUSAL_LM"),
    "ia3": IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    ),
    "prompt": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, prompt_tuning_init="RANDOM"),
}


@pytest.fixture(scope="module")
def adapters(root: Path) -> dict[str, Path]:
    for name, config in CONFIGS.items():
        wild(get_peft_model(tiny_model(**WIDE), config)).save_pretrained(root / name)
    from tuitune.methods.bottleneck import Shape, attach

    narrow = wild(attach(tiny_model(**WIDE), Shape(8, "relu", "both", 0.0), trainable=True))
    narrow.save_pretrained(root / "narrow")
    return {name: root / name for name in (*CONFIGS, "narrow")}


def wanted(root: Path, *adapters: Path) -> Weights:
    return Weights(str(root / "tiny"), adapters, device="cpu", threads=1, title=adapters[-1].name if adapters else "")


def logits(chat: LocalChat, base: bool = False) -> torch.Tensor:
    with chat.using(base=base) as model:
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in model.modules())
        found: torch.Tensor = model(input_ids=torch.arange(5, 40)[None]).logits
        return found


@pytest.mark.filterwarnings("ignore")  # peft warns of tied weights and of position ids
def test_each_is_as_if_it_were_alone(root: Path, adapters: dict[str, Path]) -> None:
    kinds = [(), *((path,) for path in adapters.values())]
    notes: list[str] = []
    together = Several.load([wanted(root, *each) for each in kinds], note=notes.append)
    found = [logits(chat) for chat in together.partners]
    said = [chat.reply(ASKED, sampling=GREEDY).text for chat in together.partners]
    for place, each in enumerate(kinds):
        alone = LocalChat.load(wanted(root, *each))
        assert torch.equal(found[place], logits(alone)), each
        assert said[place] == alone.reply(ASKED, sampling=GREEDY).text, each
        assert together.partners[place].title == (each[-1].name if each else "")
    assert len({tuple(each.flatten().tolist()) for each in found}) == len(kinds)  # none is another
    for chat in together.partners[1:]:
        assert torch.equal(logits(chat, base=True), found[0])
    assert notes == []


def test_the_model_is_in_memory_once(root: Path, adapters: dict[str, Path]) -> None:
    together = Several.load([wanted(root), wanted(root, adapters["few"]), wanted(root, adapters["narrow"])])
    first, second, third = together.partners
    with first.using() as plain, second.using() as tuned, third.using() as narrow:
        whole = memory_of(plain)
        assert whole == sum(t.numel() * t.element_size() for t in [*plain.parameters(), *plain.buffers()])
        assert whole < memory_of(plain, tuned) < 1.15 * whole
        assert memory_of(plain, tuned, narrow) < 1.15 * whole


def test_another_model_or_what_is_merged_before_has_weights_of_its_own(root: Path, adapters: dict[str, Path]) -> None:
    both = Several.load([wanted(root, adapters["few"]), wanted(root, adapters["lora"], adapters["few"])])
    assert both.partners[0].turn is not both.partners[1].turn
    alone = LocalChat.load(wanted(root, adapters["lora"], adapters["few"]))
    assert torch.equal(logits(both.partners[1]), logits(alone))
    assert not torch.equal(logits(both.partners[0]), logits(alone))


@pytest.mark.parametrize("kind", ["pissa", "loftq"])
def test_adapters_that_began_with_a_part_of_the_weights_stand_beside_plain_ones(tmp_path: Path, kind: str) -> None:
    model_folder(tmp_path, **WIDE)
    data_folder(tmp_path, 6)
    more: dict[str, Any] = {"lora_rank": 4, "max_steps": 1, "learning_rate": 0.05}
    if kind == "loftq":
        own, more = {"loftq_init": True, "loftq_iter": 2}, {**more, "quantization_bit": 4}  # changed layers, too
    else:
        own = {"pissa_init": True, "pissa_iter": -1}
    runs = [start(tmp_path, name, **settings, **more) for name, settings in (("plain", {}), (kind, own))]
    for made in runs:
        run(made)
    plain, begun = (of_run(made, load(made.recipe)) for made in runs)
    base = replace(plain, adapters=())
    order = [plain, begun, base, begun, plain]
    alone = {each.title: logits(LocalChat.load(each)) for each in (plain, begun)}
    before = logits(LocalChat.load(base))
    notes: list[str] = []
    together = Several.load(order, note=notes.append)
    assert sum("changes layers of its base" in note for note in notes) == 2
    assert together.partners[0].turn is together.partners[1].turn  # on one model
    for chat, each in zip(together.partners, order, strict=True):
        assert torch.equal(logits(chat), alone[each.title] if each.adapters else before)
    assert not torch.equal(alone[plain.title], alone[begun.title])
    together.drop(together.partners[1])  # the first that changed layers goes: nobody else notices
    for chat, each in zip(together.partners, [plain, base, begun, plain], strict=True):
        assert torch.equal(logits(chat), alone[each.title] if each.adapters else before)


def test_one_can_come_later_and_go(root: Path, adapters: dict[str, Path]) -> None:
    together = Several.load([wanted(root)])
    first = together.partners[0]
    before = logits(first)
    later = together.add(wanted(root, adapters["lora"]))
    assert later.turn is first.turn
    together.drop(first)
    assert together.partners == (later,)
    again = together.add(wanted(root))  # the model has stayed, with the one that stands on it
    assert again.turn is later.turn
    assert torch.equal(logits(again), before)
    together.drop(again)
    together.drop(later)
    assert together.add(wanted(root)).turn is not later.turn


def test_one_that_does_not_fit_leaves_the_others(root: Path, tmp_path: Path, adapters: dict[str, Path]) -> None:
    other = get_peft_model(tiny_model(), CONFIGS["few"])
    other.save_pretrained(tmp_path / "strange")
    together = Several.load([wanted(root, adapters["few"])])
    before = logits(together.partners[0])
    with pytest.raises(ModelError, match="cannot be put on this model"):
        together.add(wanted(root, tmp_path / "strange"))
    assert len(together.partners) == 1
    assert torch.equal(logits(together.partners[0]), before)


def test_those_on_one_model_take_turns(root: Path, adapters: dict[str, Path]) -> None:
    together = Several.load([wanted(root), wanted(root, adapters["lora"])])
    plain = [chat.reply(ASKED, sampling={**GREEDY, "temperature": 1.0, "seed": 4}).text for chat in together.partners]
    busy, most = [0], [0]

    def watched(chat: LocalChat, into: list[str]) -> None:
        def piece(text: str) -> None:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            busy[0] -= 1

        into.append(chat.reply(ASKED, sampling={**GREEDY, "temperature": 1.0, "seed": 4}, on_text=piece).text)

    found: list[list[str]] = [[], []]
    threads = [threading.Thread(target=watched, args=pair) for pair in zip(together.partners, found, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each[0] for each in found] == plain
    assert most == [1]


def test_a_twin_is_changed_alone() -> None:
    model = tiny_model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    other = twin(model)
    assert other.lm_head.weight is other.model.embed_tokens.weight  # tied, as in the first
    weight = other.model.layers[0].mlp.up_proj.weight
    assert weight.data_ptr() == model.model.layers[0].mlp.up_proj.weight.data_ptr()
    weight.data = weight.data + 1
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_weights_are_shared_too(root: Path, adapters: dict[str, Path], bits: int) -> None:
    shaping = Shaping(quantization_bit=bits)
    kinds = [(), (adapters["lora"],), (adapters["narrow"],)]
    each = [replace(wanted(root, *kind), shaping=shaping) for kind in kinds]
    alone = [logits(LocalChat.load(weights)) for weights in each]
    together = Several.load(each)
    assert all(torch.equal(logits(chat), found) for chat, found in zip(together.partners, alone, strict=True))
    first, second, third = together.partners
    with first.using() as plain, second.using() as tuned, third.using() as narrow:
        layer = plain.model.layers[0].mlp.up_proj
        assert tuned.get_base_model().model.layers[0].mlp.up_proj.base_layer.weight is layer.weight
        assert narrow.model.layers[0].mlp.up_proj.weight is layer.weight


# Not `ru_maxrss`, which begins with the memory of who started it.
_PEAK = r"""
import re, sys
from pathlib import Path
from tuitune.chat.base import Turn
from tuitune.chat.several import Several
from tuitune.chat.weights import Weights
from tuitune.face.host import prepare_for
prepare_for("cpu", 1)
model, adapters = "smollm2-135m", [Path(word) for word in sys.argv[1:]]
several = Several.load([Weights(model, device="cpu"), *(Weights(model, (path,), device="cpu") for path in adapters)])
for chat in several.partners:
    chat.reply([Turn("user", "Hello")], sampling={"max_new_tokens": 8, "seed": 1})
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_base_and_tuned_take_hardly_more_memory_than_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from tuitune.chat.loading import folder_of

    model = AutoModelForCausalLM.from_pretrained(folder_of(Weights("smollm2-135m")))
    config = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    peaks = []
    for adapters in ([], [str(tmp_path / "adapter")]):
        done = subprocess.run([sys.executable, "-c", _PEAK, *adapters], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.15 * peaks[0]
