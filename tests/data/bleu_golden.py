#!/usr/bin/env python3
"""Writes bleu_golden.json for tests/core/evaluation with sacrebleu 2.6.

Each case is a list of [prediction, reference], sacrebleu's corpus score of them and its score of
each sentence, 0 to 1. Code tokens are found here with a regular expression, apart from the C++.

Usage: pip install sacrebleu==2.6.0 && ./bleu_golden.py
"""
import json
import pathlib
import random
import re

from sacrebleu.metrics import BLEU

TOKEN = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+|[^A-Za-z0-9_\u0080-\U0010ffff\s]")
CORPUS = BLEU(tokenize="none", smooth_method="none", effective_order=True, force=True)
SENTENCE = BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, effective_order=True,
                force=True)
SNIPPETS = [
    "sum(x for x in ages if x > 3)",
    "def f(a, b):\n    \"\"\"Adds.\"\"\"\n    return a + b",
    "const f = (a) => a.map((x) => x * 2);",
    "SELECT name, count(*) FROM books GROUP BY name",
    "grep -c 'naïve' log_7 | sort -rn",
    "x = {'größe': [1, 2, 2, 2], \"b\": -1.5e3}",
    "os.kill(os.getpid(), signal.SIGUSR1)",
]
BY_HAND = [
    [["a", "a"]],
    [["f(x)", "f(x)"]],
    [["x", "return x + 1"]],
    [["", "return x"]],
    [["y", "x"]],
    [["the the the the the the the", "the cat is on the mat"]],
    [["a+b", "a-b"], ["a + b", "a+b"], ["A+B", "a+b"]],
    [["x = 1\r\ny = 2\t", "x = 1\ny = 2"]],
    [["ab", "a b"], ["f x", "f(x)"]],
]


def tokens(code):
    return " ".join(TOKEN.findall(code))


def disturbed(snippet, draw):
    words = TOKEN.findall(snippet)
    for _ in range(draw.randrange(4)):
        place = draw.randrange(len(words))
        words[place:place + 1] = draw.choice([[], ["x"], [words[place]] * 2, [")", "("]])
        words = words or ["x"]
    return draw.choice([" ", "  ", "\n"]).join(words)


def drawn(draw):
    references = [draw.choice(SNIPPETS) for _ in range(draw.randrange(1, 6))]
    return [[disturbed(reference, draw), reference] for reference in references]


def scored(pairs):
    predictions = [tokens(prediction) for prediction, _ in pairs]
    references = [tokens(reference) for _, reference in pairs]
    return {
        "pairs": pairs,
        "corpus": CORPUS.corpus_score(predictions, [references]).score / 100,
        "sentences": [SENTENCE.sentence_score(prediction, [reference]).score / 100
                      for prediction, reference in zip(predictions, references)],
    }


draw = random.Random(4)
cases = [scored(pairs) for pairs in BY_HAND + [drawn(draw) for _ in range(40)]]
path = pathlib.Path(__file__).with_name("bleu_golden.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
