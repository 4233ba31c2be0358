#!/usr/bin/env python3
"""The peer of metrics.py: writes random pairs of code, or scores them by the packages of tests/data/metrics_golden.py, suite text, or
tests/data/code_bleu_golden.py, suite code_bleu.

    metrics_peer.py write SUITE FOLDER COUNT    predictions.jsonl and references.jsonl
    metrics_peer.py score SUITE FOLDER          prints the figures by name, 0 to 1
"""
import json
import logging
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data"))

SIDES = ("predictions", "references")


def text_pairs(count):
    import metrics_golden
    return metrics_golden.pairs(random.Random(1), count)


def text_figures(pairs):
    import metrics_golden
    return zip(metrics_golden.FIGURES, metrics_golden.figures(pairs, metrics_golden.SACREBLEU))


def code_bleu_pairs(count):
    import code_bleu_golden
    return code_bleu_golden.pairs("python", random.Random(1), count)


def code_bleu_figures(pairs):
    import code_bleu_golden
    import tree_sitter_python
    logging.disable()
    code_bleu_golden.unwrap(tree_sitter_python)
    return zip(("ngram", "weighted_ngram", "syntax", "data_flow"), code_bleu_golden.figures(pairs, "python")[1:])


SUITES = {"text": (text_pairs, text_figures), "code_bleu": (code_bleu_pairs, code_bleu_figures)}


def write(suite, folder, count):
    for side, codes in zip(SIDES, zip(*SUITES[suite][0](int(count)))):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(code) + "\n" for code in codes))


def score(suite, folder):
    sides = [[json.loads(line) for line in (folder / f"{side}.jsonl").read_text().splitlines()] for side in SIDES]
    print(json.dumps({name: value / 100 for name, value in SUITES[suite][1](list(zip(*sides)))}))


if __name__ == "__main__":
    {"write": write, "score": score}[sys.argv[1]](sys.argv[2], pathlib.Path(sys.argv[3]), *sys.argv[4:])
