#!/usr/bin/env python3
"""The speed of `ddpt evaluate` beside that of the Python packages of the same figures, alternating, and the ratio.

    metrics.py --python PYTHON [--pairs N] [--rounds N] [--bin DIR]

PYTHON has sacrebleu 2.6, rouge-score and nltk; they run in one thread, as ours does. Both score the same N pairs (default
10,000) of code of all kinds in the four common variants of BLEU-4, chrF, ROUGE-L and METEOR without synonyms; ours also in a
fifth variant of BLEU-4 and exact match. Times are the processor's, so that a busy machine slows neither. Start is what ten pairs
take: of ours, loading LibTorch; of the packages, their import. A line more has our 1,000 resamples besides. Medians of the
rounds (default 3); exit code 1 where a figure differs by more than a hundredth of a point of 100. Prints a table, then one line
of JSON. Python's standard library only."""
import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PEER = HERE / "metrics_peer.py"
KEYS = {"conala": "bleu4_conala", "codexglue": "bleu4_codexglue", "huggingface": "bleu4_huggingface",
        "sacrebleu": "bleu4_sacrebleu", "chrf": "chrf", "rouge_l": "rouge_l", "meteor": "meteor"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="interpreter with sacrebleu, rouge-score and nltk")
    parser.add_argument("--pairs", default=10_000, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--bin", default=HERE.parent.parent / "build/release/bin", type=pathlib.Path)
    return parser.parse_args()


def run(*command):
    """The output, and the processor's seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stderr}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(options, folder, resamples):
    return run(options.bin / "ddpt", "--json", "evaluate", "--predictions", folder / "predictions.jsonl",
               "--references", folder / "references.jsonl", "--resamples", resamples)


def measure(options, folder):
    """Of each side: the figures, and the processor's seconds."""
    sides = {"ddpt": lambda: ours(options, folder, 0), "ddpt, intervals too": lambda: ours(options, folder, 1000),
             "packages": lambda: run(options.python, PEER, "score", folder)}
    rounds = [{side: score() for side, score in sides.items()} for _ in range(options.rounds)]
    return ({side: json.loads(output) for side, (output, _) in rounds[0].items()},
            {side: statistics.median(row[side][1] for row in rounds) for side in sides})


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        few, all_pairs = pathlib.Path(name, "few"), pathlib.Path(name, "all")
        for folder, pairs in ((few, 10), (all_pairs, options.pairs)):
            folder.mkdir()
            run(options.python, PEER, "write", folder, pairs)
        _, start = measure(options, few)
        reports, seconds = measure(options, all_pairs)
    scoring = {side: seconds[side] - start[side] for side in seconds}
    print(f"| {options.pairs:,} pairs | start | scoring | packages' / this | with start |\n|---|---|---|---|---|")
    for side in seconds:
        print(f"| {side} | {start[side]:.2f} s | {scoring[side]:.3f} s | {scoring['packages'] / scoring[side]:.1f}x |"
              f" {seconds['packages'] / seconds[side]:.1f}x |")
    differences = {name: abs(reports["ddpt"][KEYS[name]] - value) for name, value in reports["packages"].items()}
    print(json.dumps({"pairs": options.pairs, "start": start, "scoring": scoring, "differences": differences}))
    sys.exit(max(differences.values()) > 1e-4)


main()
