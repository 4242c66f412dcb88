#!/usr/bin/env bash
# The tests that need whole servers: crashes, restarts, standbys, dropped databases.
#   run.sh [FILE...]        all of test/tap without FILE; KILLS and SEED steer 002_torture.pl,
#                           SEQUENCES, FIRST and SEED 007_model.pl, SHAPES, FIRST and SEED 012 and 015
# Ends with "tap: N passed, M failed". Logs of a failed run stay in build/tap-logs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kept=$here/../../build/tap-logs
pg_config=${PG_CONFIG:-pg_config}
pgxs=$(dirname "$("$pg_config" --pgxs)")
bindir=$("$pg_config" --bindir)

[ "$#" -gt 0 ] || set -- "$here"/[0-9]*.pl
files=("${@##*/}")

# PostgreSQL refuses to run as root.
as_user=()
if [ "$(id -u)" = 0 ]; then
    user=nobody
    ! id -u postgres >/dev/null 2>&1 || user=postgres
    as_user=(runuser -u "$user" --)
fi

# Its user may not be able to enter the source tree.
work=$(mktemp -d "${TMPDIR:-/tmp}/bbm-tap.XXXXXX")
output=$(mktemp)
trap 'rm -rf -- "$work" "$output"' EXIT
cp "$here"/*.pl "$here"/*.pm "$here"/../../README.md "$work"
if [[ " ${files[*]} " = *" 013_regression_db.pl "* ]]; then
    if regress=$("$here"/../tools/postgres_regress.sh 2>"$work/regress.missing"); then cp -r "$regress" "$work"; fi
fi
[ "${#as_user[@]}" = 0 ] || chown -R "$user:" "$work"
cd "$work"

# This one waits two minutes for the clock, which the others need not wait for.
waits=008_cron.pl
beside=()
[[ ${#files[@]} = 1 || " ${files[*]} " != *" $waits "* ]] || beside=(--jobs 2 --rules "par=$waits" --rules 'seq=*')

result=0
"${as_user[@]}" env HOME="$work" PATH="$bindir:$PATH" PERL5LIB="$work:$pgxs/../test/perl" PG_REGRESS="$pgxs/../test/regress/pg_regress" \
    TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
    PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-30}" KILLS="${KILLS:-50}" SEED="${SEED:-}" SEQUENCES="${SEQUENCES:-}" SHAPES="${SHAPES:-}" FIRST="${FIRST:-}" \
    prove --verbose --timer "${beside[@]}" "${files[@]}" 2>&1 | tee "$output" | grep --line-buffered -v '^ok [0-9]' || result=1

passed=$(grep -cE '^ok [0-9]' "$output" || true)
failed=$(grep -cE '^not ok [0-9]' "$output" || true)
# A file that ends too early has failed without a line that says so.
early=$(grep -cE '^ *(No subtests run|All [0-9]+ subtests passed) *$' "$output" || true)
failed=$((failed + early))
[ "$result" = 0 ] || [ "$failed" -gt 0 ] || failed=1
rm -rf -- "$kept"
if [ "$failed" -gt 0 ]; then
    mkdir -p "$kept"
    cp -r "$work/tmp_check/log/." "$kept" 2>/dev/null || true
    echo "tap: logs are in build/tap-logs"
fi
echo "tap: $passed passed, $failed failed"
[ "$failed" = 0 ]
