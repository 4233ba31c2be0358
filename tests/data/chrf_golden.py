#!/usr/bin/env python3
"""Writes chrf_golden.json for tests/core/evaluation with sacrebleu 2.6.

Each case is a list of [prediction, reference], sacrebleu's corpus chrF of them and its score of each
sentence, 0 to 1.

Usage: pip install sacrebleu==2.6.0 && ./chrf_golden.py
"""
import json
import pathlib
import random

from sacrebleu.metrics import CHRF

CHRF_2 = CHRF(char_order=6, word_order=0, beta=2, lowercase=False, whitespace=False, eps_smoothing=False)
SNIPPETS = [
    "sum(x for x in ages if x > 3)",
    "def f(a, b):\n    \"\"\"Adds.\"\"\"\n    return a + b",
    "SELECT name, count(*) FROM books GROUP BY name",
    "x = {'größe': [1, 2, 2], \"b\": -1.5e3}",
    "print('日本語 \U0001f600\U0001f468\u200d\U0001f469')",
    "e\u0301 = \u00e9\t# combining",
    "ok",
]
BY_HAND = [
    [["a", "a"]],
    [["a", "b"]],
    [["", "return x"]],
    [["return x", ""]],
    [["", ""]],
    [[" \t\n", "x"], ["x", "x"]],
    [["x", "return x + 1"]],
    [["return x + 1", "x"]],
    [["return x + 1", "x"], ["f(x)", "f(x)"]],
    [["aaaaaaa", "aa"]],
    [["A+B", "a+b"], ["a + b", "a+b"]],
    [["x = 1\r\ny = 2\t", "x = 1\ny = 2"]],
    [["a\u00a0b\u2003c\u3000d\u0085e\x1cf\x1fg\u2028h", "abcdefgh"]],
    [["a\u200bb\ufeffc\u180ed", "abcd"]],
    [["\U0001f600", "\U0001f600\U0001f600"]],
    [["e\u0301", "\u00e9"]],
    [["abcde", "abcdefg"], ["xy", "xyz"], ["", "q"]],
]


def disturbed(snippet, draw):
    characters = list(snippet)
    for _ in range(draw.randrange(6)):
        place = draw.randrange(len(characters))
        characters[place:place + 1] = draw.choice([[], ["x"], [characters[place]] * 2, [" "], ["\n"], ["ß"]])
        characters = characters or ["x"]
    return "".join(characters[:draw.choice([3, 7, 100])])


def drawn(draw):
    references = [draw.choice(SNIPPETS) for _ in range(draw.randrange(1, 5))]
    return [[disturbed(reference, draw), reference] for reference in references]


def scored(pairs):
    predictions, references = zip(*pairs)
    return {
        "pairs": pairs,
        "corpus": CHRF_2.corpus_score(predictions, [references]).score / 100,
        "sentences": [CHRF_2.sentence_score(prediction, [reference]).score / 100 for prediction, reference in pairs],
    }


draw = random.Random(5)
cases = [scored(pairs) for pairs in BY_HAND + [drawn(draw) for _ in range(40)]]
path = pathlib.Path(__file__).with_name("chrf_golden.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
