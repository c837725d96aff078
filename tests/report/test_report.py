import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from adaptax.cli import main
from adaptax.errors import CheckpointError, ConfigError
from adaptax.report import write_report
from adaptax.report.figures import adaptation_curve, beside_references, logged, overview, probe_curve, training_curve
from adaptax.report.svg import standalone_svg

RESULT = {
    "learner": "rl2", "environment": "bernoulli-bandit", "split": "test", "checkpoint": "best", "tasks": 50,
    "seeds": 2, "asked": {"split": "test", "tasks": 50, "checkpoint": "best", "seed": 0, "env_file": None},
    "total_return": 1.8, "episode_return": [0.5, 0.6, 0.7], "phase_return": [0.5, 0.75],
    "return_at_step": [0.5, 0.6, 0.7],
    "episode_count": [100, 100, 100], "steps": [1, 2, 3], "iqm": 1.85, "references": {"random": 1.5, "optimal": 1.97},
    "ci95": {"total_return": [1.7, 1.9], "episode_return": [[0.4, 0.5, 0.6], [0.6, 0.7, 0.8]],
             "phase_return": [[0.4, 0.7], [0.6, 0.8]], "return_at_step": [[0.4, 0.5, 0.6], [0.6, 0.7, 0.8]]},
    "normalised": 0.638, "normalised_by": "optimal", "env_steps": 300, "seconds": 1.0,
}  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would act on, and checks that elements close in the order they opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.attributes, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def make_run(tmp_path):
    def make(name="run", learner="rl2", results=(RESULT,), lines=None, sweep=None, **info):
        folder = tmp_path / name
        (folder / "eval").mkdir(parents=True)
        settings = {"meta_steps": 20, "seed": 0, "seeds": 2, "sweep": sweep or {}}
        config = {
            "schema": 1,
            "learner": {"name": learner, "fields": {"hidden": 8}},
            "environment": {"name": "bernoulli-bandit", "fields": {"arms": 5, "pulls": 3}},
            "settings": settings,
        }
        told = {"id": name, "status": "finished", "command": ["adaptax", "train", learner, "bernoulli-bandit"]}
        told |= {"versions": {"adaptax": "0.1.0", "jax": "0.10.2"}, "devices": ["cpu:0"], "python": "3.11.7"}
        if lines is None:
            lines = [{"step": i, "env_steps": 9 * i, "seconds": 1.0 * i, "life_return": [1.5, 1.6]} for i in (5, 10)]
            lines[-1]["validation"] = [1.7, 1.75]
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "run.json").write_text(json.dumps(told | info))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for index, result in enumerate(results):
            (folder / "eval" / f"bernoulli-bandit-test-best-{index}.json").write_text(json.dumps(result))
        return folder

    return make


def read(path):
    return Reader(path.read_text(encoding="utf-8"))


def words(page):
    return " ".join(" ".join(page.text).split())


def test_one_run_shows_curve_table_configuration_and_commands(make_run):
    path = write_report([make_run()])
    assert path.name == "report.html"
    page = read(path)
    text = words(page)
    for shown in ("rl2 on bernoulli-bandit", "1.800", "1.700 to 1.900", "1.970", "0.638", "hidden", "jax==0.10.2"):
        assert shown in text
    assert "adaptax train rl2 bernoulli-bandit" in text
    assert "--split test --tasks 50 --checkpoint best --seed 0" in text
    assert "ax.make_learner('rl2', hidden=8)" in text
    assert "ax.make('bernoulli-bandit', pulls=3)" in text  # five arms are the default
    assert page.elements.count("svg") == 5  # lived, beside, probe, validation, returns; steps repeat the episodes


def test_a_command_on_an_environment_of_ones_own_sets_no_fields(make_run):
    own = RESULT | {"environment": "Mine", "environment_fields": {"limit": 20}}
    own |= {"asked": RESULT["asked"] | {"env_file": "mine.py:Mine"}}
    text = words(read(write_report([make_run(results=(own,))])))
    assert "--env-file mine.py:Mine" in text and "--env.limit" not in text


def test_page_is_self_contained(make_run):
    path = write_report([make_run()])
    page = read(path)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "xlink:href", "src"))
    assert re.findall(r"url\((?!#)|@import|https?:", path.read_text(encoding="utf-8")) == []
    assert "default-src 'none'" in dict(page.attributes)["content"] or "default-src 'none'" in path.read_text()


def test_identifiers_are_unique_and_resolve(make_run):
    page = read(write_report([make_run("a"), make_run("b")]))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0
    used = {value[1:] for name, value in page.attributes if name == "xlink:href"}
    used |= {value[5:-1] for name, value in page.attributes if name == "clip-path"}
    assert used <= set(ids)


def test_every_figure_follows_the_theme_and_says_what_it_shows(make_run):
    path = write_report([make_run()])
    svgs = re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL)
    for svg in svgs:
        colours = set(re.findall(r"#[0-9a-f]{6}", svg))
        assert colours <= {"#000000"}  # matplotlib's empty patches name black and draw nothing
        assert 'aria-label="' in svg
    assert 'aria-label="As lived. rl2: 0.500 to 0.700"' in "".join(svgs)


def test_same_inputs_give_the_same_bytes(make_run):
    folders = [make_run("a"), make_run("b", "maml")]
    first = write_report(folders).read_bytes()
    assert write_report(folders).read_bytes() == first


HOSTILE = '<script>alert("x")</script>\'"|$x_1$ \x1b[31m\u202eabc --> ]]> &amp; ' + "long " * 3000


def test_text_from_disk_stays_text(make_run):
    result = RESULT | {"learner": HOSTILE, "split": HOSTILE, "checkpoint": HOSTILE, "references": {HOSTILE: 1.0}}
    lines = [{"step": 1, "env_steps": 1, "seconds": 1, HOSTILE: 1.0, "life_return" + HOSTILE: 2.0}]
    told = {"id": HOSTILE, "status": HOSTILE, "created": HOSTILE, "devices": [HOSTILE], "command": [HOSTILE, "a b"]}
    folder = make_run("run", HOSTILE, [result, result], lines, **told, versions={HOSTILE: HOSTILE})
    path = write_report([folder])
    page = read(path)
    assert "script" not in page.elements
    assert "<script>alert(" in words(page)
    assert "$x_1$" in "".join(re.findall(r"<text.*?</text>", path.read_text(encoding="utf-8"), re.DOTALL))
    svgs = "".join(re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL))
    assert not set("\x1b\u202e") & set(svgs)
    assert "long " * 20 not in svgs


@pytest.mark.parametrize("script", ["\u4efb\u52a1", "\u05de\u05e9\u05d9\u05de\u05d4", "\U0001f3b0", "_hidden"])
def test_names_in_any_script_are_drawn_without_a_warning(make_run, script):
    other = RESULT | {"learner": script}
    path = write_report([make_run("a", script, [other]), make_run("b")])
    assert script.lstrip("_") in path.read_text(encoding="utf-8")


def test_numbers_that_are_missing(make_run):
    holes = {
        "total_return": None, "episode_return": [None, 0.5, None], "phase_return": [None, None], "iqm": None,
        "normalised": None, "references": {"random": None}, "ci95": {"total_return": [None, None]},
        "return_at_step": [None, 0.5], "steps": [1, 2], "episode_count": [0, 4, 0],
    }  # fmt: skip
    lines = [{"step": 5, "life_return": [math.nan, 1.0], "validation": None, "loss": [math.nan, math.inf]}]
    folder = make_run(results=[RESULT | holes, {"learner": "x"}], lines=lines)
    (folder / "eval" / "torn.json").write_text('{"learner": ')
    text = words(read(write_report([folder])))
    assert "nan" not in text.lower().split()
    assert "\N{EN DASH}" in text


def test_a_run_without_evaluation_says_how_to_make_one(make_run):
    folder = make_run(results=[], lines=[], status="preempted")
    text = words(read(write_report([folder])))
    assert "no evaluation yet" in text
    assert f"adaptax evaluate {folder}" in text
    assert "preempted at meta-step 0 of 20" in text
    assert "No metrics have been logged yet." in text


def test_damaged_run_json_does_not_matter(make_run):
    folder = make_run()
    (folder / "run.json").write_text("{")
    assert "1.800" in words(read(write_report([folder])))


def test_several_runs_share_a_figure(make_run, tmp_path):
    better = RESULT | {"learner": "maml", "total_return": 1.9, "episode_return": [0.5, 0.65, 0.75]}
    folders = [make_run("a"), make_run("b", "maml", [better]), make_run("a2", results=[])]
    path = write_report(folders, tmp_path / "new" / "all.html")
    text, page = path.read_text(encoding="utf-8"), read(path)
    assert 'aria-label="As lived. rl2 · a: 0.500 to 0.700; maml: 0.500 to 0.750"' in text
    assert text.count("<h2>Adaptation: bernoulli-bandit, test tasks</h2>") == 1
    assert "rl2 · a2: no evaluation yet" in words(page)
    order = [words(page).index(name) for name in ("optimal 1.970", "maml 1.900", "rl2 · a 1.800", "random 1.500")]
    assert order == sorted(order)


def test_validations_of_other_things_are_other_figures(make_run):
    folders = [make_run("a"), make_run("b", "maml")]
    for folder, objective in zip(folders, ("total_return", "phase_return"), strict=True):
        config = json.loads((folder / "config.json").read_text())
        config["learner"]["objective"] = objective
        (folder / "config.json").write_text(json.dumps(config))
    text = words(read(write_report(folders)))
    assert "Return of a whole life. On validation" in text and "Greedy return of an episode" in text
    lines = [{"step": 5, "env_steps": 9, "seconds": 1.0, "life_return": 6.6, "episode_return": 0.66}]
    text = words(read(write_report([make_run("c", lines=lines)])))
    assert "Life return in training" in text and "Episode return in training" in text


def test_it_says_in_which_fields_runs_differ(make_run):
    folders = [make_run("a"), make_run("b"), make_run("c", "maml")]
    config = json.loads((folders[1] / "config.json").read_text())
    config["learner"]["fields"]["hidden"] = 64
    (folders[1] / "config.json").write_text(json.dumps(config))
    text = words(read(write_report(folders)))
    assert "differs in" in text and "hidden 8 rl2 · b" in text and "hidden 64 maml" in text  # maml is not rl2
    assert "differs in" not in words(read(write_report(folders[1:])))


def test_two_results_of_one_run_are_told_apart(make_run):
    text = words(read(write_report([make_run(results=[RESULT, RESULT | {"checkpoint": "last"}])])))
    assert "rl2 (best)" in text and "rl2 (last)" in text


def test_other_settings_are_other_sections_and_never_the_headline(make_run):
    own = RESULT | {"environment_fields": {"arms": 5, "pulls": 3}, "episodes": 3}
    elsewhere = own | {"environment_fields": {"arms": 9, "pulls": 3}, "total_return": 2.9, "tasks": 900}
    changed = own | {"learner_fields": {"copies": 1}, "total_return": 2.7, "tasks": 900}
    longer = own | {"episodes": 6, "asked": own["asked"] | {"episodes": 6}, "total_return": 3.9, "tasks": 900}
    text = words(read(write_report([make_run(results=[elsewhere, changed, longer, own])])))
    assert "1.800 total return on test tasks" in text
    for title in ("arms=9 episodes=3", "arms=5 episodes=3", "arms=5 episodes=6"):
        assert f"Adaptation: bernoulli-bandit, test tasks, {title}" in text
    assert "total return on test tasks" not in words(read(write_report([make_run("b", results=[elsewhere])])))


def test_it_says_what_is_normalised(make_run):
    result = RESULT | {"normalised_by": "oracle", "normalised_of": "phase_return"}
    text = words(read(write_report([make_run(results=[result])])))
    assert "0.638 normalised after the last phase 0 is random, 1 is oracle" in text


def test_a_sweep_is_drawn_point_by_point(make_run):
    lines = [{"step": 5, "life_return": [1.0, 1.2, 2.0, 2.2]}]
    text = words(read(write_report([make_run(lines=lines, sweep={"learning_rate": [0.1, 0.01]})])))
    assert "life_return learning_rate 0.1" in text and "life_return learning_rate 0.01" in text


def test_folder_that_is_no_run(tmp_path, capsys):
    with pytest.raises(CheckpointError, match="is not a run folder"):
        write_report([tmp_path])
    with pytest.raises(SystemExit) as left:
        main(["report", str(tmp_path)])
    assert left.value.code == 5
    assert str(tmp_path) in capsys.readouterr().err


def test_out_that_is_a_folder(make_run, tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        write_report([make_run()], tmp_path)


def test_missing_matplotlib_names_the_extra(make_run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("adaptax.report.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"] or ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r'pip install "adaptax\[report\]"'):
        write_report([make_run()])


def test_command(make_run, capsys):
    folder = make_run()
    main(["report", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out) == {"report": str(folder / "report.html")}
    assert Path(folder / "report.html").exists()


def test_adaptation_curve_draws_the_numbers_and_the_steady_references():
    axes = adaptation_curve([RESULT]).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[1, 0.5], [2, 0.6], [3, 0.7]])
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0.5, 0.5]  # random: 1.5 over three episodes
    assert [text.get_text() for text in axes.texts] == ["random"]  # the optimum's episodes are not alike
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.4, 0.8))


def test_references_of_a_life_cut_off_in_an_episode_are_not_divided():
    assert len(adaptation_curve([RESULT | {"total_return": 2.5}]).axes[0].lines) == 1


def test_late_episodes_of_few_lives_are_dotted():
    axes = adaptation_curve([RESULT | {"episode_count": [100, 100, 3], "references": {}}]).axes[0]
    solid, dotted = axes.lines
    assert (np.asarray(solid.get_xdata()).tolist(), np.asarray(dotted.get_xdata()).tolist()) == ([1, 2], [2, 3])
    assert dotted.get_linestyle() == ":"


def test_beside_references_is_sorted_and_marks_the_optimum():
    axes = beside_references([RESULT, RESULT | {"total_return": 1.99}], ["rl2", "other"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["random", "rl2", "optimal", "other"]
    assert [1.97, 1.97] in [np.asarray(line.get_xdata()).tolist() for line in axes.lines]


def test_references_that_disagree_are_named_after_their_evaluation():
    other = RESULT | {"references": {"random": 1.4}}
    axes = beside_references([RESULT, other], ["a", "b"]).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert {"random (a)", "random (b)", "optimal"} < set(names)


def test_probe_curve_starts_before_the_first_phase():
    line = probe_curve([RESULT | {"references": {}}]).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[0, 0.5], [1, 0.75]])


def test_training_curve_draws_seeds_and_their_mean():
    lines = [{"step": 1, "r": [1.0, 3.0]}, {"step": 2, "r": [2.0, None]}, {"step": 3}]
    axes = training_curve([logged(lines, "r")]).axes[0]
    drawn = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert drawn[0] == [1.0, 2.0]
    assert drawn[1][0] == 3.0 and math.isnan(drawn[1][1])
    assert drawn[2] == [2.0, 2.0]


def test_standalone_picture_is_well_formed_and_the_same_every_time():
    text = standalone_svg(overview([RESULT]))
    assert standalone_svg(overview([RESULT])) == text
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"episode", "optimal"} <= set(root.itertext())
    assert "prefers-color-scheme:dark" in text
