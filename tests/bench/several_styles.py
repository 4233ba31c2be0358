#!/usr/bin/env python3
"""Where drawing prompts could pay: one task whose instructions have several right answers, each in a style of its own,
and a user who wants one of the styles and has a few examples of it, or its name. Through the RPCs only.

    several_styles.py --cells DIR [--seeds N] [--examples N] [--best-of N] [--tests N] [--report]

Five styles of deploy/tiny, the same instructions in each. The task is trained on all of them at once: by DDPT with several
draws an example, by DDPT as in Eq. 3, by GENERATOR and by prompt tuning, with equal optimizer steps. The user of a style
draws as many prompts as --best-of says and keeps the one under which her examples have the lowest NLL. Beside it:
prompt tuning on her examples alone, from a text and from the task's prompt; prompt tuning on all examples of the style,
which nobody has who has only a few; and the best of five prompts, one tuned for each style, chosen as the draws are. And
conditional tasks, trained on all examples with the style's name as an attribute, of which the user names hers.

Settings were chosen on the validation split. Test examples are the first of the test split, which was looked at while other settings were chosen; hers the first of the
validation split that follow those which the task is validated on. Prints a table in Markdown, means over users and
seeds. Python's standard library only.
"""

import argparse
import json
import pathlib

import prompt_table as table

STYLES = ["pyline", "pydef", "sql", "sh", "house"]
STEPS = 400
STYLE_STEPS = 250
FEW_STEPS = 100
BATCH = 16
DRAWS = 6  # of an example, in training
SAMPLING_STEPS = 20
VALIDATION = 16  # instructions, each in all styles
JOINT = {
    "DDPT, several draws": ("--method", "ddpt"),
    "DDPT": ("--method", "ddpt"),
    "GENERATOR": ("--method", "generator"),
    "prompt tuning": ("--method", "prompt_tuning"),
}
TOLD = {"DDPT, told the style": ("--method", "ddpt", "--conditional"), "GENERATOR, told the style": ("--method", "generator", "--conditional")}
FEW = {"prompt tuning on her examples": (), "the task's prompt, tuned on her examples": ("start",)}
OWN = "prompt tuning on the style"
BANK = "best of the five styles' prompts"
KINDS = ["none", *JOINT, *TOLD, *FEW, BANK, OWN]
MAX_PROMPT_RMS = 4


def lines(style, split):
    return table.read_lines(table.corpus(style, split).read_text())


def part(name, rows):
    path = table.state() / f"{name}.jsonl"
    table.write_lines(path, rows)
    return path


def joint(split, told, count=None):
    """The first instructions of the split, all of them by default, in every style."""
    by_style = [[row | {"attributes": {"style": style}} if told else row for row in lines(style, split)[:count]] for style in STYLES]
    return part(f"all.{split}.{told}", [row for rows in zip(*by_style, strict=True) for row in rows])


def hers(style, count):
    return part(f"{style}.hers{count}", lines(style, "validation")[VALIDATION:VALIDATION + count])


def nll(examples, prompt):
    return sum(row["nll"] * row["tokens"] for row in table.read_lines(table.ddpt("score", "--examples", examples, *prompt)))


class Cells:
    def __init__(self, options):
        self.options = options
        self.done = set()

    def train_once(self, name, flags, seed, steps, *data):
        if name not in self.done:
            table.train(name, flags, seed, "--steps", steps, "--max-prompt-rms", MAX_PROMPT_RMS, *data)
            self.done.add(name)
        return name

    def joint_task(self, kind, seed):
        told = kind in TOLD
        flags = [*(JOINT | TOLD)[kind], *(("--draws", DRAWS) if "several" in kind else ())]
        served = ["--validation-steps", SAMPLING_STEPS]
        return self.train_once(table.name_of(kind, seed), flags, seed, STEPS, "--batch-size", BATCH, *served, "--data", joint("train", told),
                               "--validation-data", joint("validation", told, VALIDATION))

    def style_task(self, style, seed):
        return self.train_once(table.name_of("style", style, seed), ("--method", "prompt_tuning"), seed, STYLE_STEPS,
                               "--data", table.corpus(style, "train"),
                               "--validation-data", part(f"{style}.chosen_by", lines(style, "validation")[:VALIDATION]))

    def best_draw(self, style, task):
        """The draw under which her examples are likeliest."""
        drawn = json.loads(table.ddpt("--json", "sample", task, "--seed", 1, "--steps", SAMPLING_STEPS, "--best-of", self.options.best_of,
                                      "--best-of-examples", hers(style, self.options.examples)))
        return "--prompt-id", drawn["prompts"][0]["prompt_id"]

    def few(self, style, seed, start):
        examples = hers(style, self.options.examples)
        name = table.name_of("few", style, len(start), seed)
        flags = ["--method", "prompt_tuning"]
        if start:
            task = self.joint_task("prompt tuning", seed)
            table.ddpt("sample", task, "--seed", 1, "--out", table.state() / "start.safetensors")
            flags += ["--start-prompt", table.state() / "start.safetensors"]
        # Nothing is left to choose a checkpoint by: the last one it is.
        return self.train_once(name, flags, seed, FEW_STEPS, "--data", examples, "--validation-data",
                               part(f"{style}.any", lines(style, "validation")[:4]), "--checkpoint-every", FEW_STEPS)

    def prompt(self, style, kind, seed):
        def of(task):
            return "--task", task, "--seed", "1", "--steps", str(SAMPLING_STEPS)
        if kind == "none":
            return ()
        if kind in JOINT:
            task = self.joint_task(kind, seed)
            return self.best_draw(style, task) if kind.startswith("DDPT") else of(task)
        if kind in TOLD:
            return *of(self.joint_task(kind, seed)), "--attribute", f"style={style}"
        if kind in FEW:
            return of(self.few(style, seed, FEW[kind]))
        if kind == BANK:
            examples = hers(style, self.options.examples)
            return min((of(self.style_task(other, seed)) for other in STYLES), key=lambda prompt: nll(examples, prompt))
        return of(self.style_task(style, seed))

    def measure(self, style, kind, seed):
        tests = part(f"{style}.tests", lines(style, "test")[:self.options.tests])
        return {"rows": table.measure(tests, self.prompt(style, kind, seed))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--examples", type=int, default=4, help="that a user has")
    parser.add_argument("--best-of", type=int, default=32, help="prompts that a user draws")
    parser.add_argument("--tests", type=int, default=60, help="examples of each style")
    parser.add_argument("--report", action="store_true", help="only print the cells that are there")
    options = parser.parse_args()
    if not options.report:
        table.with_server()
        cells = Cells(options)
        table.fill(options.cells, ((style, kind, seed, lambda: cells.measure(style, kind, seed))
                                   for seed in range(options.seeds) for kind in KINDS for style in STYLES))
    rows = {}
    for kind in KINDS:
        paths = [[table.path_of(options.cells, style, kind, seed) for style in STYLES] for seed in range(options.seeds)]
        found = [[json.loads(path.read_text())["rows"] for path in seeds] for seeds in paths if all(map(pathlib.Path.exists, seeds))]
        if found:
            rows[kind] = table.Row([[row for style in seeds for row in style] for seeds in found])
    table.resample(rows)
    base = rows["prompt tuning"]
    table.print_lines(["Prompt", "seeds", "NLL", "BLEU-4", "exact", "BLEU-4 against the task's prompt tuning", "NLL against it"],
                      ([kind, str(row.seeds), *(f"{value:.3f}" for value in (row.figures[0], row.figures[1], row.exact)),
                        table.difference(row, base, table.BLEU), table.difference(row, base, table.NLL)] for kind, row in rows.items()))


main()
