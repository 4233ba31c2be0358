"""CoNaLa and CodeAlpaca for quality.py, split by a hash of the instruction. Neither is part of this project.

DIR holds the files as published: conala-train.json and conala-test.json (Yin et al. 2018, MIT licence), and
codealpaca-4k.json (CodeAlpaca, CC BY-NC 4.0: neither it nor a model trained on it is distributed here).

An instruction's place is a number from 0 to 1 made from the SHA-256 of its words in lower case, the same in both
collections and whatever else a file holds. By it a collection is divided (SHARES) into what the base model is trained
on, what prompts are trained and validated on, and a test set; CoNaLa's is the published one instead. What is not in a
test set, but has an instruction that is in one of either collection, is dropped. An instruction is CoNaLa's
rewritten intent (where there is none, its intent) or CodeAlpaca's instruction and, on a line of its own, its input; the
place is that of CodeAlpaca's instruction without the input. CodeAlpaca's examples of more than MAX_CODE characters of
code, about a fifth, are left out everywhere.

The base model reads the instruction in its encoder, behind words that name the collection (WORDS) in a share of the
examples, WITH_WORDS, so that manual wordings can mean something to it. Its decoder's prefix is the instruction in half of
the examples and nothing in the others, for a model whose decoder always has the instruction learns to ignore its encoder,
and with it every prompt (a first one did: 76.2 nats under all of them).
"""

import hashlib
import json

FILES = ("conala-train.json", "conala-test.json", "codealpaca-4k.json")
SHARES = {"conala": {"base": (0, 0.5), "train": (0.5, 0.95), "validation": (0.95, 1)},
          "codealpaca": {"base": (0, 0.6), "train": (0.6, 0.86), "validation": (0.86, 0.9), "test": (0.9, 1)}}
MAX_CODE = 400
WITH_WORDS = 0.4
WITH_PREFIX = 0.5
WORDS = {"conala": ("Write one line of Python. ", "One line of Python: "),
         "codealpaca": ("Write a complete program. ", "A program or a script: ")}
# The first is in the base model's own words, the others are not.
MANUAL = {"conala": ("Write one line of Python. ", "python one liner to ",
                     "Answer the following instructions in one line of Python code:\n"),
          "codealpaca": ("Write a complete program. ", "Write code for the following task.\n",
                         "Below is an instruction that describes a task. Write a response that appropriately "
                         "completes the request.\n\n### Instruction:\n")}


def place(instruction, salt=""):
    """From 0 to 1, the same for texts that differ in case and white space only."""
    words = salt + " ".join(instruction.lower().split())
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") / 2**64


def conala(path):
    for example in json.loads(path.read_text()):
        instruction = example["rewritten_intent"] or example["intent"]
        yield {"instruction": instruction, "code": example["snippet"], "place": place(instruction)}


def codealpaca(path):
    for example in json.loads(path.read_text()):
        if len(example["output"]) <= MAX_CODE:
            text = example["instruction"] + ("\n" + example["input"] if example["input"] else "")
            yield {"instruction": text, "code": example["output"], "place": place(example["instruction"])}


def part(examples, share):
    low, high = share
    return [example for example in examples if low <= example["place"] < high]


def read(data, test_examples):
    """By collection and part ("base", "train", "validation", "test") the examples, in the order of their places; of each
    test set the first `test_examples`."""
    found = {"conala": list(conala(data / FILES[0])), "codealpaca": list(codealpaca(data / FILES[2]))}
    tests = {"conala": list(conala(data / FILES[1])), "codealpaca": part(found["codealpaca"], SHARES["codealpaca"]["test"])}
    tested = {example["place"] for examples in tests.values() for example in examples}
    parts = {}
    for name, examples in found.items():
        examples = [example for example in examples if example["place"] not in tested]
        chosen = {kind: part(examples, share) for kind, share in SHARES[name].items() if kind != "test"}
        chosen["test"] = tests[name]
        parts[name] = {kind: sorted(some, key=lambda example: example["place"]) for kind, some in chosen.items()}
        parts[name]["test"] = parts[name]["test"][:test_examples]
    return parts


def base_texts(parts):
    """What the base model is trained on."""
    rows = []
    for name, examples in parts.items():
        for example in examples["base"]:
            words = WORDS[name][place(example["instruction"], "which ") >= 0.5]
            told = place(example["instruction"], "told ") < WITH_WORDS
            prefix = place(example["instruction"], "prefix ") < WITH_PREFIX
            rows.append({"encoder_text": (words if told else "") + example["instruction"],
                         "instruction": example["instruction"] if prefix else "", "code": example["code"]})
    return rows
