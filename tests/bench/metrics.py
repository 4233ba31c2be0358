#!/usr/bin/env python3
"""The speed of `ddpt evaluate` beside that of the Python packages of the same figures, alternating, and the ratio.

    metrics.py --python PYTHON [--pairs N] [--rounds N] [--bin DIR]

PYTHON has sacrebleu 2.6, rouge-score and nltk, and what tests/data/code_bleu_golden.py names; they run in one thread, as ours
does. Both score the same N pairs (default 10,000): code of all kinds in the four common variants of BLEU-4, chrF, ROUGE-L and
METEOR without synonyms, ours also in a fifth variant of BLEU-4 and exact match; and Python by CodeBLEU, ours also by all of
those. Times are the processor's, so that a busy machine slows neither. Start is what ten pairs take: of ours, loading LibTorch;
of the packages, their import. A line more has our 1,000 resamples besides. Medians of the rounds (default 3); exit code 1 where
a figure differs by more than a hundredth of a point of 100, but for data flow, which in the package changes from run to run.
Prints a table each, then one line of JSON. Python's standard library only."""
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
# Of each suite: the options of ours, and our keys by the peer's.
SUITES = {
    "text": (["--wordnet", ""],
             {"conala": "bleu4_conala", "codexglue": "bleu4_codexglue", "huggingface": "bleu4_huggingface",
              "sacrebleu": "bleu4_sacrebleu", "chrf": "chrf", "rouge_l": "rouge_l", "meteor": "meteor"}),
    "code_bleu": (["--wordnet", "", "--language", "python"],
                  {"ngram": "code_bleu_ngram", "weighted_ngram": "code_bleu_weighted_ngram", "syntax": "code_bleu_syntax",
                   "data_flow": "code_bleu_data_flow"}),
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="interpreter with the packages")
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


def ours(options, suite, folder, resamples):
    return run(options.bin / "ddpt", "--json", "evaluate", "--predictions", folder / "predictions.jsonl",
               "--references", folder / "references.jsonl", "--resamples", resamples, *SUITES[suite][0])


def measure(options, suite, folder):
    """Of each side: the figures, and the processor's seconds."""
    sides = {"ddpt": lambda: ours(options, suite, folder, 0), "ddpt, intervals too": lambda: ours(options, suite, folder, 1000),
             "packages": lambda: run(options.python, PEER, "score", suite, folder)}
    rounds = [{side: score() for side, score in sides.items()} for _ in range(options.rounds)]
    return ({side: json.loads(output) for side, (output, _) in rounds[0].items()},
            {side: statistics.median(row[side][1] for row in rounds) for side in sides})


def compare(options, suite):
    """Prints the table of a suite; its numbers."""
    with tempfile.TemporaryDirectory() as name:
        few, all_pairs = pathlib.Path(name, "few"), pathlib.Path(name, "all")
        for folder, pairs in ((few, 10), (all_pairs, options.pairs)):
            folder.mkdir()
            run(options.python, PEER, "write", suite, folder, pairs)
        _, start = measure(options, suite, few)
        reports, seconds = measure(options, suite, all_pairs)
    scoring = {side: seconds[side] - start[side] for side in seconds}
    print(f"| {options.pairs:,} pairs, {suite} | start | scoring | packages' / this | with start |\n|---|---|---|---|---|")
    for side in seconds:
        print(f"| {side} | {start[side]:.2f} s | {scoring[side]:.3f} s | {scoring['packages'] / scoring[side]:.1f}x |"
              f" {seconds['packages'] / seconds[side]:.1f}x |")
    differences = {name: abs(reports["ddpt"][SUITES[suite][1][name]] - value) for name, value in reports["packages"].items()}
    return {"start": start, "scoring": scoring, "differences": differences}


def main():
    options = parse()
    report = {suite: compare(options, suite) for suite in SUITES}
    print(json.dumps({"pairs": options.pairs, **report}))
    sys.exit(any(value > 1e-4 for suite in report.values() for name, value in suite["differences"].items() if name != "data_flow"))


main()
