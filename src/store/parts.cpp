#include "store/parts.hpp"

#include "core/lifecycle.hpp"
#include "pg/spi.hpp"
#include "store/known_row.hpp"

namespace bbm::store {

namespace {

#define BBM_PART_COLUMNS                                                                                               \
    "id, table_oid, table_name, walk, is_only, condition, cursor_columns, cursor_types, table_file, min_cursor, "      \
    "max_cursor, frontier, coalesce(total_rows, -1), is_detached, bound"

pg::Statement insert_statement = {
    "INSERT INTO bbm.part (migration_id, table_oid, table_name, walk, is_only, condition, cursor_columns, cursor_types,"
    " table_file, min_cursor, max_cursor, is_cut, total_rows, bound)"
    " VALUES ($1, $2::pg_catalog.oid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10 IS NULL, $12, $13) RETURNING id"};
pg::Statement load_statement = {"SELECT " BBM_PART_COLUMNS " FROM bbm.part WHERE id = $1"};
pg::Statement all_statement = {"SELECT " BBM_PART_COLUMNS " FROM bbm.part WHERE migration_id = $1 ORDER BY id"};
constexpr int kPartColumns = 15;
// The one that was the first is still the first: no part becomes uncut, and new ones come at the end.
#define BBM_NEXT(where)                                                                                                \
    "SELECT " BBM_PART_COLUMNS ", ctid FROM bbm.part WHERE " where "migration_id = $1 AND NOT is_cut ORDER BY id LIMIT 1"
TwoWays next_statements = {{BBM_NEXT("ctid = $2 AND id = $3 AND ")}, {BBM_NEXT("")}};
pg::Statement swept_statement = {
    "SELECT b.table_oid, pg_catalog.count(s.id) FILTER (WHERE s.created_at >= m.active_since),"
    " CASE WHEN pg_catalog.count(s.id) = 0 THEN -1 ELSE coalesce((SELECT pg_catalog.sum(j.rows_affected)"
    "  FROM bbm.job AS j WHERE j.part_id = pg_catalog.max(s.id) AND j.migration_id = $1), 0)::pg_catalog.int8 END"
    " FROM bbm.part AS b JOIN bbm.migration AS m ON m.id = b.migration_id LEFT JOIN bbm.part AS s ON s.migration_id = b.migration_id AND s.table_oid = b.table_oid"
    " AND s.walk = 'sweep' WHERE b.migration_id = $1 AND b.walk = 'blocks' GROUP BY b.table_oid"};
#define BBM_FRONTIER(where) "UPDATE bbm.part SET frontier = $2, is_cut = $3 WHERE " where " RETURNING ctid"
TwoWays frontier_statements = {{BBM_FRONTIER("ctid = $4 AND id = $1")}, {BBM_FRONTIER("id = $1")}};
pg::Statement detach_statement = {"UPDATE bbm.part SET is_detached = true WHERE id = $1"};
pg::Statement cut_statement = {"UPDATE bbm.part SET is_cut = true WHERE id = $1"};
pg::Statement file_statement = {"UPDATE bbm.part SET table_file = $2 WHERE id = $1"};
pg::Statement name_statement = {"UPDATE bbm.part SET table_name = $2 WHERE id = $1"};

Part read_part(const pg::Row &row, Arena arena) {
    Part part;
    part.id = row.integer(1);
    part.table_oid = static_cast<std::uint32_t>(row.integer(2));
    part.table_name = row.text(3, arena);
    part.walk = parse_walk(row.text(4, arena)).value_or(Walk::keys);
    part.is_only = row.boolean(5);
    part.condition = row.text(6, arena);
    part.cursor_columns = row.key(7, arena);
    part.cursor_types = row.key(8, arena);
    part.table_file = row.key(9, arena);
    if (!row.is_null(10))
        part.range = Range{row.key(10, arena), row.key(11, arena)};
    part.frontier = row.key(12, arena);
    part.total_rows = row.integer(13);
    part.is_detached = row.boolean(14);
    part.bound = row.text(15, arena);
    return part;
}

std::optional<Part> load_with(pg::Statement &statement, std::int64_t id, Arena arena) {
    std::optional<Part> part;
    pg::query(statement, {pg::integer(id)}, [&](pg::Row row) { part = read_part(row, arena); });
    return part;
}

} // namespace

void insert_part(std::int64_t migration_id, Part &part) {
    const Range range = part.range.value_or(Range{});
    pg::query(insert_statement,
              {pg::integer(migration_id), pg::integer(part.table_oid), pg::text(part.table_name),
               pg::text(name(part.walk)), pg::boolean(part.is_only), pg::text(part.condition),
               pg::key(part.cursor_columns), pg::key(part.cursor_types), pg::key(part.table_file), pg::key(range.min),
               pg::key(range.max), pg::known(part.total_rows), pg::text(part.bound)},
              [&](pg::Row row) { part.id = row.integer(1); });
}

std::optional<Part> load_part(std::int64_t id, Arena arena) { return load_with(load_statement, id, arena); }

Vector<Part> &parts_of(std::int64_t migration_id, Arena arena) {
    auto &parts = make<Vector<Part>>(arena);
    pg::query(all_statement, {pg::integer(migration_id)},
              [&](pg::Row row) { parts.push_back(read_part(row, arena)); });
    return parts;
}

std::optional<Part> next_uncut_part(std::int64_t migration_id, Arena arena) {
    std::optional<Part> part;
    const auto read = [&](pg::Row row) {
        part = read_part(row, arena);
        remember(known.part, part->id, row.place(kPartColumns + 1));
    };
    const std::int64_t last = known.part.id;
    find_and_run(known.part, last, next_statements, [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement, {pg::integer(migration_id), pg::place(place), pg::integer(last)}, read) == 1;
    });
    return part;
}

Vector<Swept> &swept_tables(std::int64_t migration_id, Arena arena) {
    auto &tables = make<Vector<Swept>>(arena);
    pg::query(swept_statement, {pg::integer(migration_id)}, [&](pg::Row row) {
        tables.push_back(
            {static_cast<std::uint32_t>(row.integer(1)), static_cast<int>(row.integer(2)), row.integer(3)});
    });
    return tables;
}

void set_frontier(const Part &part, Key frontier) {
    const bool is_cut = !part.range || same_key(frontier, part.range->max);
    find_and_run(known.part, part.id, frontier_statements, [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement,
                         {pg::integer(part.id), pg::key(frontier), pg::boolean(is_cut), pg::place(place)},
                         [&](pg::Row row) { remember(known.part, part.id, row.place(1)); }) == 1;
    });
}

void mark_detached(std::int64_t id) { pg::execute(detach_statement, {pg::integer(id)}); }
void mark_cut(std::int64_t id) { pg::execute(cut_statement, {pg::integer(id)}); }

void set_table_file(std::int64_t id, Key table_file) {
    pg::execute(file_statement, {pg::integer(id), pg::key(table_file)});
}

void set_table_name(const Part &part, Text table_name) {
    pg::execute(name_statement, {pg::integer(part.id), pg::text(table_name)});
}

} // namespace bbm::store
