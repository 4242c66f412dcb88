#include "pg/window.hpp"

#include "core/key_hash.hpp"
#include "pg/key_value.hpp"

#include <algorithm>
#include <functional>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
}

namespace bbm::pg {

namespace {

constexpr std::size_t kFirstRows = 1024;
// A key may be as long as a third of a page; all others are done with before this.
constexpr std::size_t kMostKeyBytes = 8 << 20;
// The query's columns: where the row is, the transaction that put it there, and its key.
constexpr int kPlaceColumn = 0, kXminColumn = 1, kFirstKeyColumn = 2;

struct Row {
    BlockNumber block;
    TransactionId xmin;
    OffsetNumber offset;
    std::uint8_t pass;
};

struct KeyForm {
    std::int16_t length;
    bool is_by_value;
    bool equals_by_bytes; // equal values have the same bytes
    Oid hash_function;    // for those that have not; InvalidOid: nothing to tell them apart by
};

// Arrays of the server's, since they grow while the server reads.
struct Window {
    Context room;
    KeyColumn columns[kMostKeyColumns];
    KeyForm forms[kMostKeyColumns];
    std::size_t column_count;
    int passes;
    Row *rows;
    Datum *keys; // column_count for each row
    std::size_t count;
    std::size_t capacity;
    std::size_t key_bytes; // of keys that are no plain numbers
    std::size_t most_key_bytes;
    bool descends[kMostKeyColumns];
    bool is_by_place; // the key is a row's place, which changes with every version
    bool is_open;

    std::span<const KeyColumn> key() const { return {columns, column_count}; }
    const Datum *key_of(std::size_t row) const { return keys + row * column_count; }
};

Window window = {};

void make_space() {
    if (window.count < window.capacity)
        return;
    window.capacity = window.capacity == 0 ? kFirstRows : 2 * window.capacity;
    const std::size_t row_bytes = window.capacity * sizeof(Row);
    const std::size_t key_bytes = window.capacity * window.column_count * sizeof(Datum);
    auto *context = static_cast<MemoryContext>(window.room.context);
    window.rows = static_cast<Row *>(window.rows == nullptr ? MemoryContextAllocHuge(context, row_bytes)
                                                            : repalloc_huge(window.rows, row_bytes));
    window.keys = static_cast<Datum *>(window.keys == nullptr ? MemoryContextAllocHuge(context, key_bytes)
                                                              : repalloc_huge(window.keys, key_bytes));
}

std::uint64_t add_bytes(std::uint64_t hash, const void *bytes, std::size_t length) {
    return key_hash(hash, {static_cast<const std::byte *>(bytes), length});
}

std::uint64_t add_hash(std::uint64_t hash, std::uint64_t other) { return add_bytes(hash, &other, sizeof other); }

std::uint64_t hash_by_type(const KeyForm &form, Oid collation, Datum value) {
    return DatumGetUInt64(OidFunctionCall2Coll(form.hash_function, collation, value, UInt64GetDatum(0)));
}

// A row keeps its pass as long as its key is the same one, by the order of the walk: 1.0 may become 1.00 in between.
std::uint64_t add_value(std::uint64_t hash, const KeyForm &form, Oid collation, Datum value) {
    if (!form.equals_by_bytes && form.hash_function == InvalidOid)
        return hash; // the other columns of the key are left, or all rows are in one pass
    if (!form.equals_by_bytes)
        return add_hash(hash, hash_by_type(form, collation, value));
    if (form.is_by_value)
        return key_hash_integer(hash, value);
    if (form.length != -1)
        return add_bytes(hash, DatumGetPointer(value), static_cast<std::size_t>(form.length));
    auto *bytes = DatumGetPointer(value);
    return add_bytes(hash, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

// Neighbours on a page follow each other by number.
std::uint64_t hash_of_place(ItemPointer place) {
    const std::uint64_t block = ItemPointerGetBlockNumberNoCheck(place);
    return key_hash_integer(0, block << 16 | ItemPointerGetOffsetNumberNoCheck(place));
}

std::uint64_t hash_of_key(const Datum *key) {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < window.column_count; ++i)
        hash = add_value(hash, window.forms[i], window.columns[i].collation, key[i]);
    return hash;
}

// In the window's memory, and whole: a value that lies in a table of its own goes away with its row.
Datum keep(const KeyForm &form, Datum value) {
    if (form.is_by_value)
        return value;
    const Datum kept = form.length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value))
                                         : datumCopy(value, form.is_by_value, form.length);
    window.key_bytes += datumGetSize(kept, form.is_by_value, form.length);
    return kept;
}

// Called by the server for each row. False: no more of them.
bool take_row(TupleTableSlot *slot, DestReceiver *) {
    slot_getallattrs(slot);
    if (std::any_of(slot->tts_isnull, slot->tts_isnull + kFirstKeyColumn + window.column_count, std::identity{}))
        return true; // in no range
    make_space();
    auto *place = reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[kPlaceColumn]));
    const auto xmin = DatumGetTransactionId(slot->tts_values[kXminColumn]);
    Datum *key = window.keys + window.count * window.column_count;
    MemoryContext before = MemoryContextSwitchTo(static_cast<MemoryContext>(window.room.context));
    for (std::size_t i = 0; i < window.column_count; ++i)
        key[i] = keep(window.forms[i], slot->tts_values[kFirstKeyColumn + i]);
    MemoryContextSwitchTo(before);
    const std::uint64_t hash = window.is_by_place ? hash_of_place(place) : hash_of_key(key);
    window.rows[window.count++] = {ItemPointerGetBlockNumberNoCheck(place), xmin,
                                   ItemPointerGetOffsetNumberNoCheck(place),
                                   static_cast<std::uint8_t>(pass_of(hash, window.passes))};
    return window.key_bytes < window.most_key_bytes;
}

void ignore_start(DestReceiver *, int, TupleDesc) {}
void ignore_end(DestReceiver *) {}

DestReceiver receiver = {take_row, ignore_start, ignore_end, ignore_end, DestNone};

// As the index sees it. What fills up character(n) belongs to the column's type, which may change.
bool equals_by_bytes(const KeyColumn &column) {
    const Oid procedure = get_opfamily_proc(column.family, column.compared_as, column.compared_as, BTEQUALIMAGE_PROC);
    return OidIsValid(procedure) && column.compared_as != BPCHAROID &&
           DatumGetBool(OidFunctionCall1Coll(procedure, column.collation, ObjectIdGetDatum(column.compared_as)));
}

// The type's own, if its equality is that of the index.
Oid hash_function(const KeyColumn &column) {
    const Oid equal = get_opfamily_member(column.family, column.compared_as, column.compared_as, BTEqualStrategyNumber);
    const auto *type = lookup_type_cache(column.type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_EXTENDED_PROC);
    return type->eq_opr == equal ? type->hash_extended_proc : InvalidOid;
}

KeyForm form_of(const KeyColumn &column) {
    KeyForm form = {};
    get_typlenbyval(column.type, &form.length, &form.is_by_value);
    form.equals_by_bytes = equals_by_bytes(column);
    if (!form.equals_by_bytes)
        form.hash_function = hash_function(column);
    return form;
}

void prepare_window(const KeyQueries &queries, int passes) {
    if (window.room.context == nullptr)
        window.room = make_context("bbm window");
    close_window();
    std::copy_n(queries.columns, queries.column_count, window.columns);
    std::copy_n(queries.descends, queries.column_count, window.descends);
    window.column_count = queries.column_count;
    window.is_by_place = queries.walk == Walk::blocks;
    window.passes = passes;
    for (std::size_t i = 0; i < window.column_count; ++i)
        window.forms[i] = form_of(window.columns[i]);
}

// Does the row come behind the key, in the order of the walk?
bool is_behind(std::size_t row, const Value *key) {
    const Datum *own = window.key_of(row);
    for (std::size_t i = 0; i < window.column_count; ++i) {
        const int order = compare(window.columns[i], own[i], key[i]);
        if (order != 0)
            return (order > 0) != window.descends[i];
    }
    return false;
}

std::size_t first_row_behind(Key key) {
    if (key.empty())
        return 0;
    Value values[kMostKeyColumns];
    key_values(window.key(), key, values);
    std::size_t low = 0, high = window.count; // the rows before low are not behind it, those from high on are
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (is_behind(middle, values))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

Vector<RowVersion> &rows_of_slice(int pass, std::size_t &at, int keys, Arena arena) {
    auto &rows = make<Vector<RowVersion>>(arena);
    rows.reserve(std::min<std::size_t>(static_cast<std::size_t>(keys), window.count - at));
    for (; at < window.count && rows.size() < static_cast<std::size_t>(keys); ++at) {
        const Row &row = window.rows[at];
        if (row.pass == pass)
            rows.push_back({row.block, row.offset, row.xmin, static_cast<std::uint32_t>(at)});
    }
    return rows;
}

bool has_more(int pass, std::size_t at) {
    return std::any_of(window.rows + at, window.rows + window.count, [&](const Row &row) { return row.pass == pass; });
}

struct Limits {
    int rows = 0; // 0: all
    std::size_t key_bytes = SIZE_MAX;
};

// True if the rows end before the upper bound.
bool read(const KeyQueries &queries, Lower lower, Key upper, Limits limits) {
    window.most_key_bytes = limits.key_bytes;
    read_window(queries, lower, upper, limits.rows, &receiver);
    window.is_open = true;
    return window.count == static_cast<std::size_t>(limits.rows) || window.key_bytes >= limits.key_bytes;
}

} // namespace

std::optional<OpenedWindow> open_window(const KeyQueries &queries, Lower lower, Key upper, int keys, int passes,
                                        Arena arena) {
    prepare_window(queries, passes);
    if (queries.walk == Walk::blocks) { // whole blocks, whatever is in them
        const auto next = find_next_range(queries, lower, upper, keys, arena);
        if (!next)
            return std::nullopt;
        lower = {LowerBound::inclusive, next->range.min};
        upper = next->range.max;
        keys = 0;
    }
    const bool is_cut = read(queries, lower, upper, {keys, kMostKeyBytes});
    if (window.count == 0 && queries.walk != Walk::blocks)
        return std::nullopt;
    const auto last = static_cast<std::uint32_t>(window.count - 1);
    return OpenedWindow{static_cast<int>(window.count),
                        is_cut && window.count > 0 ? key_of_window_row(last, arena) : upper};
}

bool reopen_window(const KeyQueries &queries, Lower lower, Key upper, int passes) {
    prepare_window(queries, passes);
    (void)read(queries, lower, upper, {});
    return window.count > 0;
}

void close_window() {
    if (window.room.context != nullptr)
        window.room.reset();
    window.rows = nullptr;
    window.keys = nullptr;
    window.count = window.capacity = window.key_bytes = 0;
    window.is_open = false;
}

bool is_window_open() { return window.is_open; }

std::optional<Slice> next_slice(int pass, Key behind, int keys, Arena arena) {
    std::size_t at = first_row_behind(behind);
    auto &rows = rows_of_slice(pass, at, keys, arena);
    if (rows.empty())
        return std::nullopt;
    const Range range = {key_of_window_row(rows.front().row, arena), key_of_window_row(rows.back().row, arena)};
    if (!std::is_sorted(rows.begin(), rows.end()))
        std::sort(rows.begin(), rows.end());
    return Slice{range, static_cast<int>(rows.size()), !has_more(pass, at), {rows.data(), rows.size()}};
}

Key key_of_window_row(std::uint32_t row, Arena arena) { return key_texts(window.key(), window.key_of(row), arena); }

} // namespace bbm::pg
