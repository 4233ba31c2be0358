"""ddpt::Tokenizer beside the `tokenizers` package on generated strings: the same ids, and the same text of those ids.

Usage: tokenizer_parity_test.py PATH_OF_TOKENIZE_LINES [--count STRINGS] [unittest arguments]

Decode differs from the package by design where an added token has Latin letters over U+00A0 (see tokenizer.h). No added token of the vocabularies
here has any, so all texts are compared. Ill-formed UTF-8 is no Python string; tokenizer_test.cc has it."""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

DATA = pathlib.Path(__file__).parents[2] / "data"
sys.path.insert(0, str(DATA))
import tokenizer_golden as golden

DEFAULT_COUNT = 100_000
VOCABULARIES = 4
GROUP = 64  # characters of one string where every character is tried


def long_string(rng):
    """Ten thousand characters or so that are one word to a tokenizer, or a run of spaces and tabs."""
    length = rng.randint(9_000, 11_000)
    kind = rng.randrange(5)
    if kind == 0:
        return "".join(rng.choices("abcdeilnorstz", k=length))
    if kind == 1:
        return "".join(rng.choices("eéßøñчислострока数文字함수दोταξ", k=length))
    if kind == 2:
        return "".join(rng.choices("0123456789", k=length))
    if kind == 3:
        return "".join(rng.choices(golden.ODD, k=length))
    return "".join(rng.choice([" ", " ", "\t", "\r\n", "\u3000"]) * rng.randint(1, 40) for _ in range(length // 20)) + "x"


def contractions(rng):
    return "".join(rng.choice(["", " ", *golden.WORDS]) + rng.choice(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "''s", "’s"])
                   for _ in range(rng.randint(1, 5))) + rng.choice(golden.WORDS)


def strings(seed, count, added):
    """One of 200 is long, half of the others are several in a row with the vocabulary's added tokens between them."""
    rng = random.Random(seed)
    for i in range(count):
        if i % 200 == 0:
            yield golden.any_string(rng) + long_string(rng)
        elif i % 20 == 1:
            yield contractions(rng)
        elif i % 2:
            yield golden.any_string(rng)
        else:
            yield "".join(golden.any_string(rng) + rng.choice(added) + rng.choice(["", " ", "\n"]) for _ in range(rng.randint(1, 4)))


def every_character():
    """All of the planes with characters, and some of the planes without."""
    steps = [61 * STEP] * 17
    for plane in (0, 1, 2, 3, 14):
        steps[plane] = STEP
    return [chr(code) for code in range(0x110000) if code % steps[code >> 16] == 0 and not 0xD800 <= code < 0xE000]


class TokenizerParityTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_same(self, reference, directory, texts, special=False):
        texts = list(texts)
        ids = [encoding.ids for encoding in reference.encode_batch(texts, add_special_tokens=special)]
        decoded = reference.decode_batch(ids, skip_special_tokens=False)
        done = subprocess.run([PROGRAM, directory, *(["--special"] if special else [])], check=True, stdout=subprocess.PIPE,
                              input="".join(golden.dump(text) + "\n" for text in texts).encode())
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), len(texts))
        wrong = [(text, expected, json.loads(line)) for text, line, *expected in zip(texts, lines, ids, decoded) if json.loads(line) != expected]
        if wrong:
            text, expected, found = min(wrong, key=lambda row: len(row[0]))
            self.fail(f"{len(wrong)} of {len(texts)} strings differ, the shortest is {text!r}:\nexpected {expected!r}\n   found {found!r}")

    def test_gpt2_from_one_file(self):
        directory = DATA / "tokenizer_gpt2"
        reference = golden.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.assert_same(reference, directory, strings(11, COUNT // VOCABULARIES, golden.CONTENTS))

    def test_gpt2_from_separate_files(self):
        reference = golden.Tokenizer.from_file(str(DATA / "tokenizer_gpt2/tokenizer.json"))
        for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"):
            shutil.copy(DATA / "tokenizer_gpt2" / name, self.folder)
        self.assert_same(reference, self.folder, strings(12, COUNT // VOCABULARIES, golden.CONTENTS))

    def test_roberta_with_special_tokens(self):
        directory = DATA / "tokenizer_roberta"
        reference = golden.Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.assert_same(reference, directory, strings(13, COUNT // VOCABULARIES, ["<s>", "</s>", "<mask>"]), special=True)

    def test_trained_vocabulary(self):
        directory = DATA / "tokenizer_trained"
        self.assert_same(golden.trained_tokenizer(directory), directory,
                         strings(14, COUNT // VOCABULARIES, golden.TRAINED_SPECIAL))

    def test_class_of_every_character(self):
        """Merges of a character's last byte with a letter, a digit and a symbol show in the ids which of them it makes a word with."""
        symbols = sorted(golden.pre_tokenizers.ByteLevel.alphabet())
        last_bytes = [golden.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(chr(code))[0][0][-1]
                      for code in range(0x80, 0xC0)]
        merges = [(last, sign) for last in last_bytes for sign in "x7!"]
        vocabulary = {token: i for i, token in enumerate(symbols + [left + right for left, right in merges])}
        reference = golden.Tokenizer(golden.models.BPE(vocab=vocabulary, merges=merges))
        reference.pre_tokenizer = golden.pre_tokenizers.ByteLevel(add_prefix_space=False)
        reference.decoder = golden.decoders.ByteLevel()
        reference.save(str(self.folder / "tokenizer.json"))
        characters = every_character()
        texts = ("".join(f"{c}x {c}7 {c}! " for c in characters[i:i + GROUP]) for i in range(0, len(characters), GROUP))
        self.assert_same(reference, self.folder, texts)

    def test_added_tokens_beside_every_character(self):
        """`foo` and `[WORD]` stand alone only, `<mask>` takes the space before it and `<|pad|>` the space after it."""
        directory = DATA / "tokenizer_gpt2"
        reference = golden.Tokenizer.from_file(str(directory / "tokenizer.json"))
        characters = every_character()
        texts = ("".join(f"{c}foo{c}<mask>[WORD]{c}<|pad|>" for c in characters[i:i + GROUP] + ["."])
                 for i in range(0, len(characters), GROUP))
        self.assert_same(reference, directory, texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="strings; with fewer also fewer characters are tried one by one")
    arguments, rest = parser.parse_known_args()
    PROGRAM, COUNT = arguments.program, arguments.count
    STEP = max(1, DEFAULT_COUNT // COUNT)
    unittest.main(argv=[sys.argv[0], *rest])
