#!/usr/bin/env python3
"""The peer of metrics.py: writes random pairs of Python code, or scores them by the packages of tests/data/metrics_golden.py and
tests/data/code_bleu_golden.py.

    metrics_peer.py write FOLDER COUNT    predictions.jsonl and references.jsonl, in which no code comes twice
    metrics_peer.py score FOLDER          prints figures, 0 to 1, and processor seconds of each, by name
"""
import json
import logging
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data"))
import code_bleu_golden

SIDES = ("predictions", "references")


def write(folder, count):
    draw, met, pairs = random.Random(1), set(), []
    while len(pairs) < count:
        for prediction, reference in code_bleu_golden.pairs("python", draw, 1000):
            if reference not in met:
                met.add(reference)
                pairs.append((prediction, reference))
    for side, codes in zip(SIDES, zip(*pairs[:count])):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(code) + "\n" for code in codes))


def score_code_bleu(pairs):
    """Its components; the whole changes with data flow from run to run."""
    return dict(zip(("code_bleu_ngram", "code_bleu_weighted_ngram", "code_bleu_syntax"), code_bleu_golden.figures(pairs, "python")[1:]))


def score(folder):
    import metrics_golden
    import tree_sitter_python
    logging.disable()
    code_bleu_golden.unwrap(tree_sitter_python)
    sides = [[json.loads(line) for line in (folder / f"{side}.jsonl").read_text().splitlines()] for side in SIDES]
    pairs, figures, seconds = list(zip(*sides)), {}, {}
    for name, scorer in (metrics_golden.scorers(metrics_golden.SACREBLEU) | {"code_bleu": score_code_bleu}).items():
        start = time.process_time()
        value = scorer(pairs)
        seconds[name] = time.process_time() - start
        figures |= value if isinstance(value, dict) else {name: value}
    print(json.dumps({"figures": {name: value / 100 for name, value in figures.items()}, "seconds": seconds}))


if __name__ == "__main__":
    {"write": lambda folder, count: write(folder, int(count)), "score": score}[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
