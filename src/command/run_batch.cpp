#include "command/run_batch.hpp"

#include "command/reference.hpp"
#include "command/run.hpp"
#include "core/lifecycle.hpp"
#include "pg/attempt.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/measure.hpp"
#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "store/quarantine.hpp"
#include "worker/parts.hpp"

namespace bbm {

namespace {

Key bound(const char *what, Text value, const pg::TableKey &key) {
    if (value.data() == nullptr)
        pg::raise(Refusal{"22004", pg::format("%s must not be null", what), {}, {}});
    return pg::read_key(value, key);
}

Range read_range(Text min, Text max, const pg::TableKey &key) {
    const Range range = {bound("min", min, key), bound("max", max, key)};
    if (!pg::is_ordered(range.min, range.max, key))
        pg::raise(Refusal{"22023", "min must not be greater than max", {}, {}});
    return range;
}

bool is_within(Key row, Range range, const pg::TableKey &key) {
    return pg::is_ordered(range.min, row, key) && pg::is_ordered(row, range.max, key);
}

// The triggers that are deferred fire with the caller's COMMIT, or not at all.
void run_measured(Range range, RunBatch &sum) {
    const std::int64_t wal = pg::wal_bytes();
    const Micros start = pg::stopwatch();
    sum.rows_affected += pg::run_command(range, pg::Deferred::leave);
    sum.duration += pg::stopwatch() - start;
    sum.wal_bytes += pg::wal_bytes() - wal;
}

[[noreturn]] void refuse_empty(const Migration &migration, Range range) {
    pg::raise(Refusal{"55000",
                      pg::format("no row of %s is in quarantine from %s to %s", label(migration).data(),
                                 pg::key_text(range.min).data(), pg::key_text(range.max).data()),
                      "All other rows are done by jobs, and would be done twice.",
                      pg::format("See SELECT * FROM bbm.failures WHERE migration_id = %lld;  or try the range with "
                                 "dry_run => true.",
                                 static_cast<long long>(migration.id))});
}

// In the transaction that they leave the quarantine in; whoever else comes finds them gone.
int run_quarantined(const Part &part, std::int64_t migration, Range range, const pg::TableKey &key, RunBatch &sum) {
    int rows = 0;
    for (const store::Quarantined &row : store::lock_quarantined(migration, part.id, pg::current_arena())) {
        if (!is_within(row.key, range, key))
            continue;
        run_measured({row.key, row.key}, sum);
        store::delete_quarantined(row.id);
        ++rows;
    }
    return rows;
}

void keep_account(const Migration &migration, Range range, int rows, const RunBatch &sum) {
    if (rows == 0)
        refuse_empty(migration, range);
    store::count_rows(migration.id, sum.rows_affected);
    const Text reason = pg::format("%d %s of the quarantine, from %s to %s", rows, rows == 1 ? "row" : "rows",
                                   pg::key_text(range.min).data(), pg::key_text(range.max).data());
    store::record_event(migration, "run_batch", {.reason = reason}, name(migration.status));
}

// The one that the table is, or the only one.
Part find_part(const Migration &migration, std::uint32_t table) {
    const auto &parts = store::parts_of(migration.id, pg::current_arena());
    for (const Part &part : parts)
        if (part.table_oid == table || (table == 0 && parts.size() == 1))
            return part;
    if (table != 0)
        pg::raise(Refusal{"22023", pg::format("table %s is not walked by %s", pg::table_name(table).data(),
                                              label(migration).data()), {}, {}});
    pg::raise(Refusal{"22004", pg::format("%s walks several tables", label(migration).data()),
                      "A key may stand in more than one of them.",
                      "Name one with part => '...'; they are in bbm.parts."});
}

} // namespace

RunBatch run_batch(std::int64_t id, Text min, Text max, bool is_dry_run, std::uint32_t table) {
    check_session("bbm.run_batch()");
    check_is_owner(require(id));
    Migration migration = is_dry_run ? require(id) : lock_current(id);
    Part part = find_part(migration, table);
    const pg::TableKey key = key_of(part);
    const Range range = read_range(min, max, key);
    RunBatch sum;
    pg::with_owners_settings(migration.search_path, pg::settings().lock_timeout(), [&] {
        pg::lock_table_for_writing(part.table_oid);
        look_up_names(migration, part);
        pg::prepare_command(command_of(migration, part, key));
        if (is_dry_run)
            pg::rolled_back([&] { run_measured(range, sum); });
        else
            keep_account(migration, range, run_quarantined(part, id, range, key, sum), sum);
    });
    pg::release_command();
    return sum;
}

} // namespace bbm
