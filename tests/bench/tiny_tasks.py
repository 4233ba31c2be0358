#!/usr/bin/env python3
"""How much better the embedded model's code gets under trained prompts: NLL, BLEU-4 and chrF of the test
examples of each task of deploy/tiny, without a prompt, under the manual wordings, told the style in
the corpus's words, and under prompts from each training method and seed. Through the RPCs only.

    tiny_tasks.py --cells DIR [--tasks NAME ...] [--methods NAME ...] [--seeds N] [--report]

The 408 test examples of a task are those that follow the test split of tasks.json, which was looked at
while settings were chosen; these were not.

A cell is one task under one kind of prompt and one seed; it is kept in DIR as a file, so that a run
that was interrupted goes on where it stopped. Settings are the same for all tasks, methods and
seeds but the number of optimizer steps (STEPS); RESULTS.md says what they were chosen by. Intervals
are 95 % by paired bootstrap over the examples (10,000 resamples), the training seeds' mean in each.
Prints the table in Markdown. Python's standard library only.
"""

import argparse
import json
import pathlib

import prompt_table as table

DEFINITION = json.loads((table.ROOT / "deploy/tiny/tasks.json").read_text())
TASKS = DEFINITION["tasks"]
TEST_EXAMPLES = DEFINITION["examples"]["test"]
STEPS = {"conv": 350, "house": 350, "mixed": 800, "mix5": 800}  # else 200
MAX_PROMPT_RMS = 4  # at the default, 2, DDPT on mix5 fails with one seed in three
FIXED = ["prompt tuning", "GENERATOR", "DDPT"]
# The rate that options.py finds best where the right style depends on the instruction; only on request.
table.METHODS["prompt tuning 0.01"] = (*table.METHODS["prompt tuning"], "--learning-rate", "0.01")
KINDS = ["none", "manual 1", "manual 2", "manual 3", "told", *table.METHODS]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", required=True, type=pathlib.Path)
    parser.add_argument("--tasks", nargs="+", default=[task["name"] for task in TASKS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(table.METHODS), default=[*FIXED, *table.CONDITIONAL])
    parser.add_argument("--report", action="store_true", help="only print the cells that are there")
    return parser.parse_args()


def tests(task):
    return table.corpus(task, "test", TEST_EXAMPLES)


def measure_told(task):
    """Each example under the words that name its style in the corpus, which may differ by example."""
    groups = {}
    for index, example in enumerate(table.read_lines(tests(task).read_text())):
        words = example["oracle_text"].removesuffix(example["instruction"])
        groups.setdefault(words, []).append((index, example))
    rows = {}
    for words, members in groups.items():
        path = table.state() / "told.jsonl"
        table.write_lines(path, (example for _, example in members))
        measured = table.measure(path, ("--prompt-text", words) if words else ())
        rows |= dict(zip((index for index, _ in members), measured, strict=True))
    return {"rows": [rows[index] for index in sorted(rows)]}


def measure_trained(task, method, seed):
    prompt, cost = table.trained(table.name_of(task, method, seed), table.METHODS[method], seed, STEPS.get(task, 200),
                                 "--data", table.corpus(task, "train"),
                                 "--validation-data", table.corpus(task, "validation"),
                                 "--max-prompt-rms", MAX_PROMPT_RMS)
    return {"rows": table.measure(tests(task), prompt), "cost": cost}


def cells(tasks, methods, seeds):
    """(task, kind, seed, how to measure it), first seeds first; conditional ones where the right style depends on the
    instruction."""
    for task in tasks:
        name = task["name"]
        yield name, "none", 0, lambda: {"rows": table.measure(tests(name), ())}
        for number, words in enumerate(task["manual"], 1):
            yield name, f"manual {number}", 0, lambda: {"rows": table.measure(tests(name), ("--prompt-text", words))}
        yield name, "told", 0, lambda: measure_told(name)
    for seed in range(seeds):
        for task in tasks:
            for method in methods:
                if "themes" in task or method not in table.CONDITIONAL:
                    yield task["name"], method, seed, lambda: measure_trained(task["name"], method, seed)


def main():
    options = parse()
    tasks = [task for task in TASKS if task["name"] in options.tasks]
    if not options.report:
        table.with_server()
        table.fill(options.cells, cells(tasks, options.methods, options.seeds))
    for task in tasks:
        rows = table.read_rows(options.cells, task["name"], KINDS, options.seeds)
        if "none" in rows:
            print(f"\n### {task['name']}: {task['description']}\n")
            table.print_table(rows)


main()
