"""The recipe being edited: steps back and forth, what differs from its file, and that nothing of it is lost."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.given import until
from tuitune import resources
from tuitune.errors import RecipeError, UsageError
from tuitune.recipe import Document
from tuitune.run import places
from tuitune.run.directory import RunDir
from tuitune.tui import kept
from tuitune.tui.draft import Draft, judge
from tuitune.tui.leave import Start
from tuitune.tui.opening import _fill
from tuitune.tui.recipefile import SaveRefused

TEXT = "# mine\nmodel_name_or_path: smollm2-135m\ndataset: identity  # asks who\nfinetuning_type: lora\nlora_rank: 8\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return places.home()


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def draft(file: Path) -> Draft:
    made = Draft()
    made.open(file)
    return made


def test_a_file_is_opened_as_it_is(draft: Draft, file: Path) -> None:
    assert draft.text == TEXT
    assert (draft.path, draft.title, draft.preset) == (file, "mine.yaml", None)
    assert not draft.dirty
    assert not draft.changed
    recipe = draft.recipe()
    assert recipe is not None
    assert recipe.source == file


def test_an_edit_by_key_keeps_the_comments_and_says_what_changed(draft: Draft) -> None:
    draft.set("lora_rank", 16)
    draft.set("cutoff_len", 512)
    draft.remove("dataset")
    assert (
        draft.text
        == TEXT.replace("rank: 8", "rank: 16").replace("dataset: identity  # asks who\n", "") + "cutoff_len: 512\n"
    )
    assert draft.changed == {"lora_rank", "cutoff_len", "dataset"}
    assert draft.dirty
    draft.set("lora_rank", 8)
    assert "lora_rank" not in draft.changed


def test_a_wrong_value_is_kept_and_its_problem_has_the_line(draft: Draft) -> None:
    draft.set_text("lora_rank", "1O")
    [problem] = [each for each in draft.problems if each.level == "error"]
    assert (problem.key, problem.line, problem.level) == ("lora_rank", 5, "error")
    assert draft.values["lora_rank"] == "1O"
    assert draft.recipe() is None
    draft.set_text("lora_rank", "10")
    assert draft.values == {**draft.base_values, "lora_rank": 10}
    assert "lora_rank" not in [each.key for each in draft.problems]


def test_what_is_typed_means_what_a_command_line_means(draft: Draft) -> None:
    for key, text, value in (
        ("name", "17", "17"), ("bf16", "true", True), ("learning_rate", "2e-5", 2e-5), ("lora_target", "all", "all"),
        ("lr_scheduler_kwargs", "{power: 2}", {"power": 2}), ("name", "'a: b'", "a: b"), ("name", "a: b", "a: b"),
    ):  # fmt: skip
        draft.set_text(key, text)
        assert draft.values[key] == value


def test_a_text_that_is_no_recipe_is_kept_and_the_form_waits(draft: Draft) -> None:
    before = draft.values
    draft.replace("a: b: c\n")
    assert (draft.document, draft.text, draft.recipe()) == (None, "a: b: c\n", None)
    assert draft.values == before
    assert draft.problems[0].line == 1
    with pytest.raises(UsageError, match="cannot be read"):
        draft.set("lora_rank", 4)
    assert draft.undo()
    assert draft.recipe() is not None


def test_typing_without_a_pause_is_one_step(file: Path) -> None:
    now = [0.0]
    draft = Draft(clock=lambda: now[0])
    draft.open(file)
    for n in range(1, 4):
        draft.replace(TEXT + "#" * n, merge=True)
        now[0] += 0.3
    now[0] += 5
    draft.replace(TEXT + "####", merge=True)
    assert draft.undo()
    assert draft.text == TEXT + "###"
    assert draft.undo()
    assert draft.text == TEXT
    draft.redo()
    draft.replace(TEXT + "x", merge=True)
    draft.undo()
    assert draft.text == TEXT + "###"


def test_the_cursor_goes_where_the_step_was(draft: Draft) -> None:
    draft.set("lora_rank", 16)
    draft.set("cutoff_len", 99)
    assert (draft.undo(), draft.cursor) == (True, "cutoff_len")
    assert (draft.undo(), draft.cursor) == (True, "lora_rank")
    assert (draft.redo(), draft.cursor) == (True, "lora_rank")


def test_opening_something_else_can_be_taken_back(draft: Draft, file: Path) -> None:
    draft.set("lora_rank", 16)
    text = draft.text
    draft.use_preset("quickstart")
    assert (draft.title, draft.path, draft.preset) == ("quickstart.yaml", None, "quickstart")
    kept.flush_all()
    assert [each.text for each in _left_by_a_crash()] == [text]
    draft.undo()
    assert (draft.text, draft.path, draft.changed) == (text, file, frozenset({"lora_rank"}))


ACTIONS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(["lora_rank", "name", "cutoff_len"]), st.integers(0, 3)),
    st.tuples(st.just("typed"), st.sampled_from(["lora_rank", "name"]), st.sampled_from(["1O", "4", "[", "a: b", ""])),
    st.tuples(st.just("remove"), st.sampled_from(["lora_rank", "dataset", "nothing"]), st.none()),
    st.tuples(
        st.just("replace"), st.sampled_from([TEXT, "", "a: b: c", "lora_rank: 2\r\n", "x\x1b[0m: 1"]), st.booleans()
    ),
    st.tuples(st.just("undo"), st.none(), st.none()),
    st.tuples(st.just("redo"), st.none(), st.none()),
)


@given(st.lists(ACTIONS, max_size=25))
def test_undo_and_redo_restore_every_text(actions: list[tuple[str, str, object]]) -> None:
    draft = Draft(clock=lambda: 0.0)
    draft.replace(TEXT)
    past, now, future = list[str](), TEXT, list[str]()
    merging = False
    for kind, key, value in actions:
        merge = kind == "replace" and value is True
        if kind in ("undo", "redo"):
            stack, other = (past, future) if kind == "undo" else (future, past)
            assert (draft.undo() if kind == "undo" else draft.redo()) == bool(stack)
            if stack:
                other.append(now)
                now, merging = stack.pop(), False
        else:
            try:
                _act(draft, kind, key, value)
            except UsageError:
                assert draft.document is None
            if draft.text != now:
                if not (merge and merging):
                    past.append(now)
                now, future, merging = draft.text, [], merge
        assert draft.text == now
        fresh = judge(now)
        assert draft.problems == list(fresh.problems)
        assert (draft.document is None) == (fresh.document is None)
    while draft.undo():
        pass
    assert draft.text == TEXT


def _act(draft: Draft, kind: str, key: str, value: object) -> None:
    if kind == "set":
        draft.set(key, value)
    elif kind == "typed":
        draft.set_text(key, str(value))
    elif kind == "remove":
        draft.remove(key)
    else:
        draft.replace(key, merge=bool(value))


VALUES = st.one_of(
    st.integers(-5, 3000), st.booleans(), st.floats(allow_nan=False), st.text(max_size=12), st.none(),
    st.lists(st.sampled_from(["q_proj", "1", "null", "a b"]), max_size=3),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["name", "lora_rank", "lora_target", "bf16", "learning_rate"]), VALUES))
def test_the_command_makes_the_same_recipe(edits: dict[str, object]) -> None:
    draft = Draft()
    draft.use_preset("quickstart")
    draft.remove("author")
    for key, value in edits.items():
        draft.set(key, value)
    program, verb, base, *settings = shlex.split(shlex.join(draft.command()))
    assert (program, verb) == ("tuitune", "train")
    document = Document.read(base)
    for setting in settings:
        document.override(setting)
    recipe = draft.recipe()
    if recipe is None:
        with pytest.raises(RecipeError):
            document.recipe()
    else:
        assert repr(document.recipe()) == repr(recipe)


def test_the_command_names_the_file_where_no_words_can_say_it(draft: Draft) -> None:
    assert draft.command() == ["tuitune", "train", "mine.yaml"]
    draft.replace(TEXT + "no_such_key: 1\n")
    draft.save()
    draft.remove("no_such_key")
    assert draft.needs_saving
    assert draft.command() == ["tuitune", "train", "mine.yaml"]


def test_saving_keeps_mode_and_link_and_is_the_new_base(draft: Draft, file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    draft.open(link)
    draft.set("lora_rank", 4)
    assert draft.save() == link
    assert link.is_symlink()
    assert file.read_text() == draft.text
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (draft.dirty, draft.changed) == (False, frozenset())
    assert sorted(path.name for path in tmp_path.glob("*yaml*")) == ["link.yaml", "mine.yaml"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(draft: Draft, file: Path) -> None:
    assert not draft.modified_outside()
    draft.set("lora_rank", 4)
    file.write_text("# someone else's\n")
    assert draft.modified_outside()
    with pytest.raises(SaveRefused, match="changed by something else") as refused:
        draft.save()
    assert refused.value.why == "changed"
    assert file.read_text() == "# someone else's\n"
    draft.save(force=True)
    assert file.read_text() == draft.text
    assert not draft.modified_outside()


def test_what_saving_refuses(draft: Draft, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("stage: sft\n")

    def refused(path: Path | None, **how: bool) -> str:
        with pytest.raises(SaveRefused) as error:
            draft.save(path, **how)
        return error.value.why

    assert refused(other) == "exists"
    assert refused(tmp_path) == "failed"
    assert refused(tmp_path / "new" / "a.yaml") == "folder"
    assert draft.save(tmp_path / "new" / "a.yaml", make_folder=True).read_text() == TEXT
    draft.use_preset("quickstart")
    assert refused(None) == "nameless"
    assert refused(resources.preset("quickstart"), force=True) == "preset"
    draft.replace("name: \ud800\n")
    assert refused(tmp_path / "surrogate.yaml") == "failed"
    assert not list(tmp_path.glob(".*"))


def test_recent_files(draft: Draft, file: Path, tmp_path: Path) -> None:
    other = draft.save(tmp_path / "b.yaml")
    assert draft.recent() == [other, file]
    other.unlink()
    assert draft.recent() == [file]


def test_every_change_is_told(draft: Draft) -> None:
    told: list[str] = []
    end = draft.subscribe(lambda: told.append(draft.text))
    draft.set("lora_rank", 2)
    draft.set("lora_rank", 2)
    draft.undo()
    end()
    draft.redo()
    assert told == [TEXT.replace("8", "2", 1), TEXT]


def test_a_long_text_may_be_judged_later(draft: Draft) -> None:
    draft.replace(TEXT + "cutoff_len: 1O\n", later=True)
    assert draft.pending
    draft.settle(judge("something else"))
    assert draft.pending
    draft.settle(judge(draft.text, draft.source))
    assert (draft.pending, draft.recipe()) == (False, None)
    draft.replace(TEXT + "cutoff_len: 10\n", later=True)
    recipe = draft.recipe()
    assert recipe is not None
    assert recipe.cutoff_len == 10


def test_the_recipe_of_a_run_is_adopted(home: Path) -> None:
    run = RunDir.create(home / "runs" / "one", "dataset: identity\n")
    draft = Draft()
    draft.adopt(run)
    assert (draft.title, draft.path, draft.dirty) == ("one.yaml", None, False)
    assert draft.command()[2].endswith("one/recipe.yaml")


CRASH = """
import os, signal, sys
from pathlib import Path
from tuitune.tui.draft import Draft
draft = Draft()
draft.open(Path(sys.argv[1]))
draft.set("lora_rank", 77)
print(draft._base.keeper.path, flush=True)
if sys.argv[2] == "crash":
    sys.stdin.read()
draft.close() if sys.argv[2] == "close" else None
"""


def _left_by_a_crash() -> list[kept.Recovered]:
    """Return what would be found, were this process gone."""
    for file in (places.home() / "drafts").glob("*.json"):
        values = json.loads(file.read_text())
        values["by"]["pid"] = 2**22 + 1
        file.write_text(json.dumps(values))
    return Draft.recovered()


@pytest.mark.parametrize("how", ["crash", "close", "exit"])
def test_no_draft_is_lost(file: Path, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(file), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    until(path.is_file)
    if how == "crash":
        assert Draft.recovered() == []  # its app lives
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    [found] = Draft.recovered()
    assert (found.title, found.path, found.closed) == ("mine.yaml", file, how == "close")
    draft = Draft()
    draft.recover(found)
    assert (draft.path, draft.changed, draft.values["lora_rank"]) == (file, frozenset({"lora_rank"}), 77)
    with pytest.raises(UsageError, match="another TuiTune"):
        Draft().recover(found)
    draft.save()
    kept.flush_all()
    assert not list((places.home() / "drafts").iterdir())


def test_a_clone_that_nobody_changed_lies_nowhere_else_and_comes_back_first(draft: Draft) -> None:
    draft.set("lora_rank", 3)
    draft.begin(TEXT, "tuned-2")
    assert not draft.dirty
    kept.flush_all()
    left = _left_by_a_crash()
    assert [each.title for each in left] == ["tuned-2.yaml", "mine.yaml"]
    again = Draft()
    again.recover(left[0])
    assert (again.text, again.own_name) == (TEXT, "tuned-2")
    again.save(Path("tuned-2.yaml").absolute())
    assert again.own_name is None
    kept.flush_all()
    assert [each.title for each in _left_by_a_crash()] == ["mine.yaml"]


def test_of_all_that_was_not_saved_a_closed_app_says_that_it_ended_in_good_order(draft: Draft, home: Path) -> None:
    draft.set("lora_rank", 3)
    draft.begin(TEXT, "of-a-run")
    draft.close()
    left = _left_by_a_crash()
    assert [(each.title, each.closed) for each in left] == [("of-a-run.yaml", True), ("mine.yaml", True)]


def test_who_comes_for_a_run_leaves_the_last_draft_where_it_is(draft: Draft, home: Path) -> None:
    draft.set("lora_rank", 3)
    draft.close()
    _left_by_a_crash()
    assert _fill(Draft(), Start(run=RunDir.create(home / "runs" / "one", TEXT))) == []
    assert [each.title for each in Draft.recovered()] == ["mine.yaml"]
    assert _fill(Draft(), Start()) == ["mine.yaml, as you left it"]


def test_a_saved_draft_is_not_offered(draft: Draft, file: Path) -> None:
    draft.set("lora_rank", 3)
    kept.flush_all()
    file.write_text(draft.text)
    assert _left_by_a_crash() == []
    assert not list((places.home() / "drafts").glob("*.json"))


def test_junk_in_the_folder_of_drafts_is_left_alone(home: Path) -> None:
    junk = [kept.folder() / name for name in ("a.json", "b.json")]
    junk[0].write_text("{")
    junk[1].write_text('{"text": 1, "by": {}}')
    assert Draft.recovered() == []
    assert all(path.exists() for path in junk)


def test_a_draft_that_cannot_be_kept_says_so(draft: Draft, home: Path) -> None:
    (home / "drafts").write_text("no folder")
    draft.set("lora_rank", 3)
    kept.flush_all()
    assert "cannot be kept" in draft.trouble
    (home / "drafts").unlink()
    draft.set("lora_rank", 4)
    kept.flush_all()
    assert draft.trouble == ""


def test_presets_of_the_users_own(home: Path) -> None:
    (home / "presets").mkdir()
    (home / "presets" / "house.yaml").write_text("stage: sft\n")
    draft = Draft()
    draft.use_preset("house")
    assert draft.text == "stage: sft\n"
    with pytest.raises(UsageError, match="no preset"):
        draft.use_preset("hause_")
