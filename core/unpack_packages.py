"""unpack_packages.py FOLDER PACKAGE...: unpacks from PyPI's wheels and source distributions what a C++ program builds and runs with, and licences."""
import pathlib
import re
import sys
import tarfile
import zipfile

# Of LibTorch's wheels.
WANTED = ("torch/include/", "torch/lib/libtorch_cpu.so", "torch/lib/libtorch_cuda", "torch/lib/libtorch.so", "torch/lib/libtorch_nvshmem.so",
          "torch/lib/libc10", "torch/lib/libgomp", "nvidia/cu13/lib/")
LICENSES = re.compile(r"\.dist-info/licenses/.")
# Of tree-sitter's source distributions, below the folder with the name and the version.
SOURCES = re.compile(r"(src|tree_sitter/core/lib)/.*\.[ch]$|LICENSE$")


def unpack_wheel(path, folder):
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(WANTED) or LICENSES.search(name)])


def unpack_sources(path, folder):
    """Into a folder named like the package, without its version."""
    package = re.match(r"(.*)-[\d.]+\.tar\.gz$", path.name)[1].replace("_", "-")
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if member.isfile() and SOURCES.match(name):
                target = folder / package / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())


target_folder, *packages = map(pathlib.Path, sys.argv[1:])
for package_path in packages:
    (unpack_wheel if package_path.suffix == ".whl" else unpack_sources)(package_path, target_folder)
