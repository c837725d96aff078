"""The sections of a page that show evaluations: figures, the table beside the references, and what is missing."""

from typing import Any, NamedTuple

from adaptax.report import figures
from adaptax.report.folder import Folder, Result, clean, number, numbers
from adaptax.report.html import Markup, card, join, swatch, table, tag
from adaptax.report.reproduce import evaluate_command
from adaptax.report.svg import inline_svg
from adaptax.report.words import bounds, listed, text, whole

REFERENCES = {
    "optimal": "Bayes-optimal, exact, the mean over all tasks",
    "oracle": "knows the task",
    "oracle run": "a trained policy that is told the task",
    "gittins": "Gittins indices for the finite horizon",
    "thompson": "posterior sampling",
    "optimistic thompson": "the best of several posterior samples",
    "bayes filter": "plays what the exact belief favours",
    "ucb1": "upper confidence bounds, tuned",
    "ucb": "upper confidence bounds, tuned",
    "greedy": "highest posterior mean",
    "epsilon-greedy": "greedy, and at times random",
    "psrl": "plans in a sample of the posterior",
    "opsrl": "plans in the best of several samples",
    "ucrl2": "plans in the best MDP that the data allow",
    "beb": "plans with a bonus for what is little known",
    "beb each step": "as beb, but plans anew at every step",
    "bandits": "takes every state for a bandit of its own",
    "q-learning": "from scratch",
    "sweep": "searches systematically, then goes straight",
    "depth-first": "searches the maze branch by branch",
    "optimistic": "takes what it has not seen for passable",
    "climb": "climbs to see the treasure",
    "circle": "walks round until it meets the treasure",
    "fast circle": "circles at full speed",
    "interval": "knows all but where the rim begins",
    "separate": "takes each barcode by itself",
    "forgetful": "takes each visit by itself",
    "safe": "always takes what is known to be no bad choice",
    "still": "never moves",
    "random": "uniform actions",
}


class Shown(NamedTuple):
    """One evaluation on the page."""

    folder: Folder
    result: Result
    label: str
    colour: int

    @property
    def data(self) -> dict[str, Any]:
        """Its numbers."""
        return self.result.data


def evaluations(folders: list[Folder]) -> list[Markup]:
    """One section for each environment and split; evaluations of several runs share its figures."""
    sections = [
        tag("section", tag("h2", f"Adaptation: {title}"), *group(f"g{index}", shown))
        for index, (title, shown) in enumerate(grouped(folders).items())
    ]
    bare = [folder for folder in folders if not folder.results]
    return [*sections, missing(bare, len(folders))] if bare else sections


def missing(bare: list[Folder], count: int) -> Markup:
    """Says which runs have no evaluation, and how to make one."""
    which = "This run has" if count == 1 else f"{listed(folder.label for folder in bare)}:"
    words = tag("p", f"{which} no evaluation yet. To let it live on unseen tasks and see its adaptation curve here:")
    commands = "\n".join(evaluate_command(folder, None) for folder in bare)
    return tag("section", tag("h2", "Not evaluated yet"), words, tag("pre", commands))


def grouped(folders: list[Folder]) -> dict[str, list[Shown]]:
    """Evaluations by environment, its fields, split and episodes, each with a name that tells it from its group's."""
    found: dict[tuple, list[tuple[Folder, Result]]] = {}
    for folder in folders:
        for result in folder.results:
            found.setdefault(_setting(result.data), []).append((folder, result))
    return {_title(setting, list(found)): _named(members, folders) for setting, members in found.items()}


def _setting(data: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """What evaluations must share to stand beside each other: the title of their section, and all that may vary."""
    fields = [f"{clean(name)}={clean(value)}" for name, value in (data.get("environment_fields") or {}).items()]
    return f"{clean(data['environment'])}, {clean(data['split'])} tasks", (*fields, f"episodes={data.get('episodes')}")


def _title(setting: tuple[str, tuple[str, ...]], others: list) -> str:
    """The title, with what tells it from others of that title."""
    title, varying = setting
    alike = [words for other, words in others if other == title]
    apart = [word for word in varying if not all(word in words for words in alike)]
    return f"{title}, {' '.join(apart)}" if apart else title


def _named(members: list[tuple[Folder, Result]], folders: list[Folder]) -> list[Shown]:
    runs = [folder.label for folder, _ in members]
    labels = runs
    for word in (lambda result: f"({clean(result.data.get('checkpoint'))})", lambda result: clean(result.name)):
        labels = [
            label if labels.count(label) == 1 else f"{label} {word(result)}"
            for label, (_, result) in zip(labels, members, strict=True)
        ]
    single = len(set(runs)) == len(runs)  # then a run has one colour all over the page
    colours = [folders.index(folder) if single else index for index, (folder, _) in enumerate(members)]
    return [Shown(*member, *look) for member, *look in zip(members, labels, colours, strict=True)]  # type: ignore[misc]


def group(name: str, shown: list[Shown]) -> list[Markup]:
    """Figures and table of evaluations on the same tasks."""
    data = [one.data for one in shown]
    keys = {"labels": [one.label for one in shown], "colours": [one.colour for one in shown]}
    parts = []

    def add(figure: Any, title: str, words: str, of: str) -> None:
        drawn = inline_svg(figure, f"{name}-{of}", f"{title}. {_summary(shown, of)}")
        parts.append(card(title, words, drawn))

    if any(_known(d, "episode_return") for d in data):
        figure = figures.adaptation_curve(data, **keys, legend=False)
        add(figure, "As lived", _lived_words(data), "episode_return")
    words = "Undiscounted sum over the life. References lived in the same tasks; luck can lift them above the optimum."
    add(figures.beside_references(data, **keys), "Beside the references", words, "total_return")
    if any(_known(d, "phase_return") for d in data):
        words = "Greedy return on fresh episodes from a copy of the agent, which never learns from them."
        add(figures.probe_curve(data, **keys, legend=False), "What it could do", words, "phase_return")
    if any(_known(d, "return_at_step") and d["return_at_step"] != d["episode_return"] for d in data):
        words = "Return of the episode finished last. Early on, only short episodes have finished."
        add(figures.step_curve(data, **keys, legend=False), "Over environment steps", words, "return_at_step")
    legend = tag("ul", *(tag("li", swatch(one.colour), one.label) for one in shown), class_="legend")
    policies = tag("div", beside(shown), glossary(data), class_="card")
    inside = [policies] if len(parts) % 2 and len(shown) == 1 else []  # it fills the place beside the last figure
    lead = [tag("p", _measured(data), class_="lead"), *([legend] if len(shown) > 1 else [])]
    return [*lead, tag("div", *parts, *inside, class_="figures"), *([] if inside else [policies])]


def beside(shown: list[Shown]) -> Markup:
    """The agents and the references, best first."""
    rows = []
    for one in shown:
        values = text(one.data["total_return"]), bounds(one.data, "total_return")
        cells = [*values, normalised_cell(one.data), text(one.data.get("iqm"))]
        rows.append((number(one.data["total_return"]), [join(swatch(one.colour), one.label), *cells], "agent"))
    for name, value in figures.reference_rows([one.data for one in shown], [one.label for one in shown]):
        rows.append((value, [name, text(value), "exact" if name == "optimal" else "", "", ""], None))
    rows.sort(key=lambda row: -row[0] if row[0] == row[0] else float("inf"))
    head = ["policy", "total return", "95 % interval", "normalised", "IQM"]
    return table(head, [row for _, row, _ in rows], [mark for _, _, mark in rows])


def glossary(data: list[dict[str, Any]]) -> Markup:
    """What the references are, in a line."""
    names = dict.fromkeys(clean(name) for d in data for name in d.get("references") or {})
    words = "; ".join(f"{name}: {REFERENCES[name]}" for name in names if name in REFERENCES)
    return tag("p", words, class_="note")


def main_result(folder: Folder) -> dict[str, Any]:
    """The evaluation that stands for a run: on its own environment, with nothing changed; empty where there is none.

    Of several, one on test tasks, of the best checkpoint, in lives of the usual length, on most tasks.
    """
    trained = folder.config["environment"]
    own = {"environment": trained.get("name"), "environment_fields": trained.get("fields") or {}}
    swept = set(folder.config["settings"].get("sweep") or {})
    unchanged = lambda d: all(d.get(k, v) == v for k, v in own.items()) and swept >= set(d.get("learner_fields") or {})
    data = [result.data for result in folder.results if unchanged(result.data)]
    usual = lambda d: (d.get("asked") or {}).get("episodes") is None
    wanted = lambda d: (d["split"] == "test", d.get("checkpoint") == "best", usual(d), number(d.get("tasks")))
    return max(data, key=wanted, default={})


def normalised(data: dict[str, Any]) -> str:
    """The normalised score; empty where there is none."""
    return "" if not data or data.get("normalised") is None else text(data["normalised"])


def normalised_when(data: dict[str, Any]) -> str:
    """What the normalised score is of, where that is not the total return; empty else."""
    return "after the last phase" if data.get("normalised_of") == "phase_return" else ""


def normalised_cell(data: dict[str, Any]) -> str:
    """The normalised score and what it is of."""
    return f"{normalised(data)} {normalised_when(data)}".strip()


def uneven(data: dict[str, Any]) -> bool:
    """Whether some episodes were finished by fewer than half of the lives."""
    counts = numbers(data.get("episode_count"))
    return bool(len(counts) > 1 and 2 * counts.min() < counts.max())


def _measured(data: list[dict[str, Any]]) -> str:
    """How the evaluations of a group were made, in words; what they share is said once."""
    each = lambda name: list(dict.fromkeys(clean(d.get(name)) for d in data))
    tasks = " or ".join(dict.fromkeys(whole(d.get("tasks")) for d in data))
    seeds = " or ".join(each("seeds"))
    return f"{tasks} tasks, {seeds} {'seed' if seeds == '1' else 'seeds'}, checkpoint {' or '.join(each('checkpoint'))}"


def _lived_words(data: list[dict[str, Any]]) -> str:
    """What the adaptation curve shows; warns where few lives stand behind its end."""
    never = any(d.get("task_kind") == "disjoint" and d["split"] != "train" for d in data)
    task = "a task never trained on" if never else "a freshly drawn task"
    words = f"Return of each episode of a life in {task}, exploration included."
    few = " Dotted: finished by fewer than half of the lives, those whose episodes are short."
    return words + few if any(uneven(d) for d in data) else words


def _summary(shown: list[Shown], name: str) -> str:
    """The ends of the curves in words, for those who cannot see them."""
    words = []
    for one in shown:
        values = [text(value) for value in numbers(one.data.get(name))]
        words.append(
            " to ".join([f"{one.label}: {values[0]}", *values[-1:]] if len(values) > 1 else [one.label, *values])
        )
    return "; ".join(words)


def _known(data: dict[str, Any], name: str) -> bool:
    values = numbers(data.get(name))
    return bool(len(values) and (values == values).any())
