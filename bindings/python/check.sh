#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment and runs the tests: `bash bindings/python/check.sh`.
# `--torch` installs PyTorch into an environment below `target`, once, and its tests run from then on.
set -euo pipefail
cd "$(dirname "$0")"

python=${TERCET_PYTHON:-python3}
target=${CARGO_TARGET_DIR:-$PWD/../../target}
export CARGO_TARGET_DIR=$target
tools=$target/tools/python-build
tests=$target/tools/python-tests
torch=$target/tools/python-torch
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

# The PyTorch level.
if [ "${1:-}" = --torch ] && [ ! -e "$torch/installed" ]; then
    "$python" -m venv --clear "$torch"
    "$python" tests/torch/install_torch.py "$torch"
    touch "$torch/installed"
fi
if [ -e "$torch/installed" ]; then
    "$torch/bin/pip" install --quiet --force-reinstall --no-deps "$wheel"
    (cd "$folder" && "$torch/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$here" "$here/tests/torch")
else
    echo "PyTorch is not installed here: its tests are left out; --torch installs it"
fi
