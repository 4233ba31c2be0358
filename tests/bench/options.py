#!/usr/bin/env python3
"""What the options of training are worth on the embedded model: the best validation NLL of a job, in nats a token, with
and without each of them, everything else as in tiny_tasks.py. Through the RPCs only.

    options.py [--seeds N] [--variants NAME ...]

Validation examples are those of tasks.json; test examples are not looked at. Prints a table in Markdown as it goes, and
the mean difference to the first variant of its kind. Python's standard library only.
"""

import argparse
import json

import prompt_table as table

CONDITIONAL = ("--method", "ddpt", "--conditional", "--steps", 400)
PROMPT_TUNING = ("--method", "prompt_tuning", "--steps", 200)
P_TUNING = ("--method", "p_tuning", "--steps", 200)
# Ways to tune one prompt for a task whose right style depends on the instruction, for as many steps as in tiny_tasks.py.
FIXED = {
    "prompt tuning 0.03": ("--method", "prompt_tuning"),
    "prompt tuning 0.003": ("--method", "prompt_tuning", "--learning-rate", 0.003),
    "prompt tuning 0.01": ("--method", "prompt_tuning", "--learning-rate", 0.01),
    "prompt tuning 0.1": ("--method", "prompt_tuning", "--learning-rate", 0.1),
    "prompt tuning 0.3": ("--method", "prompt_tuning", "--learning-rate", 0.3),
    "prompt tuning from the vocabulary": ("--method", "prompt_tuning", "--context-start", "vocabulary"),
    "prompt tuning from random vectors": ("--method", "prompt_tuning", "--context-start", "random"),
    "P-tuning": ("--method", "p_tuning"),
}
# Ways to train the conditional denoiser of such a task, for as many.
CONDITIONED = {
    "DDPT 0.001": (),
    "DDPT 0.0003": ("--learning-rate", 0.0003),
    "DDPT 0.003": ("--learning-rate", 0.003),
    "DDPT 0.01": ("--learning-rate", 0.01),
    "DDPT, more of little noise, power 2": ("--time-step-power", 2),
    "DDPT, condition never dropped": ("--condition-dropout", 0),
    "DDPT, latent width 128": ("--latent", 128),
    "DDPT, weights averaged, 0.98": ("--weight-ema", 0.98),
}
# By name the task and the flags; the first of those whose names begin alike, up to the colon, is what the others are compared with.
VARIANTS = {
    "mix5: conditional DDPT": ("mix5", CONDITIONAL),
    "mix5: reference on_policy": ("mix5", (*CONDITIONAL, "--reference", "on_policy")),
    "mix5: reference zero": ("mix5", (*CONDITIONAL, "--reference", "zero")),
    "mix5: reference context": ("mix5", (*CONDITIONAL, "--reference", "context")),
    "mix5: more of much noise, power 0.5": ("mix5", (*CONDITIONAL, "--time-step-power", 0.5)),
    "mix5: more of little noise, power 2": ("mix5", (*CONDITIONAL, "--time-step-power", 2)),
    "mix5: weights averaged, 0.98": ("mix5", (*CONDITIONAL, "--weight-ema", 0.98)),
    "mix5: weight decay 0.01": ("mix5", (*CONDITIONAL, "--weight-decay", 0.01)),
    "house: prompt tuning 0.03": ("house", PROMPT_TUNING),
    "house: prompt tuning 0.003": ("house", (*PROMPT_TUNING, "--learning-rate", 0.003)),
    "house: prompt tuning 0.01": ("house", (*PROMPT_TUNING, "--learning-rate", 0.01)),
    "house: prompt tuning 0.1": ("house", (*PROMPT_TUNING, "--learning-rate", 0.1)),
    "house: from the vocabulary": ("house", (*PROMPT_TUNING, "--context-start", "vocabulary")),
    "house: from random vectors": ("house", (*PROMPT_TUNING, "--context-start", "random")),
    "house: P-tuning, MLP": ("house", P_TUNING),
    "house: P-tuning, LSTM": ("house", (*P_TUNING, "--prompt-encoder", "lstm")),
    **{f"{task}, fixed: {name}": (task, (*flags, "--steps", 800)) for task in ("mixed", "mix5") for name, flags in FIXED.items()},
    **{f"{task}, conditional: {name}": (task, ("--method", "ddpt", "--conditional", *flags, "--steps", 800))
       for task in ("mixed", "mix5") for name, flags in CONDITIONED.items()},
}
MAX_PROMPT_RMS = 4  # that of tiny_tasks.py


def validation_nll(name, task, flags, seed):
    table.ddpt("train", name, *flags, "--seed", seed, "--promote", "never", "--max-prompt-rms", MAX_PROMPT_RMS, "--watch",
               "--data", table.corpus(task, "train"), "--validation-data", table.corpus(task, "validation"))
    return json.loads(table.ddpt("--json", "jobs", "list", "--task", name))["jobs"][0]["validation_nll"]


def measure(variant, seeds):
    task, flags = VARIANTS[variant]
    results = []
    for seed in range(seeds):
        name = table.name_of("".join(letter if letter.isalnum() else "-" for letter in variant), seed)
        try:
            results.append(validation_nll(name, task, flags, seed))
        except table.Failed:
            results.append(float("nan"))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    options = parser.parse_args()
    table.with_server()
    print("| Variant | validation NLL of each seed, nats a token | mean | against the first |\n|---|---|---|---|", flush=True)
    first = {}
    for variant in options.variants:
        results = measure(variant, options.seeds)
        mean = sum(results) / len(results)
        base = first.setdefault(variant.partition(":")[0], mean)
        print(f"| {variant} | {', '.join(f'{value:.5f}' for value in results)} | {mean:.5f} | {mean - base:+.5f} |", flush=True)


main()
