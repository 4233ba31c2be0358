#!/usr/bin/env python3
"""The peer of metrics.py: writes random pairs of code, or scores them by the packages of tests/data/metrics_golden.py.

    metrics_peer.py write FOLDER COUNT    predictions.jsonl and references.jsonl
    metrics_peer.py score FOLDER          prints the figures by name, 0 to 1
"""
import json
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data"))
import metrics_golden

SIDES = ("predictions", "references")


def write(folder, count):
    for side, codes in zip(SIDES, zip(*metrics_golden.pairs(random.Random(1), int(count)))):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(code) + "\n" for code in codes))


def score(folder):
    sides = [[json.loads(line) for line in (folder / f"{side}.jsonl").read_text().splitlines()] for side in SIDES]
    figures = metrics_golden.figures(list(zip(*sides)), metrics_golden.SACREBLEU)
    print(json.dumps({name: value / 100 for name, value in zip(metrics_golden.FIGURES, figures)}))


if __name__ == "__main__":
    {"write": write, "score": score}[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
