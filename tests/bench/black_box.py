#!/usr/bin/env python3
"""Black-box tuning (BBT) beside prompt tuning on the embedded model, at the same number of optimizer steps and default
settings: NLL, BLEU-4 and chrF of test examples, prompts scored in training and its wall time. Through the RPCs only.

    black_box.py [--tasks NAME ...] [--seeds N] [--steps N]

The test examples are those of tasks.json. Prints the table in Markdown. Python's standard library only.
"""

import argparse

import prompt_table as table

MAX_PROMPT_RMS = 4  # that of tiny_tasks.py
METHODS = ("prompt tuning", "BBT")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["house", "pyline"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="of the optimizer")
    return parser.parse_args()


def shown(rows):
    """NLL in nats an example, BLEU-4 and chrF, as cells of the table."""
    return " | ".join(f"{value:.3f}" for value in table.Row([rows]).figures)


def main():
    options = parse()
    table.with_server()
    print("| Task | Prompt | seed | NLL | BLEU-4 | chrF | evaluations | seconds |\n|---|---|---|---|---|---|---|---|")
    for task in options.tasks:
        print(f"| {task} | none | – | {shown(table.measure(table.corpus(task, 'test'), ()))} | – | – |", flush=True)
        for method in METHODS:
            for seed in range(options.seeds):
                prompt, cost = table.trained(table.name_of(task, method, seed), table.METHODS[method], seed, options.steps,
                                             "--data", table.corpus(task, "train"), "--validation-data",
                                             table.corpus(task, "validation"), "--max-prompt-rms", MAX_PROMPT_RMS)
                print(f"| {task} | {method} | {seed} | {shown(table.measure(table.corpus(task, 'test'), prompt))} | "
                      f"{cost['evaluations']} | {cost['seconds']:.0f} |", flush=True)


main()
