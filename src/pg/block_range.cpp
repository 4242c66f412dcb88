#include "pg/block_range.hpp"

#include "pg/key_value.hpp"
#include "pg/report.hpp"

#include <algorithm>
#include <compare>

extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_am.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"
#include "storage/off.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

// Beyond any row of a block, so that what is added to the block belongs to its range.
constexpr OffsetNumber kEndOfBlock = 65535;

struct Place {
    BlockNumber block;
    OffsetNumber offset;

    auto operator<=>(const Place &) const = default;
};

Place place_of(Value value) {
    const auto *tid = reinterpret_cast<ItemPointer>(value);
    return {ItemPointerGetBlockNumberNoCheck(tid), ItemPointerGetOffsetNumberNoCheck(tid)};
}

Place read_place(std::span<const KeyColumn> key, Key text) {
    Value value;
    key_values(key, text, &value);
    return place_of(value);
}

Key text_of(Place place, Arena arena) {
    const auto text = make_array<Text>(arena, 1);
    text[0] = copy(format("(%u,%u)", place.block, place.offset), arena);
    return text;
}

Place after(Place place) {
    if (place.offset < kEndOfBlock)
        return {place.block, static_cast<OffsetNumber>(place.offset + 1)};
    return {place.block + 1, 0};
}

// By the planner's idea of the table, which has one of tables that nobody has analysed as well.
double rows_per_block(Relation relation) {
    BlockNumber blocks;
    double rows, all_visible;
    estimate_rel_size(relation, nullptr, &blocks, &rows, &all_visible);
    return blocks == 0 ? 1.0 : std::max(rows / blocks, 1.0);
}

// The last place of a block that a row has or had.
OffsetNumber last_offset(Relation relation, BlockNumber block) {
    if (relation->rd_rel->relam != HEAP_TABLE_AM_OID)
        return MaxOffsetNumber;
    Buffer buffer = ReadBuffer(relation, block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
    UnlockReleaseBuffer(buffer);
    return last;
}

// Fewer rows than a block holds, down to a single place: a row that a command fails for is looked for in this way.
Place end_within_block(Relation relation, Place first, int keys) {
    const OffsetNumber last = last_offset(relation, first.block);
    if (first.offset > last)
        return {first.block, kEndOfBlock};
    return {first.block,
            static_cast<OffsetNumber>(std::min<std::int64_t>(std::int64_t{first.offset} + keys - 1, last))};
}

Place end_of_range(std::uint32_t table, Place first, int keys, Place end) {
    Relation relation = relation_open(table, AccessShareLock);
    const double density = rows_per_block(relation);
    Place last = end;
    if (first.block >= RelationGetNumberOfBlocks(relation))
        last = end; // the table was cut off there
    else if (keys == 1 || keys < density)
        last = end_within_block(relation, first, keys);
    else if (const auto blocks = static_cast<std::int64_t>(keys / density); first.block + blocks - 1 < end.block)
        last = {static_cast<BlockNumber>(first.block + blocks - 1), kEndOfBlock};
    relation_close(relation, AccessShareLock);
    return std::min(last, end);
}

} // namespace

std::optional<NextRange> find_next_blocks(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena) {
    const Place from = read_place(queries.key(), lower.key), end = read_place(queries.key(), upper);
    const Place first = lower.kind == LowerBound::inclusive ? from : after(from);
    if (first > end)
        return std::nullopt;
    const Place last = queries.walk == Walk::sweep ? end : end_of_range(queries.table, first, keys, end);
    const bool is_last = last == end;
    return NextRange{{text_of(first, arena), is_last ? upper : text_of(last, arena)}, !is_last, is_last};
}

std::optional<Range> find_all_blocks(std::uint32_t table, Arena arena) {
    Relation relation = relation_open(table, AccessShareLock);
    const BlockNumber blocks = RelationGetNumberOfBlocks(relation);
    relation_close(relation, AccessShareLock);
    if (blocks == 0)
        return std::nullopt;
    return Range{text_of({0, 0}, arena), text_of({blocks - 1, kEndOfBlock}, arena)};
}

} // namespace bbm::pg
