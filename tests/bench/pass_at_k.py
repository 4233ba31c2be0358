#!/usr/bin/env python3
"""How much of the embedded model's code works, under no prompt, the manual wordings, prompt tuning and DDPT: pass@k on the test
examples of tasks of deploy/tiny, whose programs are run.

    pass_at_k.py [--tasks NAME ...] [--problems N] [--samples N] [--k K ...] [--temperature T] [--seed N]

The problems of a task are the first N (default 68, one of each intent) of those of its examples that can be run (ddpt-corpus
--problems), of the test examples that RESULTS.md reports: no setting was chosen on them. Settings of training are those of
tiny_tasks.py. Every kind of prompt draws the same number of samples of each problem at one temperature, from the same seeds; the
seed is that of training, of the prompt and of the tokens. Intervals are 95 % by bootstrap over the problems, differences paired.
Prints a table in Markdown. Python's standard library only."""

import argparse
import json
import subprocess

import prompt_table as table

DEFINITION = json.loads((table.ROOT / "deploy/tiny/tasks.json").read_text())
TASKS = {task["name"]: task for task in DEFINITION["tasks"]}
STEPS = {"house": 350, "mixed": 800, "mix5": 800}  # else 200


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=["pyline", "pydef", "sql", "house", "mixed", "mix5"], default=["house", "mixed"])
    parser.add_argument("--problems", type=int, default=68)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, help="of training; default: those of tiny_tasks.py")
    return parser.parse_args()


def problems(task, count):
    path = table.state() / f"{task}.problems.jsonl"
    command = ["ddpt-corpus", "--task", task, "--split", "test", "--skip", str(DEFINITION["examples"]["test"]), "--problems"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=table.ROOT)
    path.write_text("".join(done.stdout.splitlines(keepends=True)[:count]))
    return path


def prompts(task, options):
    """(kind of prompt, its flags), trained where it must be."""
    yield "none", ()
    for number, words in enumerate(TASKS[task]["manual"], 1):
        yield f"manual {number}", ("--prompt-text", words)
    for method in ("prompt tuning", "DDPT"):
        name = table.name_of(task, method, options.seed)
        table.train(name, table.METHODS[method], options.seed, "--steps", options.steps or STEPS.get(task, 200),
                    "--data", table.corpus(task, "train"), "--validation-data", table.corpus(task, "validation"),
                    "--max-prompt-rms", 4)
        yield method, ("--task", name, "--prompt-seed", options.seed)


def cell(value, interval, sign=""):
    low, high = interval
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def above_none(row, name):
    if "difference" not in row:
        return "–", "–"
    difference = row["difference"][name]
    return cell(difference["value"], difference["interval"], "+"), f"{difference['p']:.3f}"


def report(task, options):
    file, none = problems(task, options.problems), table.state() / f"{task}.none.jsonl"
    rows = []
    for kind, flags in prompts(task, options):
        against = () if kind == "none" else ("--against", none)
        out = none if kind == "none" else table.state() / f"{task}.{table.name_of(kind)}.jsonl"
        rows.append((kind, json.loads(table.ddpt(
            "--json", "evaluate", "--problems", file, "--samples", options.samples, "--k", *options.k, "--temperature",
            options.temperature, "--decoding-seed", options.seed, "--out", out, *against, *flags))))
    names = [f"pass@{k}" for k in options.k]
    first = rows[0][1]
    print(f"\n### {task}: {TASKS[task]['description']}\n\n{first['problems']} problems, {options.samples} samples of each at temperature "
          f"{options.temperature}, seed {options.seed}.\n")
    table.print_lines(["Prompt", *names, f"{names[0]} above none", "p", "programs a second"],
                      ([kind, *(cell(row[name], row["intervals"][name]) for name in names), *above_none(row, names[0]),
                        f"{row['programs_per_second']:.1f}"] for kind, row in rows))


def main():
    options = parse()
    table.with_server()
    for task in options.tasks:
        report(task, options)


main()
