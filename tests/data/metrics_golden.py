#!/usr/bin/env python3
"""Writes metrics_golden.json for tests/core/evaluation with sacrebleu 2.6, rouge-score 0.1.2 and nltk 3.10.

500 pairs of a prediction and a reference, the figures of each as an example of its own, and those of all as one corpus,
in points of 100: BLEU-4 as the CoNaLa challenge, CodeXGLUE, Hugging Face evaluate and sacrebleu have it, chrF, ROUGE-L,
METEOR. sacrebleu counts the n-grams of the first three, and the formulas below are theirs: the first two are in no
package, and evaluate fetches its own from the network. METEOR is nltk's with a WordNet that knows no word, so exact and stemmed
matches only. null: the original divides by zero. Then words and their stems by nltk's PorterStemmer, and METEOR with the WordNet of Debian's
package wordnet-base (3.0) of pairs of sentences.

Usage: apt install wordnet-base && pip install sacrebleu==2.6.0 rouge-score==0.1.2 nltk==3.10.4 && ./metrics_golden.py
"""
import itertools
import json
import math
import pathlib
import random
import re
import shutil
import tempfile

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

PAIRS = 500
COUNTS = BLEU(tokenize="none", smooth_method="none", force=True)
SACREBLEU = BLEU(force=True)
SENTENCE_BLEU = BLEU(effective_order=True, force=True)
CHRF_2 = CHRF()
ROUGE = RougeScorer(["rougeL"], use_stemmer=False)
STEMMER = PorterStemmer()
SNIPPETS = [
    "sum(x for x in ages if x > 3)",
    "def f(a, b):\n    \"\"\"Adds two numbers and returns their sum.\"\"\"\n    return a + b",
    "class HTTPServer(socketserver.TCPServer):\n    allowReuseAddress = 1\n\n    def serverBind(self):\n        pass",
    "df.groupby('year')['price'].agg([np.mean, np.std]).reset_index()",
    "re.sub(r'(\\d+)-(\\d+)', r'\\2-\\1', line).split(',')[1:-1]",
    "with open('file.txt', 'w') as f: f.write('\\n'.join(lines))",
    "if not os.path.exists(path):\n    os.makedirs(path)\nelse:\n    raise ValueError(f\"{path!r} exists\")",
    "x = {'größe': [1, 2, 2, 2], \"b\": -1.5e3, 'c': 0.25, 'd': 1,000}",
    "const f = (a) => a.map((x) => x * 2).filter(Boolean);",
    "for (let i = 0; i < items.length; ++i) {\n  console.log(`${i}: ${items[i]}`);\n}",
    "document.querySelector('#main > .row').innerHTML = '&lt;b&gt;' + esc(s) + '&amp;nbsp;';",
    "public static int maxValue(List<Integer> values) {\n    return Collections.max(values);\n}",
    "try { stream.close(); } catch (IOException e) { logger.warn(\"closing failed\", e); }",
    "std::vector<int> v{3, 1, 2};\nstd::sort(v.begin(), v.end());",
    "template <typename T>\nT Max(const T& a, const T& b) { return a < b ? b : a; }",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 1 << 3 | 0x1F); return 0; }",
    "SELECT name, COUNT(*) FROM books WHERE price >= 9.99 GROUP BY name ORDER BY 2 DESC",
    "grep -c 'naïve' log_7 | sort -rn | head -n 5 > out-2.txt",
    "fn parse(s: &str) -> Result<u32, ParseIntError> { s.trim().parse::<u32>() }",
    "func (s *Stack) Push(v int) { s.items = append(s.items, v) }",
    "<div class=\"row\"><a href=\"/a?b=1&amp;c=2\">Größe &quot;x&quot;</a></div>",
    "{\"name\": \"ddpt\", \"version\": \"1.2.3\", \"tags\": [\"a-b\", null, true]}",
    "arr[::-1]",
    "print('日本語 \U0001f600\U0001f468\u200d\U0001f469 ÄÖÜ Ελληνικά Привет')",
    "lambda x: (x ** 2, x // 3, x % 4, ~x, x ^ 5, x @ y)",
    "# Computes the running averages of normalized connections, ignoring the missing ones.",
    "Sorting the dictionaries by their values and returning the first matching entries.",
    "while True:\n\ttry:\n\t\tvalue = int(input())\n\t\tbreak\n\texcept ValueError:\n\t\tcontinue",
    "pattern-\nmatching is re-\nused, e.g. in v2.0-beta,3-4 and 5.",
    "getUserName().toLowerCase() == userName2Id['Z_9aB']",
    "@decorator(arg=None)\nasync def run(self, *args, **kwargs) -> None:\n    await self._queue.put(args)",
    "ok",
]
BY_HAND = [
    ["", ""], ["", "return x"], ["return x", ""], ["a", "a"], ["a", "b"], ["x", "return x + 1"], ["return x + 1", "x"],
    ["f(x)", "f(x)"], ["A+B", "a+b"], ["a + b", "a - b"], [" \t\n", "x"], ["x\n", "x"], ["x -\n", "x -"], ["a-\nb", "ab"],
    ["a<skipped>b", "ab"], ["&amp;lt;", "<"], ["&quot;a&quot;", "\"a\""], ["1,000.5", "1,000.5"], ["a.b,c.", "a . b , c ."],
    ["...", ".."], ["1-2", "1 - 2"], ["a-b", "a - b"], ["é.é,1", "é . é , 1"], ["it's", "it ' s"], ["aBcDEfG", "a Bc DEf G"],
    ["'x'", "\"x\""], ["\u00e4", "a"], ["a\u00a0b\u2003c\u3000d\u0085e\x1cf\x1fg\u2028h", "a b c d e f g h"],
    ["a\u200bb\ufeffc", "abc"], ["\u212a\u0130", "ki"], ["\u0130x", "i x"], ["the the the the", "the cat is on the mat"],
    ["\U0001f600", "\U0001f600\U0001f600"], ["e\u0301", "\u00e9"], ["x = 1\r\ny = 2\t", "x = 1\ny = 2"], ["_", "__"], ["%", "%%"],
    ["connected connections", "connect connecting"], ["RUNNING Runs", "runs running"], ["a b c d", "d c b a"],
    ["x " * 70 + "y", "x " * 70 + "z"], ["a b " * 40, "b a " * 40],
    ["on the mat sat the cat", "The cat sat on the mat"], ["The cat was sat on the mat", "The cat sat on the mat"],
    ["creates or updates a virtual machine scale set", "create or update a vm set"],
]
ENDINGS = ("", "s", "es", "ed", "ing", "ly", "er", "ation", "ational", "ness", "fulness", "ously", "ality", "ivity", "ability",
           "ization", "alism", "ement", "ical", "icate", "ative", "alize", "ully", "ology", "ion", "ible", "ance", "ies", "ied", "y")
BASES = ("connect", "relat", "hop", "hopp", "fall", "siz", "troubl", "conflat", "happ", "sk", "enjo", "control", "d", "fl", "t",
         "agre", "fe", "syzyg", "o", "ro", "geo", "formal", "triplic", "electr", "x", "caf\u00e9", "\u00e9\u00e9", "ow")
WORDS = ("caresses flies dies mules denied died agreed owned humbled sized meeting stating siezing itemization sensational "
         "traditional reference colonizer plotted sky skies dying lying tying news innings outing cannings howe proceed exceed "
         "succeed y yy yyy say saying by toy spied tied ies ied ing eed seed feed bled motoring sing hissing fizzed failing "
         "filing rate cease controll roll radically fully geology theologi archaeology 12345 a_b's self.items[0]: don't")


SYNONYMS = ("return the biggest number of a list|give back the largest value of the sequence", "delete all files|remove every file",
            "begin the job|start the task", "a fast car|a quick automobile", "the children ran home|the kids were running home",
            "sort the items by size|order the elements by their size", "build a big house|construct large houses",
            "shut the door|close the doors", "calculate the mean|compute the average of them", "an error occurred|a mistake happened",
            "purchase two books|buy a book", "find the last word|look for the final words", "men and women|man and woman",
            "he went away|she goes away", "better mice|good mouse", "purchase buy purchase|buy purchase buy get", "a a a|amp amp",
            "join the strings|connect the string", "print out the reply|display the answer", "the aardwolves|an aardwolf",
            "make a copy of the table|duplicate the board", "wolves churches boxes|wolf church box", "paris|Paris", "x1 + y|1 plus y")


class DebianWordNet(WordNetCorpusReader):
    """nltk's reader of Debian's files, which lack one with names of files that synonyms have no use for."""

    def __init__(self, folder):
        shutil.copytree("/usr/share/wordnet", folder, dirs_exist_ok=True)
        pathlib.Path(folder, "lexnames").write_text("".join(f"{i:02}\tname\t1\n" for i in range(45)))
        nltk.data.path.append(folder)
        super().__init__(folder, None)

    def map_wn(self, _=None):
        return None


def changed_word(word, draw):
    change = draw.randrange(8)
    if change == 0:
        return word + draw.choice(["s", "ed", "ing", "ly", ".", ","])
    if change == 1:
        return word.swapcase()
    if change == 2:
        return word[:-1]
    if change == 3:
        return draw.choice(draw.choice(SNIPPETS).split())
    return draw.choice(["", word + " " + word, "x", word[::-1]])


def disturbed(snippet, draw):
    if draw.random() < 0.05:
        return draw.choice(SNIPPETS)
    parts = re.split(r"(\s+|\W)", snippet)
    for _ in range(draw.choice([0, 1, 1, 2, 3, 5])):
        place = draw.randrange(len(parts))
        parts[place] = changed_word(parts[place], draw)
    if draw.random() < 0.2:
        place = draw.randrange(len(parts))
        parts = parts[place:] + parts[:place]
    text = "".join(parts)
    if draw.random() < 0.15:
        text = text[:draw.randrange(len(text) + 1)]
    return re.sub(r"\s+", draw.choice(["\n", "  ", "\t"]), text) if draw.random() < 0.1 else text


def pairs(draw, count=PAIRS):
    drawn = BY_HAND[:count]
    while len(drawn) < count:
        reference = "\n".join(draw.choice(SNIPPETS) for _ in range(draw.choice([1, 1, 1, 2])))
        drawn.append([disturbed(reference, draw), reference])
    return drawn


def conala(code):
    code = re.sub(r"([a-z])([A-Z])", r"\1 \2", re.sub(r"([^A-Za-z0-9_])", r" \1 ", code))
    return " ".join(re.sub(r"[\"']", "`", code).split())


def counts(pairs, tokenize):
    predictions, references = zip(*pairs)
    return COUNTS.corpus_score([tokenize(code) for code in predictions], [[tokenize(code) for code in references]])


def unsmoothed(score):
    return score.score if score.sys_len > 0 and score.ref_len > 0 else None


def add_one(score):
    """Lin and Och's smoothing of all orders, as the code that Google published with its NMT tutorial has it."""
    if score.sys_len == 0 or score.ref_len == 0:
        return None
    precisions = [(match + 1) / (total + 1) for match, total in zip(score.counts, score.totals)]
    brevity = min(1, math.exp(1 - score.ref_len / score.sys_len))
    return 100 * brevity * math.prod(precisions) ** 0.25


def rouge_l(prediction, reference):
    return 100 * ROUGE.score(reference, prediction)["rougeL"].fmeasure


class NoWordNet:
    @staticmethod
    def synsets(_):
        return []


def meteor(prediction, reference, wordnet=NoWordNet):
    return 100 * single_meteor_score(reference.split(), prediction.split(), wordnet=wordnet)


def synonym_meteors():
    """Of all sentences with each other, prediction, reference and figure: where synonyms change it, and a tenth of the rest."""
    sentences = [sentence for pair in SYNONYMS for sentence in pair.split("|")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        wordnet = DebianWordNet(folder)
        for i, (prediction, reference) in enumerate(itertools.product(sentences, repeat=2)):
            score = meteor(prediction, reference, wordnet)
            if score != meteor(prediction, reference) or i % 10 == 0:
                rows.append([prediction, reference, round(score, 4)])
    return rows


def mean(score, pairs):
    return sum(score(*pair) for pair in pairs) / len(pairs)


def corpus(scorer, pairs):
    predictions, references = (list(side) for side in zip(*pairs))
    return scorer.corpus_score(predictions, [references]).score


def scorers(sacrebleu):
    """What gives each figure of pairs, by its name."""
    return {
        "conala": lambda pairs: unsmoothed(counts(pairs, conala)),
        "codexglue": lambda pairs: add_one(counts(pairs, lambda code: " ".join(code.split()))),
        "huggingface": lambda pairs: add_one(counts(pairs, Tokenizer13a())),
        "sacrebleu": lambda pairs: corpus(sacrebleu, pairs),
        "chrf": lambda pairs: corpus(CHRF_2, pairs),
        "rouge_l": lambda pairs: mean(rouge_l, pairs),
        "meteor": lambda pairs: mean(meteor, pairs),
    }


def figures(pairs, sacrebleu):
    values = [score(pairs) for score in scorers(sacrebleu).values()]
    return [None if value is None else round(value, 4) for value in values]


def main():
    drawn = pairs(random.Random(8))
    examples = [[*pair, *figures([pair], SENTENCE_BLEU)] for pair in drawn]
    words = WORDS.split() + [base + ending for base in BASES for ending in ENDINGS]
    parts = [
        f"\"figures\": {json.dumps(list(scorers(SACREBLEU)))}",
        f"\"corpus\": {json.dumps(figures(drawn, SACREBLEU))}",
        "\"examples\": [\n" + ",\n".join(json.dumps(example, ensure_ascii=False) for example in examples) + "\n]",
        "\"synonyms\": [\n" + ",\n".join(map(json.dumps, synonym_meteors())) + "\n]",
        f"\"stems\": {json.dumps({word: STEMMER.stem(word) for word in words}, ensure_ascii=False)}",
    ]
    path = pathlib.Path(__file__).with_name("metrics_golden.json")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
