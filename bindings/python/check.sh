#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment and runs the tests: `bash bindings/python/check.sh`.
# The tests of the PyTorch level run where PyTorch is installed, or where TERCET_PYTHON_TORCH names an
# environment that has it.
set -euo pipefail
cd "$(dirname "$0")"

python=${TERCET_PYTHON:-python3}
target=${CARGO_TARGET_DIR:-$PWD/../../target}
export CARGO_TARGET_DIR=$target
tools=$target/tools/python-build
tests=$target/tools/python-tests
features=${TERCET_PYTHON_FEATURES:-full} # `core` builds in a minute, without networks and the command

"$python" -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or later is needed"'

# Tools that build the wheel.
[ -x "$tools/bin/maturin" ] || {
    "$python" -m venv "$tools"
    "$tools/bin/pip" install --quiet 'maturin>=1.9,<2'
}
cargo fmt --check
cargo clippy --release --features "$features" -- -D warnings
rm -rf "$target/wheels/python"
"$tools/bin/maturin" build --release --locked --features "$features" --out "$target/wheels/python"
wheel=$(echo "$target"/wheels/python/tercet-*.whl)
echo "wheel: $(stat -c %s "$wheel" | awk '{ printf "%.1f MB", $1 / 1e6 }')"

# A fresh environment, without Rust on the path, outside the sources.
"$python" -m venv --clear "$tests"
"$tests/bin/pip" install --quiet "$wheel[test]"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
here=$PWD
(
    cd "$folder"
    export PATH=$tests/bin:/usr/bin:/bin
    command -v cargo >/dev/null && export PATH=$tests/bin
    python -m pytest -q -p no:cacheprovider --rootdir "$here" --import-mode importlib \
        --ignore "$here/tests/torch" "$here/tests"
)

# PyTorch: in the environment that is named, or in this one if the caller has installed it there.
torch=${TERCET_PYTHON_TORCH:-}
if [ -n "$torch" ]; then
    "$torch/bin/pip" install --quiet --force-reinstall --no-deps "$wheel"
    (cd "$folder" && "$torch/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$here" "$here/tests/torch")
elif "$python" -c 'import torch' 2>/dev/null; then
    "$python" -m venv --system-site-packages "$folder/torch"
    "$folder/torch/bin/pip" install --quiet --force-reinstall --no-deps "$wheel"
    "$folder/torch/bin/pip" install --quiet pytest
    (cd "$folder" && torch/bin/python -m pytest -q -p no:cacheprovider --rootdir "$here" "$here/tests/torch")
else
    echo "PyTorch is not installed: its tests are left out"
fi
