"""The report as one HTML page."""

from typing import Any

from adaptax.report.evaluated import evaluations, main_result, normalised, normalised_cell, normalised_when, uneven
from adaptax.report.folder import Folder, clean, metric, number, numbers
from adaptax.report.html import Markup, join, pairs, swatch, table, tag
from adaptax.report.reproduce import evaluate_command, install_command, recorded_command, train_snippet
from adaptax.report.style import CSS
from adaptax.report.trained import trainings
from adaptax.report.words import bounds, duration, listed, plural, text


def page(folders: list[Folder]) -> str:
    """The whole document."""
    title = heading(folders)
    body = tag(
        "main",
        header(folders, title),
        *evaluations(folders),
        trainings(folders),
        configurations(folders),
        reproduce(folders),
        tag("footer", "Written by adaptax. Bands and intervals are 95 % bootstrap intervals over tasks and seeds."),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"  # a browser would refuse any script, should one get in
    head = tag(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("title", title),
        tag("style", Markup(CSS)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def heading(folders: list[Folder]) -> str:
    """What the page is about."""
    environments = listed(folder.environment for folder in folders)
    if len(folders) > 4:
        return f"{len(folders)} runs on {environments}"
    return f"{listed(folder.learner for folder in folders)} on {environments}"


def header(folders: list[Folder], title: str) -> Markup:
    """What was trained and how far; then the result in a few large numbers, or a table of the runs."""
    head = [tag("p", "adaptax report", class_="eyebrow"), tag("h1", title)]
    if len(folders) > 1:
        return tag("header", *head, runs_table(folders))
    folder = folders[0]
    words = [f"run {clean(folder.info.get('id', folder.path.name))}"]
    words += [clean(folder.info["created"])] if "created" in folder.info else []
    lead = tag("p", status(folder), "".join(f" · {word}" for word in words), class_="lead")
    return tag("header", *head, lead, tag("div", *tiles(folder), class_="tiles"))


def status(folder: Folder) -> Markup:
    """Where the run stands."""
    word = clean(folder.info.get("status", "unknown"))
    far = (
        ""
        if word == "finished"
        else f" at meta-step {steps_made(folder):,} of {folder.config['settings']['meta_steps']:,}"
    )
    return tag("span", word, far, class_="status finished" if word == "finished" else "status")


NOT = {False: "not evaluated", True: "only elsewhere"}  # whether there are results under other settings


def runs_table(folders: list[Folder]) -> Markup:
    """One row a run."""
    head = ["run", "environment", "status", "seeds", "meta-steps", "best validation", "total return", "normalised"]
    rows, differing = [], what_differs(folders)
    head += ["differs in"] * any(differing)
    for index, folder in enumerate(folders):
        data = main_result(folder)
        score = f"{text(data['total_return'])} ({bounds(data, 'total_return')})" if data else NOT[bool(folder.results)]
        cells = [
            folder.environment,
            status(folder),
            seeds_of(folder),
            f"{steps_made(folder):,}",
            best_validation(folder),
        ]
        rows.append(
            [
                join(swatch(index), folder.label),
                *cells,
                score.removesuffix(" ()"),
                normalised_cell(data),
                *[differing[index]] * any(differing),
            ]
        )
    return table(head, rows)


def what_differs(folders: list[Folder]) -> list[str]:
    """For each run the fields in which it differs from those of the same learner or environment, with their values."""
    told: list[list[str]] = [[] for _ in folders]
    for group in ("learner", "environment"):
        names = [clean(folder.config[group].get("name")) for folder in folders]
        fields = [folder.config[group].get("fields") or {} for folder in folders]
        for words, name, own in zip(told, names, fields, strict=True):
            alike = [other for other, called in zip(fields, names, strict=True) if called == name]
            words += [f"{clean(f)} {clean(own[f])}" for f in own if any(other.get(f) != own[f] for other in alike)]
    return [", ".join(words) for words in told]


def tiles(folder: Folder) -> list[Markup]:
    """The result in a few large numbers."""
    seconds = number(folder.lines[-1].get("seconds")) if folder.lines else 0.0
    taken = f"{plural(seeds_of(folder), 'seed')}, {duration(seconds)}"
    trained = tile(f"{steps_made(folder):,}", "meta-steps of training", taken)
    data = main_result(folder)
    if not data:
        return [trained]
    total = tile(
        text(data["total_return"]), f"total return on {clean(data['split'])} tasks", bounds(data, "total_return")
    )
    by = f"0 is random, 1 is {clean(data.get('normalised_by'))}"
    by += "; above the optimum: an error of measurement" if data.get("above_optimum") is True else ""
    of = f"normalised {normalised_when(data)}".rstrip()
    score = [tile(normalised(data), of, by)] if normalised(data) else []
    return [total, *score, *ends_tile(data), trained]


def tile(value: str, *words: str) -> Markup:
    """One large number and what it is."""
    return tag("div", tag("b", value), *(tag("span", word) for word in words if word), class_="tile")


def ends_tile(data: dict[str, Any]) -> list[Markup]:
    """First and last point of the curve that tells most: as lived, or greedy where few lives are that long."""
    lived, greedy = numbers(data["episode_return"]), numbers(data.get("phase_return"))
    if len(lived) > 1 and not uneven(data):
        return [tile(f"{text(lived[0])} → {text(lived[-1])}", f"return of episode 1 → {len(lived)}", "as lived")]
    if len(greedy) > 1:
        return [tile(f"{text(greedy[0])} → {text(greedy[-1])}", f"return after 0 → {len(greedy) - 1} phases", "greedy")]
    return []


def configurations(folders: list[Folder]) -> Markup:
    """Everything that the runs were made of, and made on."""
    parts = []
    for folder in folders:
        learner, environment = folder.config["learner"], folder.config["environment"]
        values = {f"learner {folder.learner}": learner.get("fields")}
        values |= {f"environment {folder.environment}": environment.get("fields")}
        values |= {"settings": folder.config["settings"], "machine and versions": machine(folder)}
        columns = [tag("div", tag("h3", name), pairs(fields)) for name, fields in values.items() if fields]
        content = tag("div", *columns, class_="columns card")
        single = len(folders) == 1
        parts.append(content if single else tag("details", tag("summary", f"Configuration of {folder.label}"), content))
    return tag("section", tag("h2", "Configuration"), *parts)


def machine(folder: Folder) -> dict[str, Any]:
    """Where the run ran, and with what."""
    info = folder.info
    devices = ", ".join(map(str, info["devices"])) if isinstance(info.get("devices"), list) else None
    known = {"devices": devices, "cores": info.get("cores"), "python": info.get("python")}
    versions = info.get("versions")
    known |= versions if isinstance(versions, dict) else {}
    return {name: value for name, value in known.items() if value is not None}


def reproduce(folders: list[Folder]) -> Markup:
    """The commands that make all this again."""
    parts = []
    for folder in folders:
        evaluated = "\n".join(evaluate_command(folder, result) for result in folder.results)
        steps = {
            "The very versions": install_command(folder),
            "The command that made this run": recorded_command(folder),
            "The same from Python, with everything that differs from the defaults": train_snippet(folder),
            "The evaluations": evaluated or None,
        }
        parts += [tag("h3", folder.label)] if len(folders) > 1 else []
        for words, code in steps.items():
            parts += [tag("p", words, class_="note"), tag("pre", code)] if code else []
    return tag("section", tag("h2", "Reproduce"), *parts)


def steps_made(folder: Folder) -> int:
    """Meta-steps made."""
    made = number(folder.lines[-1].get("step")) if folder.lines else 0.0
    return int(made) if made == made else 0


def seeds_of(folder: Folder) -> int:
    """Number of seeds."""
    return int(folder.config["settings"].get("seeds", 1))


def best_validation(folder: Folder) -> str:
    """The best mean over seeds at one meta-step."""
    _, values = metric(folder.lines, "validation")
    known = values[(values == values).all(1)] if values.size else values
    return text(known.mean(1).max() if len(known) else None)
