"""Every path and every command that README.md and docs/ name is real."""

import os
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer

from parley_bringup.cli.main import COMMANDS, command_line

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
MADE = (".venv/", "runs/", "logs/", "params/", "frames/")  # folders that a set-up or a run makes
SUFFIXES = ("md", "py", "yaml", "toml", "txt", "msg", "sh")  # files named without a folder that must exist somewhere
MADE_FILES = ("run.json", "floorplan.yaml", "metadata.yaml")  # written into a run folder
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def faults_in(text: str, folder: Path) -> list[str]:
    """What a page names that is not real; `folder` is where the page lies."""
    prose = FENCE.sub("", text)
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
    spans = CODE.findall(prose)
    faults = [f"link {target}" for target in LINK.findall(prose) if not is_link_real(target, folder)]
    faults += [f"path {span}" for span in spans if looks_like_path(span) and not is_path_real(span)]
    for command in [*lines, *spans]:
        faults += [f"{command.strip()}: {fault}" for fault in command_faults(command)]
    return faults


def is_link_real(target, folder):
    return target.startswith(("http://", "https://", "#")) or (folder / target.split("#")[0]).exists()


def looks_like_path(span):
    if re.search(r"[\s<>$={}():,]", span) or span.startswith(("/", "-", "http")):
        return False
    return "/" in span or span.rsplit(".", 1)[-1] in SUFFIXES


def is_path_real(span):
    if span.startswith(MADE) or span in MADE_FILES:
        return True
    if "/" in span:
        return any(TOP.glob(span.rstrip("/")))
    return any(fnmatch(name, span) for name in repository_files())


def repository_files():
    skipped = {".git", ".venv", "build", "install", "log", "__pycache__", "runs"}
    for _, folders, names in os.walk(TOP):
        folders[:] = [each for each in folders if each not in skipped]
        yield from names


def command_faults(line: str) -> list[str]:
    """What is wrong with a `make`, `parley` or `ros2 launch` command; empty for a sound one and for anything else."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    if not words:
        return []
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE)
        return [f"no target '{word}'" for word in words[1:] if "=" not in word and word not in targets]
    if words[0].removeprefix(".venv/bin/") == "parley" and len(words) > 1:
        return parley_faults(words[1:])
    if words[:2] == ["ros2", "launch"] and len(words) > 3:
        return [] if (TOP / "launch" / words[3]).is_file() else [f"no launch file '{words[3]}'"]
    return []


def parley_faults(words):
    name, rest = words[0], words[1:]
    if name == "--help" or rest == ["--help"]:
        return []
    if name not in COMMANDS:
        return [f"no command '{name}'"]
    command = typer.main.get_command(command_line(name)).commands[name]
    options = {word: option for option in command.params for word in [*option.opts, *option.secondary_opts]}
    taken = [parameter.nargs for parameter in command.params if parameter.param_type_name == "argument"]
    places = len(rest) if -1 in taken else sum(taken)  # -1: any number
    faults = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            places -= 1
            if places < 0:
                faults.append(f"one argument too many: '{word}'")
            continue
        option = options.get(word.split("=")[0])
        if option is None:
            faults.append(f"no option '{word}'")
        elif not option.is_flag and "=" not in word and rest:
            rest.pop(0)
    return faults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_path_and_command_on_a_page_is_real(page):
    assert faults_in(page.read_text(encoding="utf-8"), page.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "[plan](docs/NOWHERE.md)",
        "see `config/nothing.yaml`",
        "see `policy_core/nothing/`",
        "see `nowhere_to_be_found.py`",
        "run `make coffee`",
        "run `parley dance`",
        "run `parley demo --slowly`",
        "run `parley demo here`",
        "```\nparley report one two\n```",
        "```\n.venv/bin/parley demo --minutes 2 --colour  # comment\n```",
        "```\nros2 launch parley_bringup nothing.launch.py\n```",
    ],
)
def test_a_page_that_names_what_is_not_there_is_found_out(text):
    assert len(faults_in(text, TOP)) == 1


def test_a_page_that_names_what_is_there_passes():
    text = (
        "`config/contract.yaml`, `config/*.yaml`, `contract.yaml`, `/fleet/messages`, `runs/today/kpis.json`, `make "
        "test`, [here](pyproject.toml), `parley demo --minutes 2 --compare`\n```\nmake demo ARGS='--seed 3'\n```\n"
    )
    assert faults_in(text, TOP) == []
