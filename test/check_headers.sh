#!/usr/bin/env bash
# Compiles src/ against the headers of every supported PostgreSQL major; a warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=$PWD/build/headers

# The archive this machine installs Debian from already, whatever mirror that is.
archive() {
    # shellcheck disable=SC1091,SC2016 # os-release is the machine's; apt-get expands the format
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v release="$(. /etc/os-release && echo "${ID}:${VERSION_CODENAME:-}")" \
            'release == "debian:" $2 && $3 == "main" { print $1; exit }'
}

# Newer majors live in newer suites, whose packages do not install here: take the headers out of the package.
fetch() {
    local major=$1 suite=$2 dir=$cache/apt-$1 uri
    uri=$(archive)
    [ -n "$uri" ] || { echo "headers $major: this machine's apt has no Debian archive to fetch them from" >&2; return 1; }
    rm -rf "$dir" "$cache/$major.new"
    mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
    : >"$dir/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$dir/sources.list"
    # A mirror that lags behind is good enough; signatures are checked all the same.
    local apt=(apt-get -q -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache"
        -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any
        -o Acquire::Check-Valid-Until=false)
    "${apt[@]}" update >"$dir/log" 2>&1 || { cat "$dir/log" >&2; return 1; }
    (cd "$dir" && "${apt[@]}" download "postgresql-server-dev-$major") >>"$dir/log" 2>&1 || { cat "$dir/log" >&2; return 1; }
    # Whole or not at all: a directory that is there counts as fetched. pg_config.h tells of the C library that the suite
    # has; glibc got strlcpy and strlcat in 2.38.
    dpkg -x "$dir/postgresql-server-dev-$major"_*.deb "$cache/$major.new" &&
        sed -i 's/\(HAVE_DECL_STRLC[A-Z]*\) [01]$/\1 __GLIBC_PREREQ(2, 38)/' \
            "$cache/$major.new/usr/include/postgresql/$major/server/pg_config.h" &&
        mv "$cache/$major.new" "$cache/$major" && rm -rf "$dir"
}

compile() {
    printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" "${CXX:-g++}" -std=c++20 -fsyntax-only -D_GNU_SOURCE \
        -Wall -Wextra -Wshadow -Werror -Isrc -isystem "$1"
}

check() {
    local major=$1 suite=$2 headers=/usr/include/postgresql/$1/server
    if [ ! -d "$headers" ]; then
        headers=$cache/$major$headers
        [ -d "$headers" ] || fetch "$major" "$suite" || return 1
    fi
    compile "$headers" || { echo "headers $major: errors" >&2; return 1; }
    echo "headers $major: ${#sources[@]} files compile"
}

shopt -s nullglob
sources=(src/*.cpp src/*/*.cpp)
[ "${#sources[@]}" -gt 0 ] || { echo "headers: no sources" >&2; exit 1; }
failed=0
while read -r major suite; do
    check "$major" "$suite" </dev/null || failed=1
done <<'MAJORS'
15 bookworm
17 trixie
18 forky
MAJORS
exit "$failed"
