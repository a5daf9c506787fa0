"""Installs PyTorch without the CUDA libraries, and what the tests of this folder need:
`install_torch.py VENV`.

PyPI serves no CPU-only build of PyTorch for Linux on x86-64. The smallest set that imports is the wheel
itself (540 MB, 1.2 GB unpacked) and `nvidia-cuda-runtime` (2.5 MB); the other libraries that the wheel
depends on (cuBLAS, cuDNN, NCCL, Triton, …) are about 2.5 GB more. The dynamic linker insists on the names
of those libraries and their symbols, but nothing calls them as long as no CUDA tensor exists. So this
script compiles one small library per name, and all missing symbols into the first of them; a call of
one aborts the process. `torch.cuda.is_available()` asks the real runtime and answers False.

Needs `cc` and `nm`. It is meant for tests: a machine with a GPU needs the ordinary installation.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

TORCH = "torch==2.15.0"
# What `import torch` needs besides the CUDA libraries; all are pure Python or small.
NEEDED = ["filelock", "typing-extensions>=4.13", "sympy>=1.13.3", "networkx", "jinja2", "fsspec",
          "setuptools>=77,<82", "numpy"]
CUDA = re.compile(r"lib(?:cu|nv|nccl)\w*\.so\.\d+")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(library, defined):
    """Names of the dynamic symbols of a library, without their versions."""
    lines = run("nm", "-D", "--defined-only" if defined else "--undefined-only", str(library)).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if defined or line.split()[0] != "w"}


def needed(library):
    """The shared libraries that a library names."""
    return re.findall(r"NEEDED\)\s+Shared library: \[(.+?)\]", run("readelf", "-d", str(library)))


def install(venv):
    python, here = venv / "bin" / "python", pathlib.Path(__file__).parent
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    run(*pip, "--no-deps", TORCH, "nvidia-cuda-runtime>=13,<14")
    run(*pip, *NEEDED, "--requirement", str(here / "requirements.txt"))
    run(*pip, "--no-deps", "--requirement", str(here / "requirements-no-deps.txt"))
    packages = pathlib.Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    folder = packages / "torch" / "lib"
    libraries = sorted(folder.glob("libtorch*.so")) + sorted(folder.glob("libc10*.so"))
    names = sorted({name for library in libraries for name in needed(library) if CUDA.fullmatch(name)})
    names = [name for name in names if not name.startswith("libcudart") and not (folder / name).exists()]
    if not names:
        return
    runtime = next(packages.glob("nvidia/*/lib/libcudart.so.*"))
    linked = {line.split("=>")[1].split()[0] for line in run("ldd", str(folder / "libtorch_cpu.so")).splitlines()
              if "=> /" in line}
    present = set().union(*(symbols(library, True) for library in [*libraries, runtime, *sorted(linked)]))
    wanted = set().union(*(symbols(library, False) for library in libraries)) - present
    # Symbols of Python and of the C libraries resolve elsewhere; CUDA's names start with these words.
    wanted = {name for name in wanted if re.match(r"_?(cu|nv|nccl|pnccl)", name)}
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch) / "stub.c"
        for place, name in enumerate(names):
            bodies = "".join(f"void {symbol}(void) {{ abort(); }}\n" for symbol in sorted(wanted)) if place == 0 else ""
            source.write_text(f"#include <stdlib.h>\n{bodies}")
            run("cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source))
    print(f"{TORCH}: {len(names)} CUDA libraries replaced by {len(wanted)} symbols")


if __name__ == "__main__":
    install(pathlib.Path(sys.argv[1]).absolute())
