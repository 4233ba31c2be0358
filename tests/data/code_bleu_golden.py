#!/usr/bin/env python3
"""Writes code_bleu_golden.json for tests/core/evaluation with the package codebleu 0.7.0.

Pairs of a prediction and a reference in Python, JavaScript, Java, C and C++, and of each the package's figure and its four
components as an example of its own, in points of 100. The order of Python's sets changes data flow from run to run, so each
pair is scored under several hash seeds: null where they disagree. Then the figures of the other pairs of a language as one corpus.
Python's tokenize, by which comments are found, must be that of 3.8 to 3.11.

The grammars are those of core/tree-sitter-requirements.txt. Two of them hand out their language in a newer way than the
package knows, so it is unwrapped here.

Usage: pip install codebleu==0.7.0 tree-sitter==0.22.3 tree-sitter-python==0.23.2 tree-sitter-javascript==0.21.4 \
    tree-sitter-java==0.23.2 tree-sitter-c==0.21.4 tree-sitter-cpp==0.22.3 && ./code_bleu_golden.py
"""
import ctypes
import json
import logging
import os
import pathlib
import random
import re
import subprocess
import sys

import tree_sitter_java
import tree_sitter_python

SEEDS = range(6)
PAIRS = 70  # of each language
PYTHON = [
    "def total(values):\n    \"\"\"Adds them.\"\"\"\n    result = 0\n    for value in values:\n        result += value  # one more\n"
    "    return result",
    "x = [n * n for n in range(10) if n % 2 == 0]\nprint(x, end='')",
    "with open(path) as file:\n    lines = file.read().splitlines()\nfirst, *rest = lines",
    "a, b = b, a\nc = a + b * (b - a)",
    "while low < high:\n    middle = (low + high) // 2\n    if values[middle] < wanted:\n        low = middle + 1\n    else:\n"
    "        high = middle",
    "class Stack(list):\n    '''A stack.'''\n    limit = 3\n\n    def push(self, item, where=None):\n        if len(self) >= self.limit:\n"
    "            raise OverflowError(f\"more than {self.limit}\")\n        elif item is None:\n            return\n        self.append(item)",
    "try:\n    count = int(text)\nexcept ValueError as error:\n    count = default\n    log(error)\nfinally:\n    done = True",
    "d = {key: value for key, value in pairs.items()}\nd.update(größe=1, b='ä')\nprint(d['größe'], größe, d)",
    "if x > 1:\n    y = 1\nelif x > 0:\n    y = 2\nelse:\n    y = 3\nz = y + x",
    "for i in range(3):\n    for j in range(i):\n        total = total + i * j\n        if total > 9: break\n    last = total",
    "f = lambda x, y=1: x + y\nresult = sorted(map(f, items), key=lambda item: -item)[:3]",
    "async def fetch(session, url, *, retries=3):\n    for attempt in range(retries):\n        async with session.get(url) as answer:\n"
    "            return await answer.text()",
    "import os.path as p, re\nfrom math import (sqrt,\n    pi)\nroot = p.join('a', \\\n    'b')",
    "df = df[df['age'] > 30].groupby('city').agg({'age': 'mean'}).reset_index()",
    "match = re.search(r'(\\d+)#(\\w+)', line)  # '#' is no comment there\nif not match: raise ValueError(line)",
    "s = '''one # two\n'three' \\''' still'''\nt = \"a\\\"b\" 'c'  # d\nprint(s + t)",
    "x: int = 5\ny: 'str'\nx -= 2; y = str(x)",
    "print('日本' + name, größe := len(name), größe)",
    "global_count = 0\n\n\ndef count():\n\tglobal global_count\n\tglobal_count += 1\n\treturn global_count\n",
    "squares = {n ** 2 for n in numbers}\nevens = (n for n in squares if not n & 1)\nprint(sum(evens))",
    "match command.split():\n    case ['go', where]:\n        here = where\n    case _:\n        here = None",
    "return x",
]
JAVASCRIPT = [
    "function total(values) {\n  // adds them\n  let result = 0;\n  for (const value of values) {\n    result += value;\n  }\n  return result;\n}",
    "const f = (a, b = 1) => a.map((x) => x * b).filter(Boolean);",
    "for (var i = 0; i < items.length; i++) {\n  console.log(`${i}: ${items[i]}`); /* shown */\n  sum = sum + items[i];\n}",
    "if (x > 1) { y = 1; } else if (x > 0) { y = 2; } else { y = 3; }\nlet z = y + x;",
    "let i = 10;\nwhile (i > 0) {\n  i--;\n  if (i % 2) continue;\n  last = i;\n}",
    "class Point {\n  constructor(x, y) { this.x = x; this.y = y; }\n  get norm() { return Math.sqrt(this.x ** 2 + this.y ** 2); }\n}",
    "fetch(url).then((answer) => answer.json()).then(({ name, age }) => {\n  show(name, age);\n}).catch(console.error);",
    "const { a, b: [c, ...rest] } = options, d = a || c;\nlet e = d ? rest : null;",
    "try { data = JSON.parse(text); } catch (error) { data = {}; } finally { done = true; }",
    "var größe = 'ä' + \"//kein Kommentar\";\nalert(größe, größe.length);",
    "switch (kind) {\n  case 'a': n += 1; break;\n  default: n = 0;\n}",
    "async function* pages(url) {\n  let next = url;\n  do {\n    const page = await get(next);\n    yield page.items;\n    next = page.next;\n  } while (next);\n}",
    "document.querySelectorAll('a').forEach(function (link) {\n  link.href = link.href.replace(/^http:\\/\\//, 'https://');\n});",
    "export default { name: 'it\\'s', data() { return { count: 0 }; }, methods: { add() { this.count++; } } };",
    "var a = 1, b;\nb = a;\nif (a) b = 2;\na = b + a;\nfor (let k in o) { a += o[k]; }",
    "x",
]
JAVA = [
    "public static int total(List<Integer> values) {\n    int result = 0; // adds them\n    for (int value : values) {\n        result += value;\n"
    "    }\n    return result;\n}",
    "public class Main {\n    private final String name;\n    /** Makes one. */\n    Main(String name) { this.name = name; }\n"
    "    public static void main(String[] args) {\n        System.out.println(\"Hello \" + args[0]);\n    }\n}",
    "for (int i = 0; i < n; i++) {\n    for (int j = i; j < n; ++j) {\n        sum = sum + a[i][j];\n    }\n}",
    "if (x > 1) { y = 1; } else if (x > 0) { y = 2; } else { y = 3; }\nint z = y + x;",
    "while (iterator.hasNext()) {\n    String line = iterator.next();\n    count++;\n    last = line;\n}",
    "try (Reader reader = new FileReader(path)) {\n    text = read(reader);\n} catch (IOException error) {\n    log.warn(\"no file\", error);\n"
    "    text = null;\n}",
    "Map<String, List<Integer>> groups = items.stream().collect(Collectors.groupingBy(Item::name, Collectors.mapping(i -> i.size(), toList())));",
    "int[] a = {3, 1, 2}; int t;\nt = a[0];\na[0] = a[1];\na[1] = t;",
    "String größe = \"ä\"; char c = '\\'';\nSystem.out.println(größe + c + größe.length());",
    "interface Shape { double area(); default String kind() { return \"shape\"; } }\nrecord Circle(double r) implements Shape {\n"
    "    public double area() { return Math.PI * r * r; }\n}",
    "switch (day) {\n    case MONDAY: hours = 8; break;\n    default: hours = 0;\n}",
    "do { n = n / 2; steps += 1; } while (n > 1);\nreturn steps;",
    "Object o = flag ? new ArrayList<>() : null;\nsynchronized (lock) { value = o == null ? 0 : o.hashCode(); }",
    "x",
]
C = [
    "int total(const int *values, int count) {\n    int result = 0; /* adds them */\n    for (int i = 0; i < count; ++i) result += values[i];\n    return result;\n}",
    "#include <stdio.h>\n#define MAX(a, b) ((a) > (b) ? (a) : (b))\nint main(void) {\n    printf(\"%d\\n\", MAX(1, 2)); // shown\n    return 0;\n}",
    "struct point { int x, y; };\ntypedef struct point point_t;\npoint_t *p = malloc(sizeof *p);\np->x = 1;\np->y = p->x;",
    "if (x > 1) { y = 1; } else if (x > 0) { y = 2; } else { y = 3; }\nz = y + x;",
    "while (*s) {\n    c = *s++;\n    if (c == '\\'' || c == '\"') n = n + 1;\n    last = c;\n}",
    "t = a[i]; a[i] = a[j]; a[j] = t;",
    "switch (kind) { case 1: n = 0; break; default: goto end; }\nend:\n    free(p);",
    "static unsigned long hash(const char *s) {\n    unsigned long h = 5381;\n    int c;\n    while ((c = *s++)) h = ((h << 5) + h) + c;\n    return h;\n}",
    "char *größe = \"ä\"; puts(größe); n = größe[0];",
    "do { n /= 2; k = n; } while (n > 1);\nx = k ? n : 0;",
    "for (i = 0; i < n; i++)\n    for (j = 0; j < m; j++)\n        c[i][j] = a[i] * b[j];",
    "x",
]
CPP = [
    "template <typename T>\nT total(const std::vector<T>& values) {\n  T result{};\n  for (const auto& value : values) result += value;  // adds\n  return result;\n}",
    "class Stack : public Base {\n public:\n  explicit Stack(int n) : n_(n) {}\n  void push(int v) override { data_.push_back(v); n_ = n_ + 1; }\n\n private:\n"
    "  std::vector<int> data_;\n  int n_;\n};",
    "std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; });\nauto it = std::find(v.begin(), v.end(), 3);",
    "if (x > 1) { y = 1; } else if (x > 0) { y = 2; } else { y = 3; }\nauto z = y + x;",
    "#include <iostream>\nusing namespace std;\nint main() {\n  string name;\n  while (cin >> name) {\n    cout << name << endl;\n    last = name;\n  }\n}",
    "namespace a::b { constexpr int k = 3; enum class Kind { kA, kB }; }",
    "try { x = std::stoi(text); } catch (const std::exception& e) { x = 0; throw; }",
    "auto p = std::make_unique<int[]>(n); /* n of them */\nfor (size_t i = 0; i < n; ++i) p[i] = i * i;",
    "std::string größe = \"ä//\"; std::cout << größe << größe.size();",
    "int a = 1, b;\nb = a;\na = b + a;\nfor (;;) { a = a - 1; if (!a) break; }",
    "const char* s = R\"(raw \" text)\";\nstd::map<std::string, int> m{{\"a\", 1}};\nm[\"b\"] = m.at(\"a\");",
    "x",
]
SNIPPETS = {"python": PYTHON, "javascript": JAVASCRIPT, "java": JAVA, "c": C, "cpp": CPP}
BY_HAND = [
    ["", ""], ["", "x = y"], ["x = y", ""], ["x", "x"], ["x", "y"], ["if", "if"], ["x = 1", "x = 1"], [" \t\n", "x"], ["(((", ")))"],
    ["x = (1", "x = (1)"], ["x = 'a", "x = 'a'"], ["a = b = c", "d = e = f"], ["a\u00a0= b", "a = b"], ["f(x, y)\n" * 3, "f(x, y)\n" * 2],
    ["x = y\nz = x\nw = z + x", "a = b\nc = a\nd = c + a"], ["\u00e4 = \u00f6\nx = \u00e4", "a = o\nx = a"], ["$ ? ` \\", "x = 1"],
    ["x = y;;\nz", "x = y"], ["a.b.c(d)[e] = f", "a.b = c"], ["/* x */ y = 1 // z", "# x\ny = 1  # z"],
    ["#define A", "#define A 1\nx = A"], ["x: 'a' y -= 2; z = 1", "x: 'a'\ny -= 2; z = 1"],
]
PYTHON_BY_HAND = [
    ["'doc'\nx = y", "x = y"], ["def f():\n    'doc'\n    return 'x'", "def f():\n    return 'x'"], ["x = 'a\\\nb'\ny = x", "x = 'ab'\ny = x"],
    ["def f(a, b=a, *c, d: int = 3, **e):\n  pass", "def f(a, b=c):\n  pass"], ["x = '''\n# no\n'''\n", "x = '''# no'''"],
    ["if a:\n    x = 1\n  y = 2", "if a:\n    x = 1\n    y = 2"], ["x = 'a\ny = 1  # b'", "x = 1"], ["  x = 1\n  y = x", "x = 1\ny = x"],
    ["for x in y:\n  z = x\nelse:\n  z = 1", "for x in y:\n  z = x"], ["[a for b in c for a in b]", "[x for y in z for x in y]"],
    ["\"\"\"a\"\"\"; b = 1", "b = 1"], ["x = )\n# c\n'd'", "x = 1"], ["b'x'\nf = rb'\\'' + u\"#\"", "f = rb'\\'' + u\"#\""],
    ["if a: \\\n  b = 1 # c", "if a: b = 1"], ["x\x0c= 1\n\x0c\n \n# e\r\ny = 2\r\n", "x = 1\ny = 2"],
]


def changed_word(word, draw, snippets):
    change = draw.randrange(8)
    if change == 0:
        return word + draw.choice(["s", "2", ")", ";", "("])
    if change == 1:
        return word[:-1]
    if change == 2:
        return draw.choice(re.split(r"\W+", draw.choice(snippets)))
    return draw.choice(["", "x", word[::-1], "\u00e4", " = ", "i"])


def disturbed(snippet, draw, snippets):
    if draw.random() < 0.08:
        return draw.choice(snippets)
    if draw.random() < 0.3:  # another name for a variable
        names = sorted(set(re.findall(r"\b[a-z]\w*\b", snippet)))
        snippet = re.sub(rf"\b{draw.choice(names)}\b", draw.choice(["value", "other", "n"]), snippet)
    parts = re.split(r"(\s+|\W)", snippet)
    for _ in range(draw.choice([0, 0, 1, 1, 2, 3, 5])):
        place = draw.randrange(len(parts))
        parts[place] = changed_word(parts[place], draw, snippets)
    text = "".join(parts)
    if draw.random() < 0.12:
        text = text[:draw.randrange(len(text) + 1)]
    if draw.random() < 0.1:
        lines = text.split("\n")
        draw.shuffle(lines)
        text = "\n".join(lines)
    return text


def pairs(language, draw, count=PAIRS):
    snippets = SNIPPETS[language]
    drawn = (BY_HAND + (PYTHON_BY_HAND if language == "python" else []))[:count]
    while len(drawn) < count:
        reference = "\n".join(draw.choice(snippets) for _ in range(draw.choice([1, 1, 1, 2, 3])))
        drawn.append([disturbed(reference, draw, snippets), reference])
    return drawn


def unwrap(module):
    """The address of its language, as grammars of an older make return it."""
    capsule = module.language()
    if isinstance(capsule, int):
        return
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer(capsule, b"tree_sitter.Language")
    module.language = lambda: address


def figures(pairs, language):
    import codebleu
    predictions, references = (list(side) for side in zip(*pairs))
    scores = codebleu.calc_codebleu(references, predictions, language)
    names = ("codebleu", "ngram_match_score", "weighted_ngram_match_score", "syntax_match_score", "dataflow_match_score")
    return [round(100 * scores[name], 4) for name in names]


def score():
    """Of the pairs of each language on standard input: the figures of each pair, then those of the corpus."""
    logging.disable()
    unwrap(tree_sitter_java)
    unwrap(tree_sitter_python)
    return {language: [figures([pair], language) for pair in some] + [figures(some, language)] for language, some in json.load(sys.stdin).items()}


def agreed(drawn):
    """The figures, as far as all hash seeds agree on them."""
    runs = []
    for seed in SEEDS:
        run = subprocess.run([sys.executable, __file__, "score"], env={**os.environ, "PYTHONHASHSEED": str(seed)}, check=True,
                             input=json.dumps(drawn), stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(run.stdout))
    return {language: [[values[0] if len(set(values)) == 1 else None for values in zip(*rows)] for rows in zip(*(run[language] for run in runs))]
            for language in drawn}


def main():
    drawn = {language: pairs(language, random.Random(language)) for language in SNIPPETS}
    rows = {language: some[:-1] for language, some in agreed(drawn).items()}
    sure = {language: [pair for pair, row in zip(some, rows[language]) if None not in row] for language, some in drawn.items()}
    corpora = {language: some[-1] for language, some in agreed(sure).items()}
    parts = []
    for language, some in drawn.items():
        examples = [[*pair, *row] for pair, row in zip(some, rows[language])]
        parts.append(f"\"{language}\": {{\"corpus\": {json.dumps(corpora[language])},\n\"examples\": [\n"
                     + ",\n".join(json.dumps(example, ensure_ascii=False) for example in examples) + "\n]}")
    path = pathlib.Path(__file__).with_name("code_bleu_golden.json")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    print(json.dumps(score())) if sys.argv[1:] == ["score"] else main()
