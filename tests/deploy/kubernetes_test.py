"""deploy/kubernetes: every folder renders, and what it renders fits together and fits the server. KUBECTL names the program that renders; without
one only the sources are looked at."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]
SERVERS = ("base", "fetched-model", "overlays/cpu", "overlays/fleet", "overlays/gpu", "overlays/tls")
FOLDERS = SERVERS + ("autoscaling-hpa", "autoscaling-keda", "monitoring")
KUBECTL = shutil.which(os.environ.get("KUBECTL", "kubectl"))
# server.cc: for work that was told to stop, and for last answers.
STOP_SECONDS = 10 + 1
RESERVE_SECONDS = 10


def project_version():
    return re.search(r"project\(ddpt VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def settings():
    """The variables that the server reads."""
    names = re.findall(r'^ +(?:(?:Text|OneOf|Address|Number|Duration|Switch)\(|\{)"([a-z-]+)"', (ROOT / "server/config.cc").read_text(), re.MULTILINE)
    return {"DDPT_" + name.upper().replace("-", "_") for name in names}


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def render(folder):
    done = subprocess.run([KUBECTL, "kustomize", ROOT / "deploy/kubernetes" / folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{folder}: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


class SourcesTest(unittest.TestCase):
    def test_no_other_folder(self):
        kubernetes = ROOT / "deploy/kubernetes"
        found = {str(path.parent.relative_to(kubernetes)) for path in kubernetes.rglob("kustomization.yaml")}
        self.assertEqual(found, set(FOLDERS))

    def test_every_file_is_yaml_of_a_kustomization(self):
        for path in (ROOT / "deploy/kubernetes").rglob("*.yaml"):
            with self.subTest(path=path):
                listed = yaml.safe_load((path.parent / "kustomization.yaml").read_text())
                self.assertTrue(list(yaml.safe_load_all(path.read_text())))
                if path.name != "kustomization.yaml":
                    self.assertIn(path.name, listed.get("resources", []) + listed.get("patchesStrategicMerge", []))

    def test_only_fields_of_old_and_new_kustomize(self):
        known = {"apiVersion", "kind", "bases", "resources", "patchesStrategicMerge", "configMapGenerator", "images"}
        for path in (ROOT / "deploy/kubernetes").rglob("kustomization.yaml"):
            self.assertLessEqual(set(yaml.safe_load(path.read_text())), known, path)


@unittest.skipUnless(KUBECTL, "there is no kubectl")
class RenderedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rendered = {folder: render(folder) for folder in FOLDERS}

    def one(self, folder, kind):
        found, = (item for item in self.rendered[folder] if item["kind"] == kind)
        return found

    def each_server(self):
        for folder in SERVERS:
            spec = self.one(folder, "StatefulSet")["spec"]
            pod = spec["template"]["spec"]
            server, = pod["containers"]
            yield folder, spec, pod, server

    def containers(self, pod):
        return pod["containers"] + pod.get("initContainers", [])

    def test_settings_are_the_servers(self):
        for folder, _, _, server in self.each_server():
            given = set(self.one(folder, "ConfigMap")["data"]) | {variable["name"] for variable in server["env"]}
            self.assertLessEqual({name for name in given if name.startswith("DDPT_")}, settings())

    def test_containers_read_the_generated_settings(self):
        for folder, _, pod, _ in self.each_server():
            name = self.one(folder, "ConfigMap")["metadata"]["name"]
            self.assertRegex(name, "^ddpt-[a-z0-9]+$")
            for container in self.containers(pod):
                self.assertEqual(container["envFrom"], [{"configMapRef": {"name": name}}])

    def test_a_port_is_encrypted_or_plain_on_purpose(self):
        for folder, _, _, _ in self.each_server():
            given = self.one(folder, "ConfigMap")["data"]
            self.assertEqual(given["DDPT_ALLOW_INSECURE"], "false" if "DDPT_TLS_KEY" in given else "true")

    def test_named_files_are_mounted(self):
        given = self.one("overlays/tls", "ConfigMap")["data"]
        pod = self.one("overlays/tls", "StatefulSet")["spec"]["template"]["spec"]
        mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        for name in ("DDPT_TLS_CERT", "DDPT_TLS_KEY", "DDPT_TOKENS"):
            self.assertIn(str(pathlib.PurePath(given[name]).parent), mounts)

    def test_grace_period_covers_a_whole_drain(self):
        for folder, _, pod, server in self.each_server():
            pause = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
            drain = seconds(self.one(folder, "ConfigMap")["data"]["DDPT_DRAIN_TIMEOUT"])
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], pause + drain + STOP_SECONDS + RESERVE_SECONDS)

    def test_probes_ask_what_the_metrics_port_answers(self):
        for _, _, _, server in self.each_server():
            paths = {name: server[name + "Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
            self.assertEqual({paths["startup"], paths["readiness"]}, {"/readyz"})
            self.assertIn(paths["liveness"], ("/healthz", "/readyz"))
            self.assertEqual({server[name + "Probe"]["httpGet"]["port"] for name in paths}, {"metrics"})

    def test_nothing_runs_with_rights(self):
        for _, _, pod, _ in self.each_server():
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse(pod["automountServiceAccountToken"])
            for container in self.containers(pod):
                self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                                "capabilities": {"drop": ["ALL"]}})
                self.assertLessEqual({"cpu", "memory"}, set(container["resources"]["limits"]))

    def test_images_are_this_version_of_no_registry(self):
        for folder, _, pod, server in self.each_server():
            self.assertEqual(server["image"], f"ddpt:{project_version()}" + ("-cuda" if folder.endswith("gpu") else ""))
            for container in pod.get("initContainers", []):
                self.assertEqual(container["image"], f"ddpt-fetch-model:{project_version()}")

    def test_every_volume_is_claimed(self):
        for _, spec, pod, _ in self.each_server():
            claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
            claims |= {volume["name"] for volume in pod.get("volumes", [])}
            mounted = {mount["name"] for container in self.containers(pod) for mount in container["volumeMounts"]}
            self.assertEqual(claims, mounted)

    def test_services_find_the_servers(self):
        for folder, spec, _, server in self.each_server():
            services = {item["metadata"]["name"]: item["spec"] for item in self.rendered[folder] if item["kind"] == "Service"}
            self.assertEqual(services[spec["serviceName"]]["clusterIP"], "None")
            ports = {port["name"]: port["containerPort"] for port in server["ports"]}
            for service in services.values():
                self.assertEqual(service["selector"], spec["template"]["metadata"]["labels"])
                self.assertEqual({port["targetPort"]: port["port"] for port in service["ports"]}.items() & ports.items(),
                                 {(port["targetPort"], port["port"]) for port in service["ports"]})

    def test_policies_and_budget_select_the_servers(self):
        for folder, spec, _, _ in self.each_server():
            budget = self.one(folder, "PodDisruptionBudget")["spec"]
            self.assertEqual(budget["selector"], spec["selector"])
            for item in self.rendered[folder]:
                if item["kind"] == "NetworkPolicy":
                    self.assertEqual(item["spec"]["podSelector"], spec["selector"])

    def test_the_fleet_shares_a_database_that_it_may_reach(self):
        fleet = self.one("overlays/fleet", "StatefulSet")["spec"]
        self.assertGreater(fleet["replicas"], self.one("overlays/fleet", "PodDisruptionBudget")["spec"]["maxUnavailable"])
        variables = {variable["name"]: variable for variable in fleet["template"]["spec"]["containers"][0]["env"]}
        self.assertIn("secretKeyRef", variables["DDPT_DATABASE"]["valueFrom"])
        ports = {port["port"] for item in self.rendered["overlays/fleet"] if item["kind"] == "NetworkPolicy"
                 for rule in item["spec"].get("egress", []) for port in rule["ports"]}
        self.assertLessEqual({53, 5432}, ports)

    def test_autoscalers_scale_the_servers(self):
        stateful_set = self.one("base", "StatefulSet")
        target = {"apiVersion": stateful_set["apiVersion"], "kind": stateful_set["kind"], "name": stateful_set["metadata"]["name"]}
        self.assertEqual(self.one("autoscaling-hpa", "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"], target)
        self.assertEqual(self.one("autoscaling-keda", "ScaledObject")["spec"]["scaleTargetRef"], target)
        self.assertNotIn("replicas", stateful_set["spec"])

    def test_the_monitor_finds_the_metrics(self):
        monitor = self.one("monitoring", "ServiceMonitor")["spec"]
        service, = (item for item in self.rendered["base"] if item["kind"] == "Service"
                    and monitor["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items())
        self.assertIn(monitor["endpoints"][0]["port"], [port["name"] for port in service["spec"]["ports"]])
        self.assertEqual(service["metadata"]["labels"][monitor["jobLabel"]], "ddpt")


if __name__ == "__main__":
    unittest.main(verbosity=2)
