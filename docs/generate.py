"""Writes a page for each registered learner and environment, from docstrings, fields, presets and benchmark results.

    python docs/generate.py            # learners, environments, speed, optimal, recovery and similarity; pictures
    python docs/generate.py RUN        # also docs/images/adaptation.svg, from the evaluation in a run folder

A test compares the pages with what this script would write.
"""

import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from adaptax.config import attributes_of, fields_of
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import BINDING, Learner
from adaptax.presets import DEFAULT_META_STEPS
from adaptax.presets.tuned import TUNED
from adaptax.registry import ENVIRONMENTS, LEARNERS, make, make_learner
from adaptax.runs import values_of

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import optimal  # noqa: E402 (beside this script)
import recovery  # noqa: E402
import seven  # noqa: E402
import similar  # noqa: E402
from committed import committed  # noqa: E402

SECTIONS = ("Attributes", "Example", "References", "Differences from the paper")
SPENT = ("seeds", "million steps", "seconds of training")
KINDS = {"learners": LEARNERS, "environments": ENVIRONMENTS}


def sections_of(docstring: str) -> dict[str, str]:
    """The parts of a docstring: "summary", "body", and the named sections without their indentation."""
    text = inspect.cleandoc(docstring)
    summary, _, rest = text.partition("\n")
    heads = "|".join(SECTIONS)
    pieces = re.split(rf"^({heads}):", rest, flags=re.MULTILINE)
    found = {"summary": summary.strip(), "body": pieces[0].strip()}
    for name, content in zip(pieces[1::2], pieces[2::2], strict=True):
        found[name] = inspect.cleandoc("\n" + content) if content.startswith("\n") else " ".join(content.split())
    return found


def public_fields(config: Any) -> list[str]:
    """The fields that a user may set, in order; some only from Python."""
    internal = BINDING if isinstance(config, Learner) else ()
    return [f.name for f in dataclasses.fields(type(config)) if f.init and f.name not in internal]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def fields_table(config: Any) -> str:
    """Name, default, legal values and meaning of every field."""
    known, helps = fields_of(config), attributes_of(type(config))
    rows = []
    for name in public_fields(config):
        legal = known[name].legal().strip() if name in known else "from Python only"
        default = f"`{getattr(config, name)!r}`"
        rows.append([f"`{name}`", default, legal, helps.get(name, "")])
    return table(["field", "default", "legal", "meaning"], rows)


def presets_table(kind: str, name: str) -> str:
    """The tuned settings that name this learner or environment."""
    rows = []
    for (learner, environment), presets in sorted(TUNED.items()):
        if name not in (learner, environment):
            continue
        other = environment if kind == "learners" else learner
        folder = f"{kind_of_other(kind)}s"
        for preset, fields in presets.items():
            values = ", ".join(f"`{key}={value!r}`" for key, value in fields.items())
            rows.append([f"[{other}](../{folder}/{other}.md)", preset, values])
    if not rows:
        return f"No tuned settings yet: the defaults above, for {DEFAULT_META_STEPS} meta-steps."
    return table([kind_of_other(kind), "preset", "fields"], rows)


def results_of(kind: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """The committed benchmark results that name this learner or environment."""
    key, found = kind.removesuffix("s"), []
    for path in sorted(folder.glob("*.json"), key=lambda p: (len(p.stem), p.stem)):
        data = json.loads(path.read_text(encoding="utf-8"))
        for result in data if isinstance(data, list) else [data]:
            if isinstance(result, dict) and result.get(key) == name and "total_return" in result:
                found.append(result)
    return found


def results_section(kind: str, name: str, results: list[dict[str, Any]]) -> str:
    """What was measured: whole lives where that is what learners differ in, and greedy returns along a life."""
    whole = [r for r in results if r["learner"] in LEARNERS and LEARNERS[r["learner"]]().objective == "total_return"]
    parts = [whole_lives(kind, whole)] if whole else []
    if greedy := [result for result in results if result not in whole]:
        parts += ["Greedy return on unseen tasks after k phases of adaptation:", along_a_life(kind, greedy)]
    picture = f"images/{name}.svg"
    if kind == "environments" and (ROOT / "docs" / picture).exists():
        parts.append(f"![Greedy return after each phase of adaptation](../{picture})")
    return "\n\n".join(parts)


def about(kind: str, result: dict[str, Any]) -> str:
    """The other party of a result, with whatever fields are not as usual."""
    changed = changed_environment(result) | (result.get("learner_fields") or {})
    return result[kind_of_other(kind)] + "".join(f", `{k}={v!r}`" for k, v in changed.items())


def changed_environment(result: dict[str, Any]) -> dict[str, Any]:
    """The fields of a result's environment that are not as usual."""
    usual = values_of(ENVIRONMENTS[result["environment"]]()) if result["environment"] in ENVIRONMENTS else {}
    return {k: v for k, v in (result.get("environment_fields") or {}).items() if usual.get(k) != v}


def whole_lives(kind: str, results: list[dict[str, Any]]) -> str:
    """Return of the whole life, beside the optimum and random actions."""
    rows = []
    for result in results:
        low, high = (result.get("ci95") or {}).get("total_return", (None, None))
        known = result.get("references") or {}
        interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
        beside = [f"{known[name]:.3f}" if known.get(name) is not None else "" for name in ("optimal", "random")]
        rows.append([about(kind, result), f"{result['total_return']:.3f}{interval}", *beside, *spent(result)])
    return table([kind_of_other(kind), "return of the life (95 %)", "optimal", "random", *SPENT], rows)


def along_a_life(kind: str, results: list[dict[str, Any]], shown: int = 4) -> str:
    """Greedy returns after the first phases and after the last."""
    last = max(len(result["phase_return"]) for result in results) - 1
    places = sorted({*range(min(shown, last + 1)), last})
    rows = []
    for result in results:
        curve = result["phase_return"]
        rows.append(
            [about(kind, result), *(f"{curve[k]:.2f}" if k < len(curve) else "" for k in places), *spent(result)]
        )
    return table([kind_of_other(kind), *(f"k = {k}" for k in places), *SPENT], rows)


def spent(result: dict[str, Any]) -> list[str]:
    """What a result took: seeds, and for each of them environment steps of all lives, and time."""
    lived = f"{steps_trained(result) / 1e6:.1f}" if "runs" in result else ""
    return [str(result.get("seeds", "")), lived, str(result.get("train_seconds", ""))]


def steps_trained(result: dict[str, Any]) -> int:
    """Environment steps of one training."""
    env = make(result["environment"], **result["environment_fields"])
    learner = make_learner(result["learner"], **result["fields"]).bind(env.spec())
    return learner.tasks * learner.schedule().length * result["runs"][0]["meta_steps"]


def kind_of_other(kind: str) -> str:
    """What a row of a table on that kind of page is about."""
    return "environment" if kind == "learners" else "learner"


def differences(name: str, folder: Path) -> str:
    """The paired differences of a comparison in an environment, where one was made."""
    path, parts = folder / f"comparison-{name}.json", []
    if not path.exists():
        return ""
    data, link = json.loads(path.read_text(encoding="utf-8")), f"[all phases](../../benchmarks/results/{path.name})"
    for ours, others in ((key.removesuffix(" minus"), data[key]) for key in data if key.endswith(" minus")):
        rows = []
        for other, found in others.items():
            cells = zip(found["phase_return"], *found["ci95"], strict=True)
            rows.append([other, *(f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in cells)][:5])
        head = [f"{ours} minus", *(f"k = {k}" for k in range(len(rows[0]) - 1))]
        parts += [
            f"Paired differences on the same {data['tasks']} tasks, {data['seeds']} seeds each ({link}):",
            table(head, rows),
            verdict(ours, others),
            data.get("note", ""),
        ]
    return "\n\n".join(part for part in parts if part)


def verdict(ours: str, others: dict[str, Any]) -> str:
    """Where a comparison's intervals exclude zero, in words."""
    found = []
    for word, decided in (("better", lambda low, high: low > 0), ("worse", lambda low, high: high < 0)):
        for other, entry in others.items():
            phases = [str(k) for k, bounds in enumerate(zip(*entry["ci95"], strict=True)) if decided(*bounds)]
            found += [f"{word} than {other} at k = {', '.join(phases)}"] if phases else []
    if not found:
        return "All intervals hold zero."
    return f"In words: {ours} is {'; '.join(found)}. All other intervals hold zero."


def usage(kind: str, name: str) -> str:
    """The first thing to type."""
    if kind == "environments":
        tuned = next((learner for learner in LEARNERS if (learner, name) in TUNED), "rl2")
        return f'```\nadaptax train {tuned} {name}\n```\n\n```python\nenv = ax.make("{name}")\n```'
    learner = LEARNERS[name]()
    candidates = ["bernoulli-bandit"] if learner.objective == "total_return" else ["point-navigation", "cartpole"]
    usual = next(env for env in candidates if not learner.bind(ENVIRONMENTS[env]().spec()).problems())
    paired = [environment for learner, environment in sorted(TUNED) if learner == name]
    return f"```\nadaptax train {name} {usual if usual in paired or not paired else paired[0]}\n```"


def page(kind: str, name: str, entry: Any, results: Path) -> str:
    """The page of one learner or environment."""
    config, text = entry(), sections_of(entry.__doc__ or "")
    source = Path(inspect.getsourcefile(type(config)) or "").relative_to(ROOT).as_posix()
    picture = []
    if isinstance(config, AbstractEnvironment):
        shows = f"Three tasks as an episode begins. {inspect.cleandoc(config.render.__doc__ or '')}"
        picture = [f"![{shows}](../images/{kind}/{name}.svg)", f"*{shows}*"]
    parts = [f"# {name}", f"**{text['summary']}**", *picture, text["body"], usage(kind, name)]
    if isinstance(config, Learner):
        sees = {"never": "nothing", "training": "in training only", "always": "always"}[config.privileged]
        whole = config.objective == "total_return"
        best = "`total_return`" if whole else "the mean `phase_return` after adaptation"
        parts.append(f"Best checkpoint by {best} on validation tasks; sees the task's descriptor: {sees}.")
        parts.append(seven.beside(name))
    parts += ["## Fields", fields_table(config), "## Presets", presets_table(kind, name)]
    if measured := results_of(kind, name, results):
        parts += ["## Results", results_section(kind, name, measured)]
        parts += [differences(name, results)] if kind == "environments" else []
    for section in SECTIONS[1:]:
        if section in text:
            code = section == "Example" and text[section].startswith(">>>")
            parts += [f"## {section}", f"```python\n{text[section]}\n```" if code else _sentence(text[section])]
    parts.append(f"Source: [`{source}`](../../{source})")
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def index(kind: str, table_of: dict[str, Any]) -> str:
    """The list of all pages of one kind."""
    rows = [[f"[{name}]({name}.md)", sections_of(entry.__doc__ or "")["summary"]] for name, entry in table_of.items()]
    return f"# {kind.capitalize()}\n\n{table(['name', 'what it is'], rows)}\n"


def speed_page(data: dict[str, Any]) -> str:
    """Every ratio of `benchmarks/speed.py`."""
    contract, seeds, outside = data["contract"], data["seeds"], data["outside"]
    rows = [
        ["speed of RL2's training, relative to its own bare network passes", data["bound"]["best"]["ratio"], ">= 0.8"],
        ["speed of RL2, relative to RecurrentPPO of sb3-contrib at its best settings", data["sb3"]["ratio"], ">= 6"],
        ["speed of MAML, relative to PyTorch's torch.func vectorised by hand", data["torch"]["ratio"], ">= 1.2"],
        ["time of RL2 through the contract, relative to JAX by hand", contract["rl2"]["time_ratio"], "<= 1.1"],
        ["time of MAML through the contract, relative to JAX by hand", contract["maml"]["time_ratio"], "<= 1.1"],
        ["time of ten seeds of RL2 in one program, relative to ten runs", seeds["rl2"]["ratio"], "<= 1.2"],
        ["time of ten seeds of MAML in one program, relative to ten runs", seeds["maml"]["ratio"], "<= 1.2"],
        ["share of an RL2 training outside compiled chunks", outside["rl2"]["python_share"], "< 0.03"],
        ["share of a MAML training outside compiled chunks", outside["maml"]["python_share"], "< 0.03"],
        ["seconds of `import adaptax`", data["import"]["import_adaptax_s"], "< 1.5"],
        [
            "speed of the host loop on Gymnasium's CartPole in 64 tasks, relative to a bare loop",
            data["host"]["tasks_64"]["ratio"],
            "",
        ],
        ["the same lives compiled, relative to the host loop", data["host"]["tasks_64"]["compiled_over_host"], ""],
    ]
    machine, dqn = data["machine"], data["dqn"]
    rows.append(["speed of deep Q-learning inside 256 lives, relative to its own bare passes", dqn["ratio"], ">= 0.75"])
    if plain := data.get("cleanrl"):
        rows += [
            [
                "speed of deep Q-learning on our plain cart-pole, relative to CleanRL's `dqn.py` on Gymnasium's",
                plain["ratio"]["one_life"],
                "",
            ],
            ["the same in 256 lives side by side", plain["ratio"]["lives_256"], ""],
            ["the same on Gymnasium's, by the host loop", plain["ratio"]["on_host"], ""],
            [
                f"return on it after {plain['returns']['steps']:,} steps, relative to CleanRL's",
                plain["return_ratio"],
                ">= 0.9",
            ],
        ]
    found = table(["what", "measured", "bar"], [[what, f"{number:.3g}", bar] for what, number, bar in rows])
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        "# Speed\n\nContestants take turns on one machine, and each number is the median over the turns "
        "(`benchmarks/speed.py`; [all numbers](../benchmarks/results/speed.json)).\n\n"
        f"{found}\n\nMemory: {dqn['tasks']} lives of deep Q-learning on the cart-pole, each with a replay of 10,000 "
        f"steps, are {dqn['agents_bytes'] / 1e6:.0f} MB; the whole compiled training takes "
        f"{dqn['program_bytes'] / 1e6:.0f} MB. What cannot fit is refused before anything starts, with the number.\n\n"
        f"Machine: {where}; {versions}.\n"
    )


def pages(results: Path = ROOT / "benchmarks" / "results") -> dict[str, str]:
    """Path below `docs/` -> text of every generated page."""
    found = {}
    if speed := committed(results, "speed"):
        found["speed.md"] = speed_page(speed)
    found["optimal.md"] = optimal.page(results, table)
    if (results / "reliability.json").exists():
        found["recovery.md"] = recovery.page(results, table)
    if (results / "similarity.json").exists():
        found["similarity.md"] = similar.page(results, table)
    if text := seven.page(results, table):
        found["seven-ways.md"] = text
    for kind, entries in KINDS.items():
        found[f"{kind}/index.md"] = index(kind, entries)
        found |= {f"{kind}/{name}.md": page(kind, name, entry, results) for name, entry in entries.items()}
    return found


def write(folder: Path) -> list[str]:
    """Writes the pages below a folder and removes those of what is gone; returns the names of the changed ones."""
    changed, wanted = [], pages()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    for kind in KINDS:
        for path in (folder / kind).glob("*.md"):
            if f"{kind}/{path.name}" not in wanted:
                path.unlink()
                changed.append(f"{kind}/{path.name}")
    return changed


def draw(figure: Any, name: str) -> None:
    """Keeps a figure among the pictures of the documentation."""
    from adaptax.report.svg import standalone_svg

    path = ROOT / "docs" / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(standalone_svg(figure), encoding="utf-8")


def draw_tasks() -> None:
    """Three test tasks of each environment, as an episode begins."""
    from adaptax.core.host import pick
    from adaptax.measure import draw_tasks
    from adaptax.report.scene import task_pictures

    for name, entry in ENVIRONMENTS.items():
        env = entry()
        tasks = draw_tasks(env, "test", 3, seed=5)[0]
        pictures = task_pictures(env, [pick(tasks, i) for i in range(3)], ["", "", ""])
        if pictures is not None:
            draw(pictures, f"environments/{name}.svg")


def draw_claims() -> None:
    """The pictures of `optimal.md` and `seven-ways.md`."""
    for name, figure in optimal.FIGURES.items():
        if found := optimal.claim(ROOT / "benchmarks" / "results", name):
            draw(figure(found), f"claim-{name}.svg")
    for name, found in seven.results(ROOT / "benchmarks" / "results").items():
        draw(seven.starts_figure(found), f"starts-{name}.svg")
    if found := committed(ROOT / "benchmarks" / "results", "optimizers-cartpole"):
        draw(seven.optimizers_figure(found), "optimizers.svg")


def draw_pictures(runs: list[str]) -> None:
    """The picture of the README from a run's test on its own tasks, and one of each committed comparison."""
    from adaptax.report.evaluated import main_result
    from adaptax.report.figures import overview, probe_curve
    from adaptax.report.folder import read_folders

    for run in runs:
        draw(overview([main_result(*read_folders([Path(run)]))]), "adaptation.svg")
    for path in sorted((ROOT / "benchmarks" / "results").glob("comparison-*.json")):
        name = path.stem.removeprefix("comparison-")
        results = [r for r in results_of("environments", name, path.parent) if not changed_environment(r)]
        draw(probe_curve(results, [about("environments", r).replace("`", "") for r in results]), f"{name}.svg")


if __name__ == "__main__":
    draw_pictures(sys.argv[1:])
    draw_tasks()
    draw_claims()
    print("\n".join(write(ROOT / "docs")) or "all pages are up to date", file=sys.stderr)
