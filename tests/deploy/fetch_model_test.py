"""deploy/fetch-model against a hub on this machine that answers as the real one does: model info with blobs, resolve with a redirect of LFS files
to another host, ranges. The client's packages come from tests/requirements.txt."""
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

SCRIPT = pathlib.Path(__file__).parents[2] / "deploy/fetch-model"
REPOSITORY = "owner/tiny"
MAIN, NEXT = "a" * 40, "b" * 40
TEXTS = {"config.json": b'{"model_type": "t5"}', "vocab.json": b'{"a": 0}', "merges.txt": b"#version: 0.2\n", "tokenizer_config.json": b"{}"}
OTHERS = {"README.md": b"# tiny", "modeling_codet5p.py": b"raise SystemExit", ".gitattributes": b"", "onnx/config.json": b"{}"}
# The client hands on 10 MiB at a time: this much is in the file when a connection breaks in the second piece.
PIECE = 10 << 20
WEIGHTS = random.Random(1).randbytes(PIECE + (4 << 20))


class Hub:
    """Repositories by commit, what was asked for, and the faults to make."""

    def __init__(self):
        self.revisions, self.commits = {"main": MAIN}, {}
        self.lfs_endings = (".safetensors", ".bin")
        self.untrue = {}  # NAME: bytes that are sent in place of the file's
        self.cuts = {}  # NAME: how the next answers end, each ("close" or "reset", after how many bytes) or a status
        self.requests = []
        self.forge = lambda info: None  # changes what is told of a revision
        self.after_info = lambda: None
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler(role)) for role in ("hub", "store")]
        self.endpoint, self.store = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def info(self, commit):
        siblings = []
        for name, content in self.commits[commit].items():
            sibling = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
            if name.endswith(self.lfs_endings):
                sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {"_id": "1", "id": REPOSITORY, "modelId": REPOSITORY, "sha": commit, "siblings": siblings}

    def asked(self, name):
        """The Range of each request for the bytes of a file, None without one."""
        return [headers.get("Range") for _, role, path, headers in self.requests
                if path.endswith("/" + name) and role == ("store" if name.endswith(self.lfs_endings) else "hub")]

    def handler(hub, role):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                hub.requests.append((self.command, role, url.path, self.headers))
                parts = url.path.strip("/").split("/")
                if parts[:2] == ["api", "models"]:
                    self.send_info(parts[2:], urllib.parse.parse_qs(url.query))
                else:
                    self.send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

            def send_info(self, parts, query):
                if "/".join(parts[:2]) != REPOSITORY:
                    return self.refuse(401, "RepoNotFound", "Invalid username or password.")
                revision = urllib.parse.unquote(parts[3]) if len(parts) > 2 else "main"
                commit = hub.revisions.get(revision, revision)
                if commit not in hub.commits:
                    return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                info = hub.info(commit)
                if "blobs" not in query:
                    info["siblings"] = [{"rfilename": sibling["rfilename"]} for sibling in info["siblings"]]
                hub.forge(info)
                self.answer(200, {"Content-Type": "application/json"}, json.dumps(info).encode())
                hub.after_info()

            def send_file(self, repository, revision, name):
                commit = hub.revisions.get(revision, revision)
                content = hub.commits.get(commit, {}).get(name)
                if repository != REPOSITORY or content is None:
                    return self.refuse(404, "EntryNotFound", "Entry not found")
                headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
                if name.endswith(hub.lfs_endings) and role == "hub":
                    headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha256(content)}"', "Location": hub.store + self.path}
                    return self.answer(302, headers, b"")
                content = hub.untrue.get(name, content)
                headers["ETag"] = f'"{git_blob(content)}"'
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if asked:
                    begin = int(asked[1])
                    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                    content = content[begin:]
                fault = hub.cuts[name].pop(0) if hub.cuts.get(name) else None
                if isinstance(fault, int):
                    return self.refuse(fault, "", "refused")
                self.answer(206 if asked else 200, headers, content, fault)

            def refuse(self, status, code, message):
                self.answer(status, {"X-Error-Code": code, "X-Error-Message": message}, json.dumps({"error": message}).encode())

            def answer(self, status, headers, content, fault=None):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if not fault:
                    self.wfile.write(content)
                    return
                how, size = fault
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
                self.wfile.write(content[:size])
                self.wfile.flush()
                if how == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.rfile.close()
                    self.connection.close()
                self.close_connection = True

        return Handler


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class FetchModelTest(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.output = self.folder / "model"
        (self.folder / "home").mkdir()

    def offer(self, files, commit=MAIN):
        self.hub.commits[commit] = TEXTS | OTHERS | files

    def fetch(self, *arguments, python=(), **environment):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "HF_ENDPOINT": self.hub.endpoint, **environment}
        return subprocess.run([sys.executable, *python, SCRIPT, *(arguments or (REPOSITORY, "--output", self.output))], env=environment,
                              cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def fetch_well(self, *arguments, **environment):
        done = self.fetch(*arguments, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def assert_fails(self, done, *patterns):
        """Fails with one line that has the patterns as its last."""
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.stdout, "")
        for pattern in patterns:
            self.assertRegex(done.stderr.splitlines()[-1], pattern)

    def contents(self):
        return {path.name: path.read_bytes() for path in self.output.iterdir() if path.is_file() and path.name != "fetched.json"}

    def record(self):
        return json.loads((self.output / "fetched.json").read_text())

    def test_fetches_what_the_server_reads_with_safetensors_for_weights(self):
        self.offer({"model.safetensors": b"weights", "pytorch_model.bin": b"the same weights", "model.safetensors.index.json": b"{}"})
        self.fetch_well()
        self.assertEqual(self.contents(), TEXTS | {"model.safetensors": b"weights"})

    def test_fetches_bin_where_there_is_no_safetensors(self):
        self.offer({"pytorch_model.bin": b"weights", "pytorch_model.bin.index.json": b"{}"})
        self.fetch_well()
        self.assertEqual(self.contents(), TEXTS | {"pytorch_model.bin": b"weights"})

    def test_fetches_the_shards_that_the_index_names(self):
        shards = {f"pytorch_model-0000{i}-of-00002.bin": b"shard %d" % i for i in (1, 2)}
        index = json.dumps({"weight_map": {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin",
                                           "c": "pytorch_model-00001-of-00002.bin"}}).encode()
        model = {"pytorch_model.bin.index.json": index, **shards}
        self.offer(model | {"pytorch_model-00003-of-00003.bin": b"of another split"})
        self.fetch_well()
        self.assertEqual(self.contents(), TEXTS | model)

    def test_refuses_a_shard_outside_the_directory(self):
        self.offer({"model.safetensors.index.json": b'{"weight_map": {"a": "../x.safetensors"}}'})
        self.assert_fails(self.fetch(), "index.json: '../x.safetensors' is not the name of a .safetensors file")

    def test_names_a_shard_that_the_repository_lacks(self):
        self.offer({"model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors"}}'})
        self.assert_fails(self.fetch(), "names model-1.safetensors, which the repository lacks")

    def test_refuses_a_digest_that_is_none(self):
        self.offer({"model.safetensors": b"weights"})
        self.hub.forge = lambda info: info["siblings"][-1]["lfs"].update(sha256="/../../outside")
        self.assert_fails(self.fetch(), "model.safetensors: the hub tells no size, or no digest that is one")

    def test_refuses_a_commit_that_is_none(self):
        self.offer({"model.safetensors": b"weights"})
        self.hub.forge = lambda info: info.update(sha="../../outside")
        self.assert_fails(self.fetch(), "the hub tells no commit")

    def test_refuses_a_repository_without_a_configuration(self):
        self.hub.commits[MAIN] = {"model.safetensors": b"weights"}
        self.assert_fails(self.fetch(), f"{REPOSITORY}: has no config.json")

    def test_refuses_a_repository_without_weights(self):
        self.offer({})
        self.assert_fails(self.fetch(), f"{REPOSITORY}: has no weights")

    def test_records_commit_sizes_and_digests(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        files = {name: {"size": len(content), "git_blob": git_blob(content)} for name, content in TEXTS.items()}
        files["model.safetensors"] = {"size": 7, "sha256": sha256(b"weights")}
        self.assertEqual(self.record(), {"repository": REPOSITORY, "revision": "main", "commit": MAIN, "files": files})

    def test_reports_as_json(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        (self.output / "vocab.json").unlink()
        report = json.loads(self.fetch_well(REPOSITORY, "--output", self.output, "--json").stdout)
        self.assertEqual(report, {"directory": str(self.output), **self.record(), "fetched": ["vocab.json"]})

    def test_keeps_to_the_commit_though_the_branch_moves(self):
        self.offer({"model.safetensors": b"weights"})
        self.offer({"model.safetensors": b"other weights"}, NEXT)
        self.hub.after_info = lambda: self.hub.revisions.update(main=NEXT)
        self.fetch_well()
        self.assertEqual(self.contents()["model.safetensors"], b"weights")
        self.assertEqual(self.record()["commit"], MAIN)

    def test_takes_a_revision(self):
        self.offer({"model.safetensors": b"weights"})
        self.offer({"model.safetensors": b"other weights"}, NEXT)
        self.hub.revisions["pr/1"] = NEXT
        self.fetch_well(REPOSITORY, "--output", self.output, "--revision", "pr/1")
        self.assertEqual(self.contents()["model.safetensors"], b"other weights")
        self.assertEqual(self.record()["commit"], NEXT)

    def test_goes_on_where_the_connection_was_closed(self):
        self.offer({"model.safetensors": WEIGHTS})
        self.hub.cuts["model.safetensors"] = [("close", PIECE + 1000)]
        self.fetch_well()
        self.assertEqual(self.hub.asked("model.safetensors"), [None, f"bytes={PIECE}-"])
        self.assertEqual(self.contents()["model.safetensors"], WEIGHTS)

    def test_goes_on_where_the_connection_was_reset(self):
        self.offer({"model.safetensors": WEIGHTS})
        # A reset loses what is still on its way, which is less than the second piece.
        self.hub.cuts["model.safetensors"] = [("reset", len(WEIGHTS) - 1)]
        self.fetch_well()
        self.assertEqual(self.hub.asked("model.safetensors"), [None, f"bytes={PIECE}-"])
        self.assertEqual(self.contents()["model.safetensors"], WEIGHTS)

    def test_goes_on_with_what_an_earlier_run_left(self):
        self.offer({"model.safetensors": WEIGHTS})
        self.hub.cuts["model.safetensors"] = [("close", PIECE + 1000), 503]
        self.assert_fails(self.fetch(), "503")
        self.assertFalse((self.output / "fetched.json").exists())
        self.hub.requests.clear()
        self.fetch_well()
        self.assertEqual(self.hub.asked("model.safetensors"), [f"bytes={PIECE}-"])
        self.assertEqual(self.contents()["model.safetensors"], WEIGHTS)
        self.assertEqual([path.name for path in (self.output / ".fetching").iterdir()], ["lock"])

    def test_goes_on_with_nothing_of_another_file(self):
        self.offer({"model.safetensors": WEIGHTS})
        self.hub.cuts["model.safetensors"] = [("close", PIECE + 1000), 503]
        self.assert_fails(self.fetch(), "503")
        self.offer({"model.safetensors": WEIGHTS[::-1]}, NEXT)
        self.hub.revisions["main"] = NEXT
        self.fetch_well()
        self.assertEqual(self.contents()["model.safetensors"], WEIGHTS[::-1])
        self.assertEqual([path.name for path in (self.output / ".fetching").iterdir()], ["lock"])

    def test_asks_for_bytes_that_are_not_compressed(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        encodings = {headers["Accept-Encoding"] for _, _, path, headers in self.hub.requests if "/resolve/" in path}
        self.assertEqual(encodings, {"identity"})

    def test_asks_for_no_bytes_the_second_time(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        self.hub.requests.clear()
        self.fetch_well()
        self.assertEqual([path for _, _, path, _ in self.hub.requests], [f"/api/models/{REPOSITORY}/revision/main"])

    def test_fetches_a_damaged_file_again(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        (self.output / "model.safetensors").write_bytes(b"weighty")
        self.hub.requests.clear()
        self.fetch_well()
        self.assertEqual(self.contents()["model.safetensors"], b"weights")
        self.assertEqual([path for _, role, path, _ in self.hub.requests if role == "store"], [f"/{REPOSITORY}/resolve/{MAIN}/model.safetensors"])

    def test_deletes_a_file_with_a_wrong_sha256(self):
        self.offer({"model.safetensors": b"weights"})
        self.hub.untrue["model.safetensors"] = b"weighty"
        self.assert_fails(self.fetch(), "model.safetensors", sha256(b"weights"), sha256(b"weighty"))
        self.assertEqual(self.contents(), TEXTS)
        self.assertEqual([path.name for path in (self.output / ".fetching").iterdir()], ["lock"])
        self.assertFalse((self.output / "fetched.json").exists())

    def test_deletes_a_file_with_a_wrong_git_blob(self):
        self.offer({"model.safetensors": b"weights"})
        self.hub.untrue["vocab.json"] = b'{"b": 0}'
        self.assert_fails(self.fetch(), "vocab.json", git_blob(TEXTS["vocab.json"]), git_blob(b'{"b": 0}'))
        self.assertNotIn("vocab.json", self.contents())

    def test_recovers_from_an_answer_that_was_too_long(self):
        self.offer({"model.safetensors": b"weights"})
        self.hub.untrue["model.safetensors"] = b"weights and more"
        self.assert_fails(self.fetch(), "should be of size 7 but has size 16")
        self.hub.untrue.clear()
        self.fetch_well()
        self.assertEqual(self.contents()["model.safetensors"], b"weights")

    def test_has_no_record_while_a_file_is_missing(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        (self.output / "model.safetensors").unlink()
        self.hub.cuts["model.safetensors"] = [503]
        self.assert_fails(self.fetch(), "503")
        self.assertFalse((self.output / "fetched.json").exists())

    def test_removes_what_a_new_revision_lacks(self):
        self.offer({"model.safetensors": b"weights", "added_tokens.json": b"{}"})
        self.fetch_well()
        self.offer({"pytorch_model.bin": b"weights"}, NEXT)
        self.hub.revisions["main"] = NEXT
        self.fetch_well()
        self.assertEqual(self.contents(), TEXTS | {"pytorch_model.bin": b"weights"})
        self.assertEqual(self.record()["commit"], NEXT)

    def test_refuses_a_directory_with_a_file_that_is_not_of_the_repository(self):
        self.offer({"pytorch_model.bin": b"weights"})
        self.output.mkdir()
        (self.output / "model.safetensors").write_bytes(b"mine")
        self.assert_fails(self.fetch(), "model.safetensors: is no file of owner/tiny at a{40}; remove it")
        self.assertEqual(self.contents(), {"model.safetensors": b"mine"})

    def test_refuses_a_directory_that_holds_another_repository(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well()
        record = self.output / "fetched.json"
        record.write_text(record.read_text().replace(REPOSITORY, "owner/other"))
        self.assert_fails(self.fetch(), "holds owner/other; choose another directory")

    def test_names_an_unknown_repository_in_one_line(self):
        done = self.fetch("owner/none", "--output", self.output)
        self.assert_fails(done, "^fetch-model: owner/none: no such repository, or it needs another token in HF_TOKEN$")
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_names_an_unknown_revision_in_one_line(self):
        self.offer({"model.safetensors": b"weights"})
        done = self.fetch(REPOSITORY, "--output", self.output, "--revision", "v9")
        self.assert_fails(done, "^fetch-model: owner/tiny: has no revision 'v9'$")
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_names_a_hub_that_does_not_answer_in_one_line(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = self.fetch(HF_ENDPOINT=endpoint)
        self.assert_fails(done, f"^fetch-model: {REPOSITORY} from {endpoint}: .*refused")
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_gives_the_token_to_the_hub_only(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well(HF_TOKEN="hf_secret\n")
        tokens = {role: {headers.get("Authorization") for _, at, _, headers in self.hub.requests if at == role} for role in ("hub", "store")}
        self.assertEqual(tokens, {"hub": {"Bearer hf_secret"}, "store": {None}})

    def test_writes_nothing_outside_the_output(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well(TMPDIR=str(self.folder / "home"))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["home", "model"])
        self.assertEqual(list((self.folder / "home").iterdir()), [])

    def test_names_the_directory_after_the_repository(self):
        self.offer({"model.safetensors": b"weights"})
        self.fetch_well(REPOSITORY)
        self.assertTrue((self.folder / "tiny/fetched.json").exists())

    def test_tells_how_to_install_a_missing_client(self):
        done = self.fetch(python=["-S"])
        self.assert_fails(done, r"needs huggingface_hub [\d.]+: .* -m pip install huggingface_hub==[\d.]+$")

    def test_refuses_another_version_of_the_client(self):
        (self.folder / "huggingface_hub").mkdir()
        (self.folder / "huggingface_hub/__init__.py").write_text('__version__ = "0.1"\n')
        done = self.fetch(PYTHONPATH=str(self.folder))
        self.assert_fails(done, r"found 0\.1: .* -m pip install huggingface_hub==[\d.]+$")

    def test_exits_with_2_on_wrong_usage(self):
        for arguments in (["a/b/c"], [REPOSITORY, "--format", "bin"], ["", "--json"]):
            self.assertEqual(self.fetch(*arguments).returncode, 2)


if __name__ == "__main__":
    unittest.main()
