#!/usr/bin/env bash
# PostgreSQL's own regression tests, of the major version of pg_config's server: postgres_regress.sh
# Prints a directory with sql/, data/, expected/, parallel_schedule and regress.so. They come from the source package that
# the machine's package sources offer, through a private configuration below build/: nothing of the machine is changed.
# Where they cannot be had the last line of stderr says why.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pg_config=${PG_CONFIG:-pg_config}
major=$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
package=postgresql-$major
cache=$root/build/postgres-regress-$major
regress=$cache/regress

give_up() {
    echo "$*" >&2
    exit 1
}

# The machine's own sources, asked for source packages.
write_sources() {
    local file
    mkdir -p "$cache"/{sources,lists/partial,archives/archives/partial}
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -r "$file" ] || sed -E 's/^Types:.*/Types: deb-src/I' "$file" >"$cache/sources/${file##*/}"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -r "$file" ] || sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$file" | sort -u >"$cache/sources/${file##*/}"
    done
}

apt_options() {
    printf '%s\n' -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$cache/sources" -o "Dir::State::lists=$cache/lists" \
        -o "Dir::Cache=$cache/archives" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=20
}

# The server's very version first; packages of a security archive go when the next one comes.
versions() {
    local own
    own=$(dpkg-query -W -f '${source:Version}' "$package" 2>/dev/null) || true
    apt-cache "${options[@]}" madison "$package" 2>/dev/null | awk -F ' *[|] *' -v own="$own" '/Sources$/ { print ($2 == own ? 0 : 1), $2 }' |
        sort -u | sort -s -n -k 1,1 | cut -d ' ' -f 2
}

download() {
    local version
    command -v apt-get >/dev/null || give_up "apt-get is not there"
    write_sources
    mapfile -t options < <(apt_options)
    timeout 60 apt-get "${options[@]}" -q update >&2 || true
    for version in $(versions); do
        if (cd "$cache" && timeout 120 apt-get "${options[@]}" -q source --download-only --only-source "$package=$version") >&2; then return; fi
    done
    give_up "the machine's package sources do not give the source of $package"
}

unpack() {
    local archive
    archive=$(find "$cache" -maxdepth 1 -name "${package}_*.orig.tar.*" ! -name '*.asc' | sort | tail -n 1)
    rm -rf -- "$cache/unpacked"
    mkdir "$cache/unpacked"
    tar -xf "$archive" -C "$cache/unpacked" --strip-components=3 --wildcards '*/src/test/regress/*' >&2 || give_up "cannot unpack the source of $package"
    "${CC:-cc}" -O1 -w -shared -fPIC -I"$("$pg_config" --includedir-server)" -o "$cache/unpacked/regress/regress.so" "$cache/unpacked/regress/regress.c" >&2 ||
        give_up "cannot compile regress.c of $package"
    # Moved when all is there: what was interrupted begins anew.
    mv "$cache/unpacked/regress" "$regress"
    rm -rf -- "$cache"/unpacked "$cache"/lists "$cache"/archives "$cache/${package}_"*
}

if [ ! -d "$regress" ]; then
    download
    unpack
fi
echo "$regress"
