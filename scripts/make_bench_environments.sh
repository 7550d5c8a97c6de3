#!/bin/sh
# Makes .bench-venv/NAME from requirements/bench*.txt: the peers that `make bench` measures Rota against.
# They are apart from .venv, because they and Rota must not choose versions for one another.
set -eu

make_one() {
    directory=.bench-venv/$1
    [ -x "$directory/bin/python" ] || .venv/bin/python -m venv --without-pip "$directory"
    .venv/bin/python -m pip --python "$directory/bin/python" install --quiet --disable-pip-version-check \
        --require-hashes -r "requirements/$2.txt" || {
        printf 'error: pip could not install requirements/%s.txt\nremedy: %s\n' "$2" \
            "read pip's message above; when it blames the network, run the same command again" >&2
        exit 1
    }
}

echo "Making .bench-venv from requirements/bench*.txt (less than a minute, the first time)"
make_one peers bench
make_one apscheduler4 bench-apscheduler4
