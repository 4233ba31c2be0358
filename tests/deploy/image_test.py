"""docker/ says the same as the files that it goes with."""
import json
import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()


class ImageTest(unittest.TestCase):
    def test_compose_runs_this_version(self):
        version = re.search(r"project\(ddpt VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
        compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
        self.assertEqual(compose["services"]["ddpt"]["image"], f"ddpt:{version}")

    def test_plain_text_stays_on_the_host(self):
        server = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]["ddpt"]
        self.assertEqual(server["environment"]["DDPT_ALLOW_INSECURE"], "true")
        self.assertTrue(all(port.startswith("127.0.0.1:") for port in server["ports"]))
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

    def test_mounted_files_are_there(self):
        for name, service in yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"].items():
            for volume in service["volumes"]:
                source = volume.split(":")[0]
                self.assertTrue(not source.startswith(".") or (ROOT / "docker" / source).exists(), f"{name}: {source}")

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
