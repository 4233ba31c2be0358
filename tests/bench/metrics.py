#!/usr/bin/env python3
"""The speed of `ddpt evaluate` beside that of the Python packages of the same figures, alternating, and the ratios.

    metrics.py --python PYTHON [--pairs N] [--rounds N] [--bin DIR]

PYTHON has what tests/data/metrics_golden.py and tests/data/code_bleu_golden.py name. Both score the same N pairs (default 10,000) of
Python code, in which no reference comes twice and half of the predictions have syntax errors, by the four common variants of BLEU-4,
chrF, ROUGE-L, METEOR without synonyms and CodeBLEU; ours also by a fifth variant of BLEU-4 and exact match. The packages run in one
thread, `ddpt evaluate` on all processors: times are the processor's, of all threads together, and the clock's. Start is what ten
pairs take: of ours, loading LibTorch; of the packages, their import. A line more has our 1,000 resamples besides. Then each figure by
itself, in one thread on both sides. Medians of the rounds (default 3); exit code 1 where a figure differs by more than a hundredth of
a point of 100. Prints two tables, then one line of JSON. Python's standard library only."""
import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PEER = HERE / "metrics_peer.py"
BLEU = ("conala", "codexglue", "huggingface", "sacrebleu")  # ours begin with "bleu4_"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="interpreter with the packages")
    parser.add_argument("--pairs", default=10_000, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--bin", default=HERE.parent.parent / "build/release/bin", type=pathlib.Path)
    return parser.parse_args()


def run(*command):
    """The output, read as JSON where there is one, and seconds of the processor and of the clock."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    clock, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stderr}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout or "null"), processor, clock


def ours(options, folder, resamples):
    return run(options.bin / "ddpt", "--json", "evaluate", "--predictions", folder / "predictions.jsonl", "--references",
               folder / "references.jsonl", "--resamples", resamples, "--wordnet", "", "--language", "python")


def measure(options, folder):
    """Of each side: what it prints, and the medians of its seconds."""
    files = folder / "predictions.jsonl", folder / "references.jsonl"
    sides = {"`ddpt evaluate --resamples 0`": lambda: ours(options, folder, 0),
             "with intervals of 1,000 resamples": lambda: ours(options, folder, 1000),
             "the packages": lambda: run(options.python, PEER, "score", folder),
             "each": lambda: run(options.bin / "time-metrics", "python", *files)}
    rounds = [{side: score() for side, score in sides.items()} for _ in range(options.rounds)]
    return {side: ([row[side][0] for row in rounds], *(statistics.median(row[side][place] for row in rounds) for place in (1, 2)))
            for side in sides}


def by_figure(outputs):
    return {name: statistics.median(output[name] for output in outputs) for name in outputs[0]}


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        few, everything = pathlib.Path(name, "few"), pathlib.Path(name, "all")
        for folder, pairs in ((few, 10), (everything, options.pairs)):
            folder.mkdir()
            run(options.python, PEER, "write", folder, pairs)
        start, whole = measure(options, few), measure(options, everything)
    seconds = {side: [whole[side][place] - start[side][place] for place in (1, 2)] for side in whole if side != "each"}
    peer = seconds["the packages"]
    print(f"| {options.pairs:,} pairs | start, processor | processor | packages' / this | clock | packages' / this |\n" + 6 * "|---" + "|")
    for side, (processor, clock) in seconds.items():
        print(f"| {side} | {start[side][1]:.2f} s | {processor:.2f} s | {peer[0] / processor:.1f}x | {clock:.2f} s |"
              f" {peer[1] / clock:.1f}x |")
    each, peers = by_figure(whole["each"][0]), by_figure([output["seconds"] for output in whole["the packages"][0]])
    print("\n| figure | packages | one thread of ours | ratio |\n" + 4 * "|---" + "|")
    for figure, taken in peers.items():
        print(f"| {figure} | {taken:.2f} s | {each[figure]:.3f} s | {taken / each[figure]:.1f}x |")
    report = whole["`ddpt evaluate --resamples 0`"][0][0]
    differences = {figure: abs(report[f"bleu4_{figure}" if figure in BLEU else figure] - value)
                   for figure, value in whole["the packages"][0][0]["figures"].items()}
    print("\n" + json.dumps({"pairs": options.pairs, "seconds": seconds, "each": each, "packages": peers, "differences": differences}))
    sys.exit(any(value > 1e-4 for value in differences.values()))


main()
