#!/usr/bin/env python3
"""Trained prompts on text that people wrote: CoNaLa (Yin et al. 2018; MIT licence) through the RPCs, on the embedded
model, which has seen nothing but its own generated corpus.

    conala.py --data DIR [--cells DIR] [--seeds N] [--steps N]

DIR of --data holds conala-train.json (2,379 examples) and conala-test.json (500), as published; they are not part of
this project. Prompts are trained on about nine tenths of the training examples and validated on the rest, the same for
all seeds; the test examples choose nothing. Rows, intervals and cells are those of tiny_tasks.py; without --cells
nothing is kept. Python's standard library only.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import prompt_table as table

MANUAL = ("python one liner to ", "Write a single line of Python code. ",
          "Answer the following instructions in one line of Python code:\n")
MAX_PROMPT_RMS = 16  # at 4, DDPT fails with one seed in three


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--cells", type=pathlib.Path, help="folder of what has been measured")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="of the optimizer")
    return parser.parse_args()


def test_examples(data):
    """The test examples as the server reads CoNaLa: the rewritten intent where there is one."""
    path = table.state() / "conala-test.jsonl"
    table.write_lines(path, ({"instruction": example["rewritten_intent"] or example["intent"], "code": example["snippet"]}
                             for example in json.loads((data / "conala-test.json").read_text())))
    return path


def main():
    options = parse()
    missing = [name for name in ("conala-train.json", "conala-test.json") if not (options.data / name).is_file()]
    if missing:
        print(f"skipped: {options.data} holds no {' and no '.join(missing)}; get CoNaLa from its authors", file=sys.stderr)
        return
    table.with_server()
    with tempfile.TemporaryDirectory() as folder:
        cells_folder = options.cells or pathlib.Path(folder)
        training = ("--data", options.data / "conala-train.json", "--format", "conala", "--steps", options.steps,
                    "--max-prompt-rms", MAX_PROMPT_RMS)
        table.fill(cells_folder, table.data_cells("conala", test_examples(options.data), MANUAL, options.seeds, *training))
        table.print_table(table.read_rows(cells_folder, "conala", table.data_kinds(MANUAL), options.seeds))


main()
