"""docker/ says the same as the files that it goes with."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
COMPOSE = {path.name: yaml.safe_load(path.read_text())["services"] for path in (ROOT / "docker").glob("compose*.yaml")}
SERVERS = [service for services in COMPOSE.values() for name, service in services.items() if name.startswith("ddpt")]


class ImageTest(unittest.TestCase):
    def test_compose_runs_this_version(self):
        version = re.search(r"project\(ddpt VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual([server["image"] for server in SERVERS], 4 * [f"ddpt:{version}"])

    def test_the_dockerfile_is_clean(self):
        subprocess.run([pathlib.Path(sys.executable).with_name("hadolint"), ROOT / "docker/Dockerfile"], check=True)

    def test_plain_text_stays_on_the_host(self):
        for server in SERVERS:
            self.assertEqual(server["environment"]["DDPT_ALLOW_INSECURE"], "true")
        ports = [port for services in COMPOSE.values() for service in services.values() for port in service.get("ports", [])]
        self.assertEqual([port for port in ports if not port.startswith("127.0.0.1:")], [])
        self.assertNotIn("DDPT_ALLOW_INSECURE", DOCKERFILE)

    def test_the_bill_of_materials_names_each_package(self):
        lines = f"libstdc++6 1:12.2.0-14 deb/debian\ntorch 2.11.0 pypi {'a' * 64}\n"
        made = json.loads(subprocess.run([ROOT / "docker/sbom", "ddpt", "0.1.0"], input=lines, capture_output=True, text=True, check=True).stdout)
        whole, library, torch = made["packages"]
        self.assertEqual((made["spdxVersion"], whole["name"], whole["versionInfo"]), ("SPDX-2.3", "ddpt", "0.1.0"))
        self.assertEqual(library["externalRefs"][0]["referenceLocator"], "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14")
        self.assertEqual(torch["checksums"], [{"algorithm": "SHA256", "checksumValue": "a" * 64}])
        contained = [relation["relatedSpdxElement"] for relation in made["relationships"] if relation["relationshipType"] == "CONTAINS"]
        self.assertEqual(contained, [library["SPDXID"], torch["SPDXID"]])

    def test_licences_of_what_is_built_in_come_along(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "release").mkdir()
            for path in ("tree-sitter/tree-sitter-c/LICENSE", "libtorch/torch-2.11.0.dist-info/licenses/LICENSE"):
                (root / path).parent.mkdir(parents=True)
                (root / path).write_text(path)
            subprocess.run([ROOT / "docker/licenses", root / "release", root / "licenses"], check=True)
            made = {str(file.relative_to(root / "licenses")) for file in (root / "licenses").rglob("*") if file.is_file()}
            self.assertEqual(made, {"libcli11-dev/copyright", "nlohmann-json3-dev/copyright", "tree-sitter-c/LICENSE", "torch/LICENSE"})
        self.assertIn("/licenses\"", (ROOT / "docker/install").read_text())

    def test_mounted_files_are_there(self):
        for file, services in COMPOSE.items():
            for name, service in services.items():
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    self.assertTrue(not source.startswith(".") or (ROOT / "docker" / source).exists(), f"{file}, {name}: {source}")

    def test_fetch_model_has_the_client_that_it_asks_for(self):
        client = re.search(r'^CLIENT = "(.*)"', (ROOT / "deploy/fetch-model").read_text(), re.MULTILINE).group(1)
        self.assertEqual(re.findall(r"huggingface_hub==(\S+)", DOCKERFILE), [client])

    def test_runs_as_the_user_of_the_manifests(self):
        pod = yaml.safe_load((ROOT / "deploy/kubernetes/base/statefulset.yaml").read_text())["spec"]["template"]["spec"]
        user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
        self.assertEqual(set(re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)), {f"{user}:{group}"})

    def test_the_cuda_runtime_is_the_one_of_libtorch(self):
        pinned = {line for line in (ROOT / "core/libtorch-requirements.txt").read_text().splitlines() if line.startswith("nvidia-cuda-runtime==")}
        self.assertLessEqual(pinned, set((ROOT / "docker/cuda-toolkit.txt").read_text().splitlines()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
