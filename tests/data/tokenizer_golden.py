#!/usr/bin/env python3
"""Writes the golden files of tests/core/text with the `tokenizers` package 0.23.

  tokenizer_gpt2/      a byte-level BPE vocabulary of 1,000 entries as tokenizer.json and as separate
                       files, 10,000 strings with their ids, 500 id sequences with their texts
  tokenizer_roberta/   the same model as RoBERTa wraps it, 500 strings with their ids
  tokenizer_trained/   a corpus, and the files that a plain trainer written here makes of it, which
                       the C++ trainer must repeat byte for byte; strings with their ids

Usage: pip install tokenizers==0.23.3 && ./tokenizer_golden.py
"""
import collections
import json
import pathlib
import random

from tokenizers import (AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors,
                        trainers)

HERE = pathlib.Path(__file__).parent
WORDS = """def return class self import for in range if else not None True print value index list
dict string write a Python function that returns the sum of all even numbers in the given array and
reverse sort merge tree node left right count length first last min max while break continue
lambda yield with open file read line split join append pop key item result total naïve façade
größe über señor число строка функция 変数 関数 数字 文字 배열 함수 العدد दो ταξινόμηση""".split()
ODD = "'\"\\/{}[]()<>=+-*%&|^~!?.,:;@#$_`"
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u2003\u2028\u202f\u3000\u200b\ufeff"
EMOJI = ["😀", "👩‍💻", "🇩🇪", "👍🏽", "❤️", "🧑🏿‍🚀", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
ADDED = [
    AddedToken("<|endoftext|>", special=True, normalized=False),
    AddedToken("<mask>", special=True, normalized=False, lstrip=True),
    AddedToken("<|pad|>", special=True, normalized=False, rstrip=True),
    AddedToken("[WORD]", normalized=False, single_word=True),
    AddedToken("→tok", normalized=False, lstrip=True, rstrip=True),
    AddedToken("foo", single_word=True),
    AddedToken("foobar"),
    AddedToken("ab", normalized=False),
    AddedToken("abc", normalized=False),
    AddedToken("bcd"),
    AddedToken("\t\t"),
    *(AddedToken(" " * n) for n in range(2, 9)),
]
CONTENTS = [token.content for token in ADDED]
TRAINED_SPECIAL = ["<|endoftext|>", "<s>"]
FLAGS = ("content", "lstrip", "normalized", "rstrip", "single_word")


def code_line(rng):
    indent = rng.choice(["", "    ", "        ", "\t"])
    return indent + rng.choice(["", "# ", "'''"]) + "".join(
        rng.choice(WORDS) + rng.choice([" ", " ", "_", "(", "):", " = ", ".", "'s ", ""])
        for _ in range(rng.randint(1, 6)))


def any_char(rng):
    """Any scalar value: half of them from the planes in use, half from anywhere."""
    while True:
        code = rng.choice([rng.randrange(0x110000), rng.randrange(0x20, 0x3400),
                           rng.randrange(0xA000, 0x12000), rng.randrange(0x1D400, 0x1FB00)])
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def any_string(rng):
    kind = rng.randrange(10)
    count = rng.randint(1, 8)
    if kind == 0:
        return code_line(rng)
    if kind == 1:
        return "".join(any_char(rng) for _ in range(count))
    if kind == 2:
        return "".join(chr(rng.randrange(0x20)) for _ in range(count)) + rng.choice(WORDS)
    if kind == 3:
        return "\r\n".join(rng.choice(WORDS) for _ in range(rng.randint(1, 4)))
    if kind == 4:
        return "".join(rng.choice(SPACES) * rng.randint(1, 3) + rng.choice(["", "x", "7", "'t"])
                       for _ in range(count))
    if kind == 5:
        return "".join(rng.choice(EMOJI + WORDS + [" "]) for _ in range(rng.randint(1, 4)))
    if kind == 6:
        length = rng.choice([20, 20, 40, 120])
        return "".join(rng.choice("abcdeilnorstz") for _ in range(length))
    if kind == 7:
        return "".join(rng.choice(CONTENTS + [" ", "  ", "x", "_", "é", "\n", "d"])
                       for _ in range(rng.randint(1, 6)))
    if kind == 8:
        return "".join(rng.choice(ODD + " 0123456789") for _ in range(count * 2))
    parts = WORDS + CONTENTS + list(ODD) + list(SPACES) + [any_char(rng)]
    return "".join(rng.choice(parts) for _ in range(count))


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_lines(path, rows):
    path.write_text("".join(dump(row) + "\n" for row in rows), newline="\n")


def token_flags(token):
    return {name: getattr(token, name) for name in FLAGS}


def train_gpt2(rng):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=1000 - len(ADDED), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((code_line(rng) for _ in range(3000)), trainer)
    tokenizer.add_tokens(ADDED)
    return tokenizer


def write_separate_files(tokenizer, folder):
    tokenizer.model.save(str(folder))
    special = [token for token in ADDED if token.special]
    added = {token.content: tokenizer.token_to_id(token.content) for token in ADDED}
    end = token_flags(special[0])
    write_lines(folder / "added_tokens.json", [added])
    write_lines(folder / "special_tokens_map.json", [{
        "eos_token": end, "mask_token": token_flags(special[1]), "pad_token": token_flags(special[2])}])
    write_lines(folder / "tokenizer_config.json", [{
        "add_prefix_space": False, "eos_token": end, "tokenizer_class": "CodeGenTokenizer",
        "added_tokens_decoder": {
            str(added[token.content]): {**token_flags(token), "special": token.special}
            for token in ADDED}}])


def write_gpt2():
    rng = random.Random(1)
    folder = HERE / "tokenizer_gpt2"
    folder.mkdir(exist_ok=True)
    tokenizer = train_gpt2(rng)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_separate_files(tokenizer, folder)
    texts = [any_string(rng) for _ in range(10000)]
    write_lines(folder / "strings.jsonl", ([text, tokenizer.encode(text).ids] for text in texts))
    rows = []
    for _ in range(500):
        ids = [rng.randrange(1010) for _ in range(rng.randint(1, 12))]
        ids += [rng.randrange(256) for _ in range(rng.randint(0, 6))]
        rng.shuffle(ids)
        rows.append([ids, tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=False)])
    write_lines(folder / "decoded.jsonl", rows)
    return tokenizer


def write_roberta(gpt2):
    rng = random.Random(2)
    folder = HERE / "tokenizer_roberta"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(gpt2.model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_lines(folder / "tokenizer_config.json", [{"eos_token": "</s>"}])
    texts = ["", "<s>", *(any_string(rng) for _ in range(498))]
    write_lines(folder / "strings.jsonl", ([text, tokenizer.encode(text).ids] for text in texts))


def plain_training(texts, vocab_size, special):
    """The definition, with every count taken anew for every merge."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    kept = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x144))
    byte_of = {chr(byte if byte in kept else next(moved)): byte for byte in range(256)}
    words = collections.Counter(word for text in texts for word, _ in split(text))
    words = {tuple(word): count for word, count in words.items()}
    vocab = {token: i for i, token in enumerate(special + symbols)}
    merges = []
    while len(vocab) < vocab_size:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        known = [pair for pair, n in pairs.items() if n > 1 and "".join(pair) not in special]
        if not known:
            break
        best = min(known, key=lambda pair: (
            -pairs[pair], *(bytes(byte_of[symbol] for symbol in side) for side in pair)))
        merges.append(best)
        vocab.setdefault("".join(best), len(vocab))
        merged = {}
        for word, count in words.items():
            new, i = [], 0
            while i < len(word):
                step = 2 if word[i:i + 2] == best else 1
                new.append("".join(word[i:i + step]))
                i += step
            merged[tuple(new)] = merged.get(tuple(new), 0) + count
        words = merged
    return vocab, merges


def trained_tokenizer(folder):
    """The package's tokenizer of the files in tokenizer_trained/."""
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"),
                                               str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(TRAINED_SPECIAL)
    return tokenizer


def write_trained():
    rng = random.Random(3)
    folder = HERE / "tokenizer_trained"
    folder.mkdir(exist_ok=True)
    special = TRAINED_SPECIAL
    texts = [any_string(rng) + code_line(rng) + rng.choice(["", "<s>", "<|endoftext|>"])
             for _ in range(200)]
    vocab, merges = plain_training(texts, 500, special)
    write_lines(folder / "corpus.jsonl", texts)
    write_lines(folder / "vocab.json", [vocab])
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges), newline="\n")
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
             "special": True}
    config = {"add_prefix_space": False,
              "added_tokens_decoder": {
                  str(i): {"content": token, **flags} for i, token in enumerate(special)},
              "tokenizer_class": "CodeGenTokenizer",
              **{key: special[0] for key in ("bos_token", "eos_token", "unk_token")}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

    tokenizer = trained_tokenizer(folder)
    rows = [any_string(rng) + rng.choice(special) + code_line(rng) for _ in range(200)]
    write_lines(folder / "strings.jsonl", ([text, tokenizer.encode(text).ids] for text in rows))


if __name__ == "__main__":
    write_roberta(write_gpt2())
    write_trained()
