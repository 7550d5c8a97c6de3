#!/bin/sh
# Installs the Debian packages that only the tests need. Rota itself needs none of them.
# Does nothing when all are present. Starts no service and makes no database cluster: the
# tests start their own servers, in directories of their own.
set -eu

server_bin=/usr/lib/postgresql/15/bin
PATH=$PATH:/usr/sbin:/sbin

missing=""
need() { # package, why
    missing="$missing $1"
    printf 'missing: %-15s %s\n' "$1" "$2"
}

[ -x "$server_bin/initdb" ] ||
    need postgresql-15 "the oldest PostgreSQL that Rota promises to work on; the embedded one is newer"
command -v chromium >/dev/null 2>&1 ||
    need chromium "the browser in which the dashboard is tested"
command -v pgbouncer >/dev/null 2>&1 ||
    need pgbouncer "the pooler in transaction mode behind which Rota promises to work"

[ -n "$missing" ] || exit 0

fail() {
    printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 ||
    fail "this is not a Debian machine, so these cannot be installed here:$missing" \
        "install them by hand so that $server_bin/initdb, chromium and pgbouncer exist, or run the tests in a debian:12 container"

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
        fail "installing needs root, and there is no sudo" "as root: apt-get install --no-install-recommends$missing"
    as_root=sudo
fi

# Both files are Debian's own switches, put there for this installation only.
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/rota-tests.conf
restore() {
    $as_root rm -f "$no_cluster" "${log:-}"
    [ -z "${policy_is_ours:-}" ] || $as_root rm -f "$policy"
}
trap restore EXIT
trap 'exit 130' INT TERM

if [ ! -e "$policy" ]; then
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
$as_root mkdir -p "$(dirname "$no_cluster")"
echo "create_main_cluster = false" | $as_root tee "$no_cluster" >/dev/null

# apt is talkative; what it says matters only when it fails.
log=$(mktemp)
quietly() {
    "$@" </dev/null >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}

echo "installing with apt-get (a minute or two):$missing"
quietly $as_root apt-get update ||
    fail "apt-get update failed" "read its message above; check the network and the sources of apt"
for package in $missing; do
    apt-cache show "$package" >/dev/null 2>&1 ||
        fail "this release of the system has no package $package" \
            "run the tests on Debian 12 (a debian:12 container will do), or add a source of apt that has it"
done
# shellcheck disable=SC2086  # the list is meant to be split
quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing ||
    fail "apt-get could not install:$missing" "read its message above"
