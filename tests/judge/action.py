"""Runs the steps of `action.yml` as a runner of GitHub does, but for those of other actions: action.py REPOSITORY NAME=VALUE...

Exits with the code of the first step that fails. The working folder is the workspace.
"""

import os
import re
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML

action_path = sys.argv[1]
with open(os.path.join(action_path, "action.yml")) as file:
    action = YAML(typ="safe").load(file)
inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
for argument in sys.argv[2:]:
    name, value = argument.split("=", 1)
    if name not in inputs:
        sys.exit(f"error: the action has no input `{name}`")
    inputs[name] = value
steps = {}


def value(expression):
    """What an expression of the file stands for."""
    known = {
        "github.server_url": "https://github.invalid",
        "github.action_repository || github.repository": "group/project",
        "github.action_path": action_path,
    }
    if expression in known:
        return known[expression]
    if match := re.fullmatch(r"inputs\.(\w+)", expression):
        return inputs[match[1]]
    if match := re.fullmatch(r"inputs\.(\w+) != ''", expression):
        return "true" if inputs[match[1]] else ""
    if match := re.fullmatch(r"steps\.(\w+)\.outputs\.(\w+)", expression):
        return steps[match[1]][match[2]]
    sys.exit(f"error: unknown expression `{expression}`")


def text(words):
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: value(match[1]), str(words))


with tempfile.TemporaryDirectory() as runner:
    path, environment = os.environ["PATH"], dict(os.environ, RUNNER_TEMP=runner)
    for step in action["runs"]["steps"]:
        if "if" in step and not value(step["if"]):
            continue
        print(f"== {step['name']}", flush=True)
        if "uses" in step:
            for argument in step.get("with", {}).values():
                text(argument)
            continue
        files = {name: os.path.join(runner, name) for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            open(file, "w").close()
        own = {name: text(words) for name, words in step.get("env", {}).items()}
        # The flags that a runner gives to bash.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text(step["run"])]
        code = subprocess.run(command, env=environment | files | own | {"PATH": path}).returncode
        if code != 0:
            sys.exit(code)
        with open(files["GITHUB_PATH"]) as file:
            path = ":".join([*reversed(file.read().split()), path])
        with open(files["GITHUB_OUTPUT"]) as file:
            steps[step.get("id", "")] = dict(line.rstrip("\n").split("=", 1) for line in file)
