"""unpack_wheel.py FOLDER WHEEL...: unpacks from PyPI wheels what a C++ program needs to build and run with LibTorch."""
import sys
import zipfile

WANTED = ("torch/include/", "torch/lib/libtorch_cpu.so", "torch/lib/libtorch_cuda", "torch/lib/libtorch.so", "torch/lib/libtorch_nvshmem.so",
          "torch/lib/libc10", "torch/lib/libgomp", "nvidia/cu13/lib/")

folder, *wheels = sys.argv[1:]
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(WANTED)])
