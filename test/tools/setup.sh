#!/usr/bin/env bash
# Installs what building and testing need on Debian or Ubuntu: setup.sh [more packages ...]
set -euo pipefail

# Nothing is looked up online while a server is there: a second run has to cost nothing.
server_major() {
    local have
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'postgresql-server-dev-[0-9]*' 2>/dev/null |
        sed -n 's/^installed postgresql-server-dev-\([0-9]*\)$/\1/p' | sort -n) || true
    if [ -z "$have" ] || grep -qx 15 <<<"$have"; then echo 15; else tail -n 1 <<<"$have"; fi
}

needed() {
    printf '%s\n' build-essential cmake libgtest-dev libbenchmark-dev libboost-dev libipc-run-perl binutils perl \
        "postgresql-$major" "postgresql-client-$major" "postgresql-server-dev-$major" "postgresql-$major-cron" "${extra[@]}"
}

missing() {
    # shellcheck disable=SC2046 # one package, one word
    comm -23 <(needed | sort -u) <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(needed) 2>/dev/null |
        sed -n 's/^installed //p' | sort -u)
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

extra=("$@")
major=${PG_MAJOR:-$(server_major)}
[ -n "$(missing)" ] || exit 0

as_root apt-get update -q
if [ -z "$(apt-cache madison "postgresql-server-dev-$major")" ]; then
    major=$(apt-cache depends postgresql | sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p')
    [ -n "$major" ] || { echo "setup: no PostgreSQL server on offer" >&2; exit 1; }
fi
mapfile -t packages < <(missing)
[ "${#packages[@]}" -gt 0 ] || exit 0

# The server package would create a cluster on port 5432 and start it; tests bring their own. The file goes again,
# so that a server which somebody installs later for its own sake gets its cluster as usual.
no_cluster=/etc/postgresql-common/createcluster.d/bbm-setup.conf
as_root mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
trap 'as_root rm -f "$no_cluster"' EXIT
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
