#!/usr/bin/env python3
"""What fewer diffusion steps cost: the NLL of reference code under prompts of the tasks that come with the embedded
model, by sampler and step count. Through the RPCs only.

    quality_steps.py [--tasks NAME ...] [--split SPLIT] [--seeds N] [--steps N ...]

For each task, sampler and step count the mean NLL in nats an example over `--seeds` draws (each draw of a fixed task
is one prompt for all examples; a conditional task draws one for each example), and in parentheses the largest
distance of a draw from that mean. Prints a table in Markdown. DDPT_SAMPLING_DTYPE=bfloat16 in the environment gives
the figures of rounded weights. Python's standard library only.
"""

import argparse
import subprocess

import prompt_table as table

SAMPLERS = ("ddim", "dpm_solver_pp_2m", "ancestral")
STEPS = (2000, 500, 100, 50, 20, 10, 5, 1)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["house", "mix5"])
    parser.add_argument("--split", default="validation", help="of the tasks' corpus")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    return parser.parse_args()


def nll(examples, task, sampler, steps, seed):
    scores = table.read_lines(table.ddpt("score", "--examples", examples, "--task", task, "--sampler", sampler,
                                         "--steps", steps, "--seed", seed))
    return sum(score["nll"] * score["tokens"] for score in scores) / len(scores)


def main():
    options = parse()
    table.with_server()
    for task in options.tasks:
        examples = table.state() / f"{task}.jsonl"
        examples.write_text(subprocess.run(["ddpt-corpus", "--task", task, "--split", options.split], check=True,
                                           capture_output=True, text=True, cwd=table.ROOT).stdout)
        count = len(examples.read_text().splitlines())
        print(f"\n{task}, {count} {options.split} examples, {options.seeds} seeds, NLL in nats an example (largest "
              f"distance of a seed)\n")
        print("| steps | " + " | ".join(SAMPLERS) + " |")
        print("|---|" + "---|" * len(SAMPLERS))
        for steps in options.steps:
            cells = []
            for sampler in SAMPLERS:
                by_seed = [nll(examples, task, sampler, steps, seed) for seed in range(1, options.seeds + 1)]
                mean = sum(by_seed) / len(by_seed)
                cells.append(f"{mean:.4f} ({max(abs(value - mean) for value in by_seed):.4f})")
            print(f"| {steps} | " + " | ".join(cells) + " |", flush=True)


main()
