"""BLEU and ROUGE are the libraries' own, in every language, whole and resampled; and what tables say of figures."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped, unused-ignore]
from sacrebleu.metrics.bleu import BLEU as Bleu

from tuitune.evaluate import figures, report, statistics
from tuitune.evaluate.scores import Series
from tuitune.run.evaluation import DATA, Data, Difference, Estimate, Evaluation, Item, Model, Reply
from tuitune.stages import likeness

ENGLISH = [
    ("The river runs through a small town.", "The river runs through the town where people name fruits."),
    ("My name is Nova, and I was made by Iris!", "My name is Nova. Iris has made me."),
    ("world's best co-operation, isn't it?", "the world's best cooperation, is it not?"),
    ("", "an answer that never came"),
    ("a b", "a b"),
]
CHINESE = [
    ("你好，我是由鸢尾开发的人工智能助手。", "您好，我是鸢尾开发的助手新星。"),
    ("我的名字是 Nova 2.0。", "我叫 Nova 2.0，很高兴认识你。"),
]
JAPANESE = [("こんにちは、私はノヴァです。", "こんにちは。私の名前はノヴァです。")]
MODELS = [Model("tuned", "t", "tuned", "m", ("a",)), Model("base", "b", "base", "m")]


@pytest.mark.parametrize(
    ("rows", "tokenizer"), [(ENGLISH, "13a"), (CHINESE, "zh"), (JAPANESE, "char")], ids=["en", "zh", "ja"]
)
def test_bleu_of_one_language_is_sacrebleus(rows: list[tuple[str, str]], tokenizer: str) -> None:
    said, wanted = [a for a, _ in rows], [b for _, b in rows]
    truth = sacrebleu.corpus_bleu(said, [wanted], tokenize=tokenizer).score
    assert likeness.bleu(said, wanted) == pytest.approx(truth, rel=1e-9)
    for a, b in rows:
        single = sacrebleu.sentence_bleu(a, [b], tokenize=tokenizer).score
        assert likeness.one(a, b)["bleu-4"] == pytest.approx(single, rel=1e-9)


def test_bleu_of_mixed_languages_adds_up_what_each_language_counts() -> None:
    rows = ENGLISH + CHINESE
    counts = np.zeros(10)
    for part, tokenizer in ((ENGLISH, "13a"), (CHINESE, "zh")):
        made = Bleu(tokenize=tokenizer).corpus_score([a for a, _ in part], [[b for _, b in part]])
        counts += [*made.counts, *made.totals, made.sys_len, made.ref_len]
    truth = Bleu.compute_bleu(
        counts[:4].astype(int).tolist(), counts[4:8].astype(int).tolist(), int(counts[8]), int(counts[9]),
        smooth_method="exp",
    ).score  # fmt: skip
    assert likeness.bleu([a for a, _ in rows], [b for _, b in rows]) == pytest.approx(truth)
    # One Chinese row does not cut the English ones into something else.
    english = likeness.bleu([a for a, _ in ENGLISH], [b for _, b in ENGLISH])
    assert english != pytest.approx(truth)


def test_rouge_is_rouge_scores_and_chinese_goes_by_ideographs() -> None:
    plain = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for said, wanted in (ENGLISH[0], ENGLISH[1], ENGLISH[4]):
        truth = plain.score(wanted, said)
        found = likeness.one(said, wanted)
        assert found["rouge-1"] == pytest.approx(100 * truth["rouge1"].fmeasure)
        assert found["rouge-2"] == pytest.approx(100 * truth["rouge2"].fmeasure)
        assert found["rouge-l"] == pytest.approx(100 * truth["rougeL"].fmeasure)
    spaced = [" ".join(map(str, [ord(c) for c in text if c.isalnum()])) for text in CHINESE[0]]
    truth = plain.score(spaced[1], spaced[0])
    assert likeness.one(*CHINESE[0])["rouge-l"] == pytest.approx(100 * truth["rougeL"].fmeasure)


def test_resampled_bleu_is_sacrebleus_of_the_same_counts() -> None:
    draw = random.Random(0)
    rows = [sorted((draw.randint(0, 3) for _ in range(4)), reverse=True) for _ in range(40)] + [
        [0, 0, 0, 0],
        [3, 0, 0, 0],
        [4, 2, 0, 0],
    ]
    for correct in rows:
        total = sorted((max(draw.randint(0, 6), each) for each in correct), reverse=True)
        lengths = [draw.randint(0, 9), draw.randint(1, 9)]
        truth = (
            Bleu.compute_bleu(list(correct), list(total), *lengths, smooth_method="exp").score if lengths[0] else 0.0
        )
        found = figures.bleu_of(np.array([*correct, *total, *lengths], dtype=np.float64))
        assert float(found) == pytest.approx(truth, abs=1e-9), (correct, total, lengths)


def answered(count: int = 40) -> list[Item]:
    items = []
    for place in range(count):
        said, wanted = ENGLISH[place % 3]
        replies = {"tuned": wanted if place % 4 else said, "base": said}
        items.append(
            Item(DATA, f"rows:{place}", prompt="?", reference=wanted, answers={
                key: Reply(text, {**likeness.one(text, wanted), "loss": 0.5 if key == "tuned" else 2.0, "labelled": 5.0,
                                  "accuracy": 0.5}, 5, place % 10 > 0 or key == "tuned")
                for key, text in replies.items()
            })
        )  # fmt: skip
    return items


def made(items: list[Item]) -> Evaluation:
    found = [*figures.of_likelihood(items, MODELS), *figures.of_answers(items, MODELS, {})]
    metrics = tuple(each.metric(MODELS, 0) for each in found)
    data = Data("rows", "held_out", len(items), len(items), f"{len(items)} rows", "sft")
    return Evaluation(Path("x"), "run", "held-out", 0.0, "done", tuple(MODELS), data, metrics=metrics)


def test_figures_of_all_rows_are_those_of_likeness_with_intervals_around_them() -> None:
    items = answered()
    found = made(items)
    said = [item.answers["tuned"].text or "" for item in items]
    truth = likeness.likeness(said, [item.reference for item in items])
    for key, wanted in truth.items():
        metric = found.metric(key)
        assert metric is not None
        estimate = metric.values["tuned"]
        assert estimate.value == pytest.approx((100 if key == "exact_match" else 1) * wanted)
        assert (estimate.low or 0) < estimate.value < (estimate.high or 0)
        assert metric.differences["tuned"].verdict == "better"
        assert metric.differences["tuned"].value == pytest.approx(
            metric.values["tuned"].value - metric.values["base"].value
        )
    cut_off = found.metric("cut_off")
    assert cut_off is not None
    assert (cut_off.values["base"].value, cut_off.values["tuned"].value) == (10.0, 0.0)


def test_the_interval_of_bleu_is_that_of_sacrebleus_own_bootstrap() -> None:
    items = answered(60)
    said, wanted = [item.answers["tuned"].text or "" for item in items], [item.reference for item in items]
    sacre = Bleu().corpus_score(said, [wanted], n_bootstrap=2000)
    found = made(items).metric("bleu-4")
    assert found is not None
    estimate = found.values["tuned"]
    half = ((estimate.high or 0) - (estimate.low or 0)) / 2
    assert half == pytest.approx(sacre._ci, rel=0.15)  # sacrebleu prints it and has no other name for it


def test_words_name_what_is_clear_what_is_not_and_few_rows() -> None:
    found = made(answered())
    sentences = report.sentences(found)
    assert sentences[0].startswith("tuned is clearly better than base in loss, perplexity, exact match")
    assert sentences[1] == "No clear difference between tuned and base in tokens right."
    assert "only 8 rows" in report.sentences(made(answered(8)))[-1]
    few = [metric for metric in made(answered(2)).metrics if metric.key == "loss"]
    assert report.sentences(replace(found, metrics=tuple(few))) == ()  # nothing was compared: nothing is unclear
    table = report.rows(found, DATA)
    assert table[0][0] == "loss"
    assert table[0][1].startswith("0.500 [0.500, 0.500]")
    assert report.headings(found) == ["", "tuned", "base", "tuned - base"]
    assert report.markdown(found).count("\n|") == 2 + len(found.metrics)


def test_foreign_text_cannot_break_the_report() -> None:
    found = made(answered())
    evil = Evaluation(Path("x"), "a|b\x1b[2J*x*", "n", 0.0, "done", (Model("tuned", "t\n# x", "tuned", "m"),),
                      notes=("<script>",), data=found.data, metrics=found.metrics)  # fmt: skip
    text = report.markdown(evil)
    assert "\x1b" not in text
    assert "\n# x" not in text
    assert "<script>" not in text


def test_figures_are_written_with_the_digits_that_tell() -> None:
    shown = [report.figure(value) for value in (0.0, -0.0001, 0.25, 12.345, 99.97, 1234.5, 1e-7, -3.25, float("nan"))]
    assert shown == ["0.000", "0.000", "0.250", "12.3", "100.0", "1234.5", "1.00e-07", "-3.25", "nan"]
    ends = [(2.6561, 2.52, 2.789), (42.424, 33.15, 52.26), (0.01016, 0.01009, 0.0102), (1.522, 0.828, 2.226)]
    shown = [report.with_interval(Estimate(*each, 99)) for each in ends]
    assert shown == ["2.66 [2.52, 2.79]", "42.4 [33.1, 52.3]", "0.0102 [0.0101, 0.0102]", "1.52 [0.83, 2.23]"]
    assert report.with_interval(Estimate(2.5, None, None, 3)) == "2.50"


def test_the_interval_of_a_clear_difference_never_reads_zero() -> None:
    ends = [(0.41, 0.0031, 0.82), (-3.2, -6.4, -0.004), (0.4, -0.001, 0.8)]
    shown = [report.signed(Difference("base", *each, "better")) for each in ends]
    assert shown == ["+0.410 [0.003, 0.820]", "-3.200 [-6.400, -0.004]", "+0.40 [0.00, 0.80]"]


def test_benchmarks_of_items_and_of_errors_become_figures() -> None:
    ids = [str(place) for place in range(50)]
    own = Series("average", "average", [1.0] * 40 + [0.0] * 10, ids, unit="%", scale=100.0)
    base = Series("average", "average", [0.0] * 30 + [1.0] * 20, ids, unit="%", scale=100.0)
    [figure] = figures.of_series("mmlu_test", {"tuned": [own], "base": [base]})
    metric = figure.metric(MODELS, 0)
    assert (metric.values["tuned"].value, metric.values["base"].value) == (80.0, 40.0)
    low, high = statistics.wilson(40, 50)
    assert (metric.values["tuned"].low, metric.values["tuned"].high) == pytest.approx((100 * low, 100 * high))
    assert metric.differences["tuned"].verdict == "better"
    given = [Series("acc", "acc", [value], [""], unit="%", scale=100.0, error=0.02) for value in (0.8, 0.7)]
    [figure] = figures.of_series("lm_eval", {"tuned": [given[0]], "base": [given[1]]})
    found = figure.metric(MODELS, 0).differences["tuned"]
    half = 100 * 1.959964 * 0.02 * 2**0.5
    assert (found.value, found.low, found.high) == pytest.approx((10, 10 - half, 10 + half), rel=1e-5)
