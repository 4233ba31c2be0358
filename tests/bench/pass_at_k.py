#!/usr/bin/env python3
"""How much of the embedded model's code works, under no prompt, the manual wordings, prompt tuning and DDPT, and where the right style
depends on the instruction also conditional GENERATOR and DDPT: pass@k on the test examples of tasks of deploy/tiny, whose programs are run.

    pass_at_k.py --cells DIR [--tasks NAME ...] [--problems N] [--samples N] [--k K ...] [--temperature T] [--seeds N ...] [--report]

The problems of a task are the first N (default 34) of those of its examples that can be run (ddpt-corpus --problems), of the test
examples that RESULTS.md reports: no setting was chosen on them. Settings of training are those of tiny_tasks.py. Every kind of
prompt draws the same number of samples of each problem at one temperature, from the same seeds; a seed is that of training, of the
prompt and of the tokens.

A cell is one task under one kind of prompt and one seed; it is kept in DIR as a file, so that a run that was interrupted goes on
where it stopped. Figures are means over the seeds, intervals 95 % by bootstrap over the problems (10,000 resamples), differences
paired. Prints a table in Markdown. Python's standard library only."""

import argparse
import itertools
import json
import math
import pathlib
import random
import subprocess

import prompt_table as table

DEFINITION = json.loads((table.ROOT / "deploy/tiny/tasks.json").read_text())
TASKS = {task["name"]: task for task in DEFINITION["tasks"]}
RUN = ["pyline", "pydef", "house", "sql", "mixed", "mix5"]  # what Python runs, all of it or in part
STEPS = {"house": 350, "mixed": 800, "mix5": 800}  # else 200
TRAINED = ["prompt tuning", "DDPT"]
DEPENDING = ["mixed", "mix5"]  # tasks whose right style depends on the instruction


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", required=True, type=pathlib.Path)
    parser.add_argument("--tasks", nargs="+", choices=RUN, default=RUN)
    parser.add_argument("--problems", type=int, default=34)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of training; default: those of tiny_tasks.py")
    parser.add_argument("--report", action="store_true", help="only print the cells that are there")
    return parser.parse_args()


def kinds(task):
    return ["none", *(f"manual {number}" for number in range(1, 1 + len(TASKS[task]["manual"]))), *TRAINED,
            *(table.CONDITIONAL if task in DEPENDING else [])]


def problems(task, count):
    path = table.state() / f"{task}.problems.jsonl"
    command = ["ddpt-corpus", "--task", task, "--split", "test", "--skip", str(DEFINITION["examples"]["test"]), "--problems"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=table.ROOT)
    path.write_text("".join(done.stdout.splitlines(keepends=True)[:count]))
    return path


def prompt(task, kind, seed, options):
    """The flags of a kind of prompt, which is trained where it must be."""
    if kind == "none":
        return ()
    if kind in table.METHODS:
        name = table.name_of(task, kind, seed)
        table.train(name, table.METHODS[kind], seed, "--steps", options.steps or STEPS.get(task, 200),
                    "--data", table.corpus(task, "train"), "--validation-data", table.corpus(task, "validation"), "--max-prompt-rms", 4)
        return "--task", name, "--prompt-seed", seed
    return "--prompt-text", TASKS[task]["manual"][int(kind[-1]) - 1]


def measure(task, kind, seed, options):
    """How many samples of each problem passed."""
    file, out = problems(task, options.problems), table.state() / "judged.jsonl"
    report = json.loads(table.ddpt("--json", "evaluate", "--problems", file, "--samples", options.samples, "--k", 1, "--resamples", 0,
                                   "--temperature", options.temperature, "--decoding-seed", seed, "--out", out,
                                   *prompt(task, kind, seed, options)))
    passed = dict.fromkeys((problem["task_id"] for problem in table.read_lines(file.read_text())), 0)
    for sample in table.read_lines(out.read_text()):
        passed[sample["task_id"]] += sample["outcome"] == "passed"
    return {"passed": list(passed.values()), "samples": options.samples, "programs_per_second": report["programs_per_second"]}


def pass_at(k, passed, samples):
    """The chance that of k samples one passes, estimated without bias (Chen et al. 2021)."""
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)


def by_problem(cells, k):
    """Of each problem pass@k, the mean over the seeds."""
    columns = zip(*(cell["passed"] for cell in cells))
    return [sum(pass_at(k, passed, cell["samples"]) for passed, cell in zip(column, cells)) / len(cells) for column in columns]


def mean(values):
    return sum(values) / len(values)


def cell(values, draws, sign=""):
    low, high = table.interval([mean([values[i] for i in draw]) for draw in draws])
    return f"{mean(values):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def report(task, options):
    rows = {}  # {kind: {seed: cell}}
    for kind in kinds(task):
        paths = {seed: table.path_of(options.cells, task, kind, seed) for seed in options.seeds}
        cells = {seed: json.loads(path.read_text()) for seed, path in paths.items() if path.exists()}
        if cells:
            rows[kind] = cells
    if "none" not in rows:
        return
    first = next(iter(rows["none"].values()))
    count = len(first["passed"])
    generator = random.Random(0)
    draws = [generator.choices(range(count), k=count) for _ in range(table.RESAMPLES)]
    print(f"\n### {task}: {TASKS[task]['description']}\n\n{count} problems, {first['samples']} samples of each and seed.\n")

    def above_none(cells):
        """Over the seeds that both have."""
        shared = [seed for seed in cells if seed in rows["none"]]
        pair = [by_problem([of[seed] for seed in shared], options.k[0]) for of in (cells, rows["none"])]
        return cell([ours - none for ours, none in zip(*pair)], draws, "+")

    def line(kind, cells):
        every = list(cells.values())
        return [kind, str(len(every)), *(cell(by_problem(every, k), draws) for k in options.k),
                above_none(cells) if kind != "none" else "–", f"{mean([one['programs_per_second'] for one in every]):.1f}"]

    table.print_lines(["Prompt", "seeds", *(f"pass@{k}" for k in options.k), f"pass@{options.k[0]} above none", "programs a second"],
                      (line(kind, cells) for kind, cells in rows.items()))


def main():
    options = parse()
    if not options.report:
        table.with_server()
        for task, seed in itertools.product(options.tasks, options.seeds):
            table.fill(options.cells, ((task, kind, seed, lambda task=task, kind=kind, seed=seed: measure(task, kind, seed, options))
                                       for kind in kinds(task)))
    for task in options.tasks:
        report(task, options)


main()
