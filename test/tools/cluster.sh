#!/usr/bin/env bash
# A private PostgreSQL cluster below build/:
#   cluster.sh start NAME ["name = value" ...]   later lines win over the defaults
#   cluster.sh env NAME                          for eval: PGHOST PGPORT PGUSER PGDATABASE PATH
#   cluster.sh stop NAME
set -euo pipefail

usage() {
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[[ ${2:-} =~ ^[A-Za-z0-9_-]+$ ]] || usage
action=$1 name=$2
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
note=$root/build/cluster-$name
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
port=54329 # never 5432; the socket's directory keeps clusters apart

# PostgreSQL refuses to run as root.
server_user=
if [ "$(id -u)" = 0 ]; then
    server_user=nobody
    ! id -u postgres >/dev/null 2>&1 || server_user=postgres
fi

# The work directory may be one the server's user cannot enter.
server() (
    cd /
    if [ -n "$server_user" ]; then exec runuser -u "$server_user" -- "$@"; else exec "$@"; fi
)

place() {
    cat "$note/where" 2>/dev/null || true
}

# A Unix socket's path ends at 107 characters, and the server's user must reach it.
new_place() {
    local dir=$note/data
    mkdir -p "$note"
    if [ $((${#dir} + 15)) -gt 107 ] || ! server test -x "$note"; then
        dir=$(mktemp -d "${TMPDIR:-/tmp}/bbm-cluster.XXXXXX")
    else
        mkdir "$dir"
    fi
    chmod 700 "$dir"
    [ -z "$server_user" ] || chown "$server_user:" "$dir"
    echo "$dir" >"$note/where"
}

stop() {
    local dir result=0
    dir=$(place)
    if [ -n "$dir" ] && [ -d "$dir" ]; then
        if server "$bindir/pg_ctl" -D "$dir" status >/dev/null 2>&1 &&
            ! server "$bindir/pg_ctl" -D "$dir" -m fast -t 60 -s stop; then
            echo "cluster $name did not stop in time; ending it at once" >&2
            tail -n 20 "$dir/server.log" >&2
            server "$bindir/pg_ctl" -D "$dir" -m immediate -s stop || true
            result=1
        fi
        rm -rf -- "$dir"
    fi
    rm -rf -- "$note"
    return "$result"
}

start() {
    local dir
    stop || true
    new_place
    dir=$(place)
    server "$bindir/initdb" -D "$dir" -U postgres -A trust -E UTF8 --no-locale -N >/dev/null
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" "port = $port" \
        "shared_preload_libraries = 'bbm'" "max_worker_processes = 16" "log_line_prefix = '%m [%p] %b %d '" \
        "$@" >>"$dir/postgresql.conf"
    if ! server "$bindir/pg_ctl" -D "$dir" -l "$dir/server.log" -t 60 -s start; then
        tail -n 20 "$dir/server.log" >&2
        exit 1
    fi
}

# The server's own note (lines: pid, data directory, start time, port, socket directory) knows what the settings made of it.
env_of() {
    local lines
    mapfile -t lines < <(cat "$(place)/postmaster.pid" 2>/dev/null)
    [ "${#lines[@]}" -ge 5 ] || { echo "cluster $name is not running" >&2; exit 1; }
    # shellcheck disable=SC2016 # the caller's shell expands PATH
    printf 'export PGHOST=%q PGPORT=%q PGUSER=postgres PGDATABASE=postgres PATH=%q:"$PATH"\n' \
        "${lines[4]}" "${lines[3]}" "$bindir"
}

case $action in
start) start "$@" ;;
stop) stop ;;
env) env_of ;;
*) usage ;;
esac
