#!/usr/bin/env python3
"""Every kind of prompt on CoNaLa and CodeAlpaca, on a base model that is trained from scratch on the same collections.
Through the RPCs only.

    quality.py --data DIR [--cells DIR] [--base DIR] [--seeds N] [--test-examples N] [--corpus] [--report]

DIR of --data holds the files that real_texts.py names; where one is missing, nothing is done. real_texts.py says how
they are divided: the base model is trained on about half of CoNaLa's training examples and 60 % of CodeAlpaca, prompts
are trained and validated on the rest of each, and figures are of CoNaLa's published test set and of a tenth of
CodeAlpaca, of each the first --test-examples by the place of their hash. The test examples choose nothing: the settings
below were fixed before any was looked at, and checkpoints are chosen by validation.

The base model (BASE) is trained in the folder --base, by default of the cells' (build/quality); where there is one it is
used as it is. Where training fails, the table says so. --corpus
runs tiny_tasks.py on the embedded model besides. Rows, intervals and cells are those of tiny_tasks.py. Wall times are
of whole jobs and compare only within one run on a machine that does nothing else. Python's standard library only.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import prompt_table as table
import real_texts

BASE = ("--encoder-width", "192", "--encoder-layers", "3", "--decoder-width", "256", "--decoder-layers", "4",
        "--vocabulary", "2048", "--max-tokens", "256", "--batch", "32", "--steps", "600")
TITLES = {"conala": "CoNaLa: one line of Python", "codealpaca": "CodeAlpaca: short programs in many languages"}
MAX_TOKENS = {"conala": 64, "codealpaca": 192}  # of greedy code
# Small, since the default is to end within hours on two cores.
STEPS = {"BBT": 25}  # generations of 20 prompts; else 150
TRAINING = ("--batch-size", 16, "--checkpoint-every", 25, "--max-prompt-rms", 16)
WIDTH, CONTEXT, LATENT, LAYERS, TIME_FEATURES, ENCODER = 192, 10, 64, 2, 64, 256
PREFIX = 2 * (3 * 192 + 4 * 256 + 256)  # keys and values of a token in BASE's encoder, decoder and cross-attention
KINDS = ["none", "manual 1", "manual 2", "manual 3", *table.METHODS]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--cells", type=pathlib.Path, default=table.ROOT / "build/quality", help="what has been measured")
    parser.add_argument("--base", type=pathlib.Path, help="folder of the base model; default: CELLS/base")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test-examples", type=int, default=300, help="of each collection at most")
    parser.add_argument("--corpus", action="store_true", help="also the tasks of the embedded model")
    parser.add_argument("--report", action="store_true", help="only print the cells that are there")
    return parser.parse_args()


def programs():
    return pathlib.Path(os.environ.get("DDPT_BIN", table.ROOT / "build/release/bin"))


def make_base(folder, parts):
    if (folder / "config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    table.write_lines(folder / "texts.jsonl", real_texts.base_texts(parts))
    subprocess.run([programs() / "ddpt-tiny", "--data", folder / "texts.jsonl", "--output", folder, *BASE], check=True,
                   stdout=sys.stderr)


def file_of(parts, name, kind):
    path = table.state() / f"{name}.{kind}.jsonl"
    if not path.exists():
        table.write_lines(path, ({"instruction": example["instruction"], "code": example["code"]}
                                 for example in parts[name][kind]))
    return path


def parameters(method):
    """How many numbers the method trains."""
    size, latent = WIDTH * CONTEXT, LATENT
    generator = latent + LAYERS * (latent * latent + latent) + size * latent + size
    ddpt = latent * size + latent * TIME_FEATURES + latent + latent * latent + latent
    condition = latent * WIDTH + latent
    p_tuning = size + 2 * WIDTH * ENCODER + WIDTH + ENCODER * (ENCODER + 2)
    return {"prompt tuning": size, "P-tuning": p_tuning, "prefix tuning": CONTEXT * PREFIX, "BBT": 500, "GENERATOR": generator,
            "DDPT": generator + ddpt, "GENERATOR, conditional": generator + condition,
            "DDPT, conditional": generator + ddpt + condition}[method]


def measure(parts, name, prompt):
    return table.measure(file_of(parts, name, "test"), prompt, ("--max-new-tokens", MAX_TOKENS[name]))


def measure_trained(parts, name, method, seed):
    try:
        prompt, cost = table.trained(table.name_of(name, method, seed), table.METHODS[method], seed, STEPS.get(method, 150),
                                     "--data", file_of(parts, name, "train"),
                                     "--validation-data", file_of(parts, name, "validation"), *TRAINING)
    except table.Failed as failure:
        return {"failed": str(failure).strip().splitlines()[-1]}
    return {"rows": measure(parts, name, prompt), "cost": cost}


def cells(parts, seeds):
    """(collection, kind, seed, how to measure it), first seeds first."""
    for name in parts:
        yield name, "none", 0, lambda: {"rows": measure(parts, name, ())}
        for number, words in enumerate(real_texts.MANUAL[name], 1):
            yield name, f"manual {number}", 0, lambda: {"rows": measure(parts, name, ("--prompt-text", words))}
    for seed in range(seeds):
        for method in table.METHODS:
            for name in parts:
                yield name, method, seed, lambda: measure_trained(parts, name, method, seed)


def mean(costs, key):
    return sum(cost[key] for cost in costs) / len(costs)


def print_costs(rows):
    print("\nWhat training cost, means over the seeds:\n")
    lines = []
    for kind, row in rows.items():
        if row.costs:
            lines.append([kind, f"{parameters(kind):,}", f"{mean(row.costs, 'steps'):.0f}",
                          f"{mean(row.costs, 'evaluations'):,.0f}", f"{mean(row.costs, 'seconds'):.0f}"])
    table.print_lines(["Prompt", "trained parameters", "optimizer steps", "model evaluations", "seconds"], lines)


def print_failures(folder, name, seeds):
    for method in table.METHODS:
        for seed in range(seeds):
            path = table.path_of(folder, name, method, seed)
            reason = json.loads(path.read_text()).get("failed") if path.exists() else None
            if reason:
                print(f"\n{method}, seed {seed}: training failed: {reason}")


def report(folder, seeds):
    for name, title in TITLES.items():
        rows = table.read_rows(folder, name, KINDS, seeds)
        if "manual 3" in rows:
            print(f"\n### {title}\n")
            table.print_table(rows)
            print_costs(rows)
            print_failures(folder, name, seeds)


def corpus_tasks(options):
    """tiny_tasks.py with a server of its own, on the embedded model."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DDPT_SERVER", "DDPT_MODEL")}
    subprocess.run([sys.executable, table.ROOT / "tests/bench/tiny_tasks.py", "--cells", options.cells / "corpus",
                    "--seeds", str(options.seeds), *(["--report"] if options.report else [])], check=True, env=environment)


def main():
    options = parse()
    missing = [name for name in real_texts.FILES if not (options.data / name).is_file()]
    if missing:
        print(f"skipped: {options.data} holds no {' and no '.join(missing)}; get them from their authors", file=sys.stderr)
        return
    if not options.report:
        parts = real_texts.read(options.data, options.test_examples)
        base = options.base or options.cells / "base"
        make_base(base, parts)
        os.environ["DDPT_MODEL"] = str(base)
        table.with_server()
        table.fill(options.cells, cells(parts, options.seeds))
    report(options.cells, options.seeds)
    if options.corpus:
        corpus_tasks(options)


main()
