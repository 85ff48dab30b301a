"""What a shell completes: studies, runs, figures, settings and their choices."""

import os
import shlex
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from spaceprobe.stages import STAGES


def complete_study(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a shipped study, or a file or folder."""
    del context, parameter
    from spaceprobe.study.config.finding import shipped_configs

    names = [name for name in shipped_configs() if name.startswith(start)]
    # Files first: where they come, click's script for bash forgets what came before.
    return [CompletionItem(start, type="file"), *(CompletionItem(name) for name in names)]


def complete_run(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a run of the study that was named, with its label where the shell shows it."""
    del parameter
    from spaceprobe.errors import SpaceprobeError
    from spaceprobe.results.started import kept_folder
    from spaceprobe.study.config import load_study
    from spaceprobe.study.grid import expand
    from spaceprobe.study.layout import STUDY_FILE

    config = _config(context)
    overrides = context.params.get("overrides") or ()
    try:
        folder = kept_folder(config, context.params.get("results") or Path("results"))
        study = load_study(config if folder is None else folder / STUDY_FILE, overrides, name=_name(folder))
        runs = expand(study)
    except SpaceprobeError:
        return []  # running the study tells what is wrong
    return [CompletionItem(run.name, help=run.label) for run in runs if run.name.startswith(start)]


def complete_started_run(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Complete the name of a run of the study as it was last started."""
    del parameter
    from spaceprobe.errors import SpaceprobeError
    from spaceprobe.results.started import find_started
    from spaceprobe.study.grid import expand

    results = context.params.get("results") or Path("results")
    try:
        study, _ = find_started(_config(context), results)
    except SpaceprobeError:
        return []  # there are no runs yet
    return [CompletionItem(run.name, help=run.label) for run in expand(study) if run.name.startswith(start)]


def complete_figure(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the kind of a figure."""
    del context, parameter
    from spaceprobe.report.figures import FIGURES  # here: matplotlib takes a while to import

    figures = FIGURES.items()
    return [CompletionItem(name, help=entry.title) for name, entry in figures if name.startswith(start)]


def complete_setting(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete ``KEY=VALUE``: the key, then the value where the setting has choices."""
    del context, parameter
    from spaceprobe.study.config import section_models
    from spaceprobe.study.config.sections import SWEEP, dotted_keys

    models = section_models(STAGES)
    key, equals, value = start.partition("=")
    keys = dotted_keys(models)
    if not equals:
        prefix = f"{SWEEP}." if key.startswith(f"{SWEEP}.") else ""
        fields = {name: _field(models, name) for name in keys}
        return [
            CompletionItem(f"{prefix}{name}=", help=fields[name].description)
            for name in keys
            if f"{prefix}{name}".startswith(key)
        ]
    if key not in keys:
        return []
    return [
        CompletionItem(f"{key}={choice}")
        for choice in completed_choices(_field(models, key).annotation, value)
    ]


def completed_choices(annotation: Any, start: str) -> list[str]:
    """Return the values of a setting that begin so; of a list, what may follow its last comma.

    >>> completed_choices(Literal["relu", "gelu"], "r")
    ['relu']
    >>> completed_choices(tuple[Literal["a", "b"], ...], "a,")
    ['a,b']
    """
    before, comma, last = start.rpartition(",") if _is_list(annotation) else ("", "", start)
    used = before.split(",")
    choices = [choice for choice in choices_of(annotation) if choice not in used]
    return [f"{before}{comma}{choice}" for choice in choices if choice.startswith(last)]


def choices_of(annotation: Any) -> list[str]:
    """Return the words that a setting may be, or an item of it; none where it is a number or free text.

    >>> choices_of(Literal["all"] | Annotated[int, "from 1"])
    ['all']
    >>> choices_of(bool)
    ['false', 'true']
    """
    return list(dict.fromkeys(_choices(annotation)))


def _choices(annotation: Any) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        yield from ("false", "true")
    elif origin is Literal:
        yield from map(str, arguments)
    elif origin is Annotated:
        yield from _choices(arguments[0])
    elif origin in (Union, types.UnionType, tuple):
        for argument in arguments:
            yield from _choices(argument)


def _is_list(annotation: Any) -> bool:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_list(arguments[0])
    return origin is tuple or (origin in (Union, types.UnionType) and any(map(_is_list, arguments)))


def _field(models: Mapping[str, Any], key: str) -> Any:
    section, name = key.split(".", 1)
    return models[section].model_fields[name]


def _config(context: click.Context) -> str | None:
    """Return the study that was named; an option that lacks its value keeps click from naming it."""
    config: str | None = context.params.get("config") or next(iter(context.args), None)
    return config


def _name(folder: Path | None) -> str | None:
    return None if folder is None else Path(os.path.abspath(folder)).name  # noqa: PTH100 - links keep their name


def _words_of(line: str) -> list[str]:
    """Return the words of a command line; the last one may lack its closing quote."""
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words.extend(lexer)
    except ValueError:  # no closing quote
        words.append(lexer.token)
    return words


class _Bash(BashComplete):
    """Completion for bash, which hands ``network.activation=re`` over as three words."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that one, with the words around ``=`` joined."""
        words = _words_of(os.environ["COMP_WORDS"])
        place = int(os.environ["COMP_CWORD"])
        current = words[place] if place < len(words) else ""
        joined: list[str] = []
        for word in [*words[1:place], current]:
            if joined and (word.startswith("=") or joined[-1].endswith("=")):
                joined[-1] += word
            else:
                joined.append(word)
        return joined[:-1], joined[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what may stand in place of the word that bash completes, which begins after the ``=``."""
        items = super().get_completions(args, incomplete)
        words = _words_of(os.environ["COMP_WORDS"])
        if incomplete in words:
            return items
        stem = incomplete[: incomplete.rfind("=") + 1]
        for item in items:
            for start in filter(None, (stem, stem.partition("=")[2])):
                item.value = item.value.removeprefix(start)
        return items


add_completion_class(_Bash)
