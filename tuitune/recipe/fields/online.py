"""Learning from the model's own answers and their rewards: ppo, grpo and rloo."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe import judging, rewards
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.rewards import RewardNames
from tuitune.recipe.shapes import Flag, Names, Number, Text, Whole

ONLINE = ("ppo", "grpo", "rloo")
GROUPED = ("grpo", "rloo")  # several answers to each prompt
_PPO = When("stage", ("ppo",))
_GROUPED = When("stage", GROUPED)
_ONLINE = When("stage", ONLINE)


class OnlineOptions(Options):
    """Answers, rewards and the policy's loss."""

    GROUP: ClassVar[str] = "online"
    FIXED: ClassVar[bool] = True

    reward_model: Text | None = option(
        None,
        "What judges the answers: the folder or run of a reward model (stage rm), or with reward_model_type: api the "
        "address of a server.",
        when=_ONLINE,
        essential=True,
    )
    reward_model_type: Literal["lora", "full", "api"] = option(
        "lora",
        "`lora`: adapters with a value head on the model that is trained; `full`: a whole reward model; `api`: an HTTP "
        "server.",
        when=When("reward_model"),
    )
    reward_model_adapters: Names = option((), "Adapters on a full reward model.", when=When("reward_model"))
    reward_model_quantization_bit: Whole | None = option(
        None, "Bits that a full reward model's weights are loaded in: 4 or 8.", when=When("reward_model")
    )
    reward_functions: RewardNames = option(
        (),
        "Built-in rewards, with commas: `exact` (the data's answer), `format` (thoughts, then an answer), `length`, "
        "`pattern`, `json`, `repetition`.",
        when=_ONLINE,
        essential=True,
    )
    reward_file: Text | None = option(
        None,
        "A Python file of your own whose functions named reward_... judge the answers. It runs with your permissions.",
        when=_ONLINE,
    )
    reward_weights: Text | None = option(
        None,
        "Weights of the rewards, with commas: those of reward_functions, of the functions of reward_file, then of the "
        "reward model. Unset, 1 each.",
        when=_ONLINE,
    )
    reward_pattern: Text | None = option(
        None, "Regular expression that the `pattern` reward looks for in an answer.", when=_ONLINE
    )
    reward_length: Whole = option(100, "Tokens that the `length` reward asks for.", unit="tokens", ge=1, when=_ONLINE)
    ppo_buffer_size: Whole = option(
        1, "Steps' worth of prompts that are answered at once.", unit="steps", ge=1, when=_PPO
    )
    ppo_epochs: Whole = option(4, "Passes over the answers of a buffer.", unit="passes", ge=1, when=_PPO)
    ppo_score_norm: Flag = option(
        False, "Take the mean of all rewards so far from them, and divide by their spread.", when=_PPO
    )
    ppo_target: Number = option(
        6.0, "KL to the reference, summed over an answer, that the penalty is steered to.", gt=0, when=_PPO
    )
    ppo_whiten_rewards: Flag = option(
        False, "Bring the rewards of a buffer's tokens, KL penalty and all, to spread 1.", when=_PPO
    )
    ppo_kl_coef: Number = option(0.2, "Weight of the KL penalty at the beginning.", ge=0, when=_PPO)
    ppo_kl_horizon: Number = option(
        10000.0, "Answers over which the KL penalty adapts; 0 keeps it as it is.", ge=0, when=_PPO
    )
    ppo_clip: Number = option(0.2, "How far a token's probability may move in one buffer.", gt=0, when=_PPO)
    ppo_value_clip: Number = option(0.2, "How far a value may move in one buffer.", gt=0, when=_PPO)
    ppo_value_coef: Number = option(0.1, "Weight of the value loss.", ge=0, when=_PPO)
    ppo_gamma: Number = option(1.0, "Discount of later rewards.", gt=0, le=1, when=_PPO)
    ppo_lambda: Number = option(0.95, "Lambda of generalised advantage estimation.", ge=0, le=1, when=_PPO)
    num_generations: Whole = option(
        8, "Answers to each prompt. A step learns from all answers to its rows.", ge=2, when=_GROUPED, essential=True
    )
    num_iterations: Whole = option(1, "Optimizer steps made of the same answers.", unit="steps", ge=1, when=_GROUPED)
    grpo_beta: Number = option(
        0.0, "Weight of the KL to the reference; 0 needs no reference.", ge=0, when=_GROUPED, essential=True
    )
    grpo_epsilon: Number = option(0.2, "How far a token's probability may fall.", gt=0, when=_GROUPED)
    grpo_epsilon_high: Number | None = option(
        None, "How far a token's probability may rise. Unset, as far as it may fall.", gt=0, when=_GROUPED
    )
    grpo_loss: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = option(
        "dapo",
        "What the loss is averaged over: each answer's tokens (`grpo`), all tokens (`bnpo`, `dapo`), or a constant "
        "(`dr_grpo`).",
        when=When("stage", ("grpo",)),
    )
    scale_rewards: Literal["group", "batch", "none"] = option(
        "group", "Divide advantages by the spread of rewards: of the prompt's answers, of the step's, or not.",
        when=When("stage", ("grpo",)),
    )  # fmt: skip


RULES: tuple[Rule, ...] = (*judging.RULES, *rewards.RULES)
