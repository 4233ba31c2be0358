"""deploy/prometheus, deploy/grafana and the autoscalers: every metric that they name is one of server/metrics.cc, every alert has its section in the
runbook, and promtool, where there is one, accepts all expressions and runs rules_test.yaml."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus/rules.yaml"
PROMTOOL = shutil.which("promtool")
SUFFIXES = ("_bucket", "_sum", "_count")


def exported():
    """The series names that the server's source registers."""
    source = (ROOT / "server/metrics.cc").read_text()
    names = set()
    for family, short, name in re.findall(r'New(?:Family<(\w+)>|(Histogram|Counter))\(\s*\*registry_,\s*"(\w+)"', source):
        names |= {name + suffix for suffix in SUFFIXES} if "Histogram" in (family, short) else {name}
    assert "ddpt_build_info" in names and "grpc_server_handling_seconds_bucket" in names
    return names


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard():
    return json.loads((DEPLOY / "grafana/ddpt.json").read_text())


def strings(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from strings(child)


class NamesTest(unittest.TestCase):
    def assert_exported(self, texts):
        used = set(re.findall(r"\b(?:ddpt|grpc_server)_\w+", "\n".join(texts)))
        self.assertTrue(used)
        self.assertLessEqual(used, exported())

    def test_rules(self):
        self.assert_exported(rule["expr"] for rule in rules())

    def test_recorded_names_are_recorded(self):
        used = set(re.findall(r"\bddpt:[\w:]+", "\n".join(rule["expr"] for rule in rules())))
        self.assertLessEqual(used, {rule.get("record") for rule in rules()})

    def test_dashboard(self):
        self.assert_exported(strings(dashboard()))

    def test_autoscalers(self):
        for name in ("prometheus/adapter.yaml", "kubernetes/autoscaling-hpa/autoscaler.yaml", "kubernetes/autoscaling-keda/scaled-object.yaml"):
            with self.subTest(name=name):
                self.assert_exported(strings(yaml.safe_load((DEPLOY / name).read_text())))

    def test_runbook(self):
        self.assert_exported(re.findall(r"`([^`\n]+)`", (DEPLOY / "OPERATIONS.md").read_text()))


class RunbookTest(unittest.TestCase):
    def test_has_a_section_for_each_alert(self):
        sections = re.findall(r"^### (Ddpt\w+)$", (DEPLOY / "OPERATIONS.md").read_text(), re.MULTILINE)
        self.assertEqual(sections, [rule["alert"] for rule in rules() if "alert" in rule])

    def test_each_alert_is_tested(self):
        tests = yaml.safe_load((ROOT / "tests/deploy/rules_test.yaml").read_text())["tests"]
        fired = {alert["alertname"] for test in tests for alert in test.get("alert_rule_test", []) if alert["exp_alerts"]}
        self.assertEqual(fired, {rule["alert"] for rule in rules() if "alert" in rule})


class DashboardTest(unittest.TestCase):
    def test_panels_are_told_apart_and_stand_apart(self):
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        cells = [(x, y) for panel in panels for at in [panel["gridPos"]]
                 for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        self.assertEqual(len(set(cells)), len(cells))


@unittest.skipUnless(PROMTOOL, "there is no promtool (Debian: prometheus)")
class PromtoolTest(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_accepts_the_rules(self):
        self.promtool("check", "rules", RULES)

    def test_accepts_the_configuration(self):
        self.promtool("check", "config", DEPLOY / "prometheus/prometheus.yaml")

    def test_alerts_fire_and_keep_quiet(self):
        self.promtool("test", "rules", ROOT / "tests/deploy/rules_test.yaml")

    def test_accepts_the_expressions_of_dashboard_and_autoscaler(self):
        expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
        expressions = [expr.replace("$__rate_interval", "5m").replace("$instance", ".*") for expr in expressions]
        scaled = yaml.safe_load((DEPLOY / "kubernetes/autoscaling-keda/scaled-object.yaml").read_text())
        expressions += [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "all", "rules": [{"record": f"a:{i}", "expr": expr} for i, expr in enumerate(expressions)]}]}, file)
            file.flush()
            self.promtool("check", "rules", file.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
