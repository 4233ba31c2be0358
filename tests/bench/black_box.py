#!/usr/bin/env python3
"""Black-box tuning (BBT) beside prompt tuning on the embedded model, at the same number of optimizer steps and default
settings: NLL and BLEU-4 of test examples, prompts scored in training and its wall time. Through the RPCs only.

    black_box.py [--tasks NAME ...] [--seeds N] [--steps N]

The test examples are the first set of tiny_tasks.py. Prints the table in Markdown. Python's standard library only.
"""

import argparse
import json
import time

import prompt_table as table

MAX_PROMPT_RMS = 4  # that of tiny_tasks.py
METHODS = {"prompt tuning": table.METHODS["prompt tuning"], "BBT": ("--method", "bbt")}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["house", "pyline"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="of the optimizer")
    return parser.parse_args()


def figures(rows):
    """NLL in nats an example and BLEU-4."""
    return sum(row["nll"] for row in rows) / len(rows), table.Row([rows]).bleu


def evaluations(task, steps):
    """Prompts scored on a batch by the newest job of the task."""
    job = json.loads(table.ddpt("--json", "jobs", "list", "--task", task))["jobs"][0]["job_id"]
    events = table.read_lines(table.ddpt("--json", "jobs", "watch", job))
    return max((int(event["metrics"]["evaluations"]) for event in events if "evaluations" in event.get("metrics", {})),
               default=steps)


def main():
    options = parse()
    table.with_server()
    print("| Task | Prompt | seed | NLL | BLEU-4 | evaluations | seconds |\n|---|---|---|---|---|---|---|")
    for task in options.tasks:
        nll, bleu = figures(table.measure(table.corpus(task, "test"), ()))
        print(f"| {task} | none | – | {nll:.3f} | {bleu:.3f} | – | – |", flush=True)
        for method, flags in METHODS.items():
            for seed in range(options.seeds):
                name = table.name_of(task, method, seed)
                start = time.monotonic()
                prompt = table.train(name, flags, seed, "--data", table.corpus(task, "train"), "--validation-data",
                                     table.corpus(task, "validation"), "--steps", options.steps,
                                     "--max-prompt-rms", MAX_PROMPT_RMS)
                seconds = time.monotonic() - start
                nll, bleu = figures(table.measure(table.corpus(task, "test"), prompt))
                print(f"| {task} | {method} | {seed} | {nll:.3f} | {bleu:.3f} | {evaluations(name, options.steps)} | "
                      f"{seconds:.0f} |", flush=True)


main()
