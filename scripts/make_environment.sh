#!/bin/sh
# Makes or renews .venv from one of the hash-pinned locks: `make_environment.sh run|dev`.
# Needs only Python >= 3.11 and pip; where Debian has split ensurepip off into python3-venv,
# the system's own pip fills the environment from outside.
set -eu

lock=$1
python=${PYTHON:-python3}

fail() {
    printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "'$python' was not found" "install Python 3.11 or later, or name it: make PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "install Python 3.11 or later, or name it: make PYTHON=python3.12"

if [ ! -x .venv/bin/python ]; then
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip .venv
    else
        fail "this Python has neither ensurepip nor pip" \
            "on Debian and Ubuntu: apt-get install python3-venv; elsewhere install pip for $python"
    fi
fi

install() {
    if .venv/bin/python -c 'import pip' 2>/dev/null; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
    else
        "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check "$@"
    fi || fail "pip could not install requirements/$lock.txt into .venv" \
        "read pip's message above; when it blames the network, run the same command again"
}

echo "Making .venv from requirements/$lock.txt (about a minute the first time)"
install --require-hashes -r "requirements/$lock.txt"
install --no-deps --no-build-isolation -e .
