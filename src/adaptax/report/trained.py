"""The section of a page that shows meta-training: validation, returns, and the other metrics behind a fold."""

from adaptax.report import figures
from adaptax.report.folder import Folder, clean, metric_names, number
from adaptax.report.html import Markup, card, tag
from adaptax.report.svg import inline_svg
from adaptax.report.words import duration, text, whole

OBJECTIVES = {
    "total_return": "Return of a whole life.",
    "phase_return": "Greedy return of an episode, mean over the phases after adaptation.",
}


def trainings(folders: list[Folder]) -> Markup:
    """Validation of all runs, together where it measures the same, then returns run by run."""
    cards = [
        _validation(folders, *measured) for measured in dict.fromkeys((f.environment, f.objective) for f in folders)
    ]
    others = []
    for index, folder in enumerate(folders):
        mine = "" if len(folders) == 1 else f": {folder.label}"
        names = [name for name in metric_names(folder.lines) if name != "validation"]
        returns = [name for name in names if "return" in name]
        # of an episode, of a life: scales of their own
        for what in dict.fromkeys(name.split("_")[0] for name in returns):
            earned = series(folder, [name for name in returns if name.split("_")[0] == what])
            whose = earned[0].label.replace("_", " ").capitalize() if len(earned) == 1 else "Returns"
            cards.append(_figure(earned, f"t{index}-{what}", f"{whose} in training{mine}", _training_words(folder)))
        for place, name in enumerate(name for name in names if "return" not in name):
            others.append(_figure(series(folder, [name]), f"o{index}-{place}", f"{clean(name)}{mine}", ""))
    cards, others = [c for c in cards if c], [c for c in others if c]
    if not cards and not others:
        return tag("section", tag("h2", "Meta-training"), tag("p", "No metrics have been logged yet."))
    fold = tag("details", tag("summary", f"Other metrics ({len(others)})"), tag("div", *others, class_="figures"))
    return tag("section", tag("h2", "Meta-training"), tag("div", *cards, class_="figures"), fold if others else None)


def series(folder: Folder, names: list[str]) -> list[figures.Logged]:
    """Metrics of a run ready to be drawn, one series for each point of its sweep."""
    found = []
    for name in names:
        whole = figures.logged(folder.lines, name)
        for point, members in sweep_points(folder, whole.values.shape[1]).items():
            label = f"{whole.label} {point}".strip()
            found.append(figures.Logged(label, whole.steps, whole.values[:, members], len(found)))
    return [one for one in found if one.values.size]


def sweep_points(folder: Folder, width: int) -> dict[str, list[int]]:
    """Which of the S runs belong to which point of a sweep; seeds vary fastest."""
    settings = folder.config["settings"]
    sweep, seeds = settings.get("sweep") or {}, int(settings.get("seeds", 1))
    if not sweep:
        return {"": list(range(width))}
    points = zip(*sweep.values(), strict=True)
    name = lambda point: ", ".join(f"{clean(key)} {number(value):g}" for key, value in zip(sweep, point, strict=True))
    return {name(point): list(range(i * seeds, min((i + 1) * seeds, width))) for i, point in enumerate(points)}


def _validation(folders: list[Folder], environment: str, objective: str) -> Markup | None:
    together: list[figures.Logged] = []
    for folder in folders:
        if (folder.environment, folder.objective) != (environment, objective):
            continue
        found = series(folder, ["validation"])
        alone = len(found) == 1  # a run without a sweep: then it has its colour and name of the page
        colours = [folders.index(folder) if alone else len(together) + i for i in range(len(found))]
        named = [one._replace(label=one.label.replace("validation", folder.label, 1)) for one in found]
        together += [one._replace(colour=colour) for one, colour in zip(named, colours, strict=True)]
    several = len({folder.environment for folder in folders}) > 1
    title = f"Validation: {environment}" if several else "Validation"
    words = f"{OBJECTIVES.get(objective, '')} On validation tasks; the best checkpoint is chosen by it.".strip()
    return _figure(together, f"v-{environment}-{objective}", title, words)


def _figure(found: list[figures.Logged], name: str, title: str, words: str) -> Markup | None:
    if not found:
        return None
    ends = [f"{one.label} ends at {', '.join(text(value) for value in one.values[-1])}" for one in found]
    words += " Thin: each seed; thick: their mean." if any(one.values.shape[1] > 1 for one in found) and words else ""
    drawn = inline_svg(figures.training_curve(found), name, f"{title}. {'; '.join(ends)}")
    return card(title, words, drawn)


def _training_words(folder: Folder) -> str:
    line = folder.lines[-1] if folder.lines else {}
    return f"{whole(line.get('env_steps'))} environment steps in {duration(number(line.get('seconds')))}."
