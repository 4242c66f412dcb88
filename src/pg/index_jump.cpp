#include "pg/index_jump.hpp"

#include "pg/key_value.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

// Leaves are not filled alike: over fewer of them the mean says little, and their keys are read in no time.
constexpr std::int64_t kFewestLeaves = 8;

bool is_column(Relation index, int i, const KeyColumn &column, bool descends) {
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(index), i);
    return index->rd_index->indkey.values[i] == column.number && index->rd_opfamily[i] == column.family &&
           index->rd_indcollation[i] == column.collation && getBaseType(attribute->atttypid) == column.type &&
           ((index->rd_indoption[i] & INDOPTION_DESC) != 0) == descends;
}

// Every row once, in the order of the walk.
bool is_of_key(Relation index, std::span<const KeyColumn> key, const bool *descends) {
    const Form_pg_index form = index->rd_index;
    if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_rel->relam != BTREE_AM_OID || !form->indisunique ||
        !form->indisvalid || form->indnkeyatts != static_cast<int>(key.size()) ||
        !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr))
        return false;
    for (std::size_t i = 0; i < key.size(); ++i)
        if (!is_column(index, static_cast<int>(i), key[i], descends[i]))
            return false;
    return true;
}

// Opened, or null.
Relation open_index_of(std::uint32_t table, std::span<const KeyColumn> key, const bool *descends) {
    Relation relation = table_open(table, AccessShareLock);
    List *indexes = RelationGetIndexList(relation);
    Relation found = nullptr;
    ListCell *cell;
    foreach (cell, indexes) {
        found = index_open(lfirst_oid(cell), AccessShareLock);
        if (is_of_key(found, key, descends))
            break;
        index_close(found, AccessShareLock);
        found = nullptr;
    }
    list_free(indexes);
    table_close(relation, AccessShareLock);
    return found;
}

BTScanInsert search_key(Relation index, std::span<const KeyColumn> key, Key from) {
    Datum values[INDEX_MAX_KEYS] = {};
    bool nulls[INDEX_MAX_KEYS];
    std::fill_n(nulls, INDEX_MAX_KEYS, true);
    key_values(key, from, values);
    std::fill_n(nulls, key.size(), false);
    return _bt_mkscankey(index, index_form_tuple(RelationGetDescr(index), values, nulls));
}

BTStack descend(Relation index, BTScanInsert key, Buffer *leaf) {
#if PG_VERSION_NUM >= 170000
    return _bt_search(index, nullptr, key, leaf, BT_READ);
#elif PG_VERSION_NUM >= 160000
    return _bt_search(index, nullptr, key, leaf, BT_READ, nullptr);
#else
    return _bt_search(index, key, leaf, BT_READ, nullptr);
#endif
}

std::int64_t items_on(Page page) {
    return static_cast<std::int64_t>(PageGetMaxOffsetNumber(page)) - P_FIRSTDATAKEY(BTPageGetOpaque(page)) + 1;
}

// Of entries like the leaf's first one, as a new index has them.
std::int64_t capacity_of(Page leaf) {
    const auto first = static_cast<OffsetNumber>(P_FIRSTDATAKEY(BTPageGetOpaque(leaf)));
    if (items_on(leaf) < 1)
        return 1;
    const std::size_t entry = ItemIdGetLength(PageGetItemId(leaf, first)) + sizeof(ItemIdData);
    return static_cast<std::int64_t>(std::size_t{BLCKSZ} * BTREE_DEFAULT_FILLFACTOR / 100 / entry);
}

// As the statistics say, or the leaf at hand where it has more, or as many as there is room for where there are no
// statistics: rather too many, so that a jump is rather too short.
std::int64_t keys_of_leaf(Relation index, Page leaf) {
    const Form_pg_class form = index->rd_rel;
    const auto mean = form->relpages > 1 ? static_cast<std::int64_t>(form->reltuples / (form->relpages - 1)) : 0;
    return std::max({items_on(leaf), mean > 0 ? mean : capacity_of(leaf), std::int64_t{1}});
}

// A leaf's place among the entries of the level above.
struct Place {
    BlockNumber block;
    std::int64_t item;
};

// No page of a tree has this number.
constexpr BlockNumber kUnknown = BTREE_METAPAGE;

// So many leaves to the right, by the entries of the level above; InvalidBlockNumber behind the last one, kUnknown
// where a page is being deleted. Pages may have been split since they were read: what is found is a leaf all the same.
// None is used again for something else as long as our snapshot is there.
BlockNumber leaf_ahead(Relation index, Place place, std::int64_t leaves) {
    for (;;) {
        Buffer buffer = _bt_getbuf(index, place.block, BT_READ);
        Page page = BufferGetPage(buffer);
        const BTPageOpaque opaque = BTPageGetOpaque(page);
        if (P_IGNORE(opaque) || P_ISLEAF(opaque)) {
            _bt_relbuf(index, buffer);
            return kUnknown;
        }
        const std::int64_t last = PageGetMaxOffsetNumber(page), ahead = last - std::min(place.item, last);
        const bool is_here = leaves <= ahead, is_end = P_RIGHTMOST(opaque);
        const auto target = static_cast<OffsetNumber>(last - ahead + leaves);
        BlockNumber found = InvalidBlockNumber;
        if (is_here)
            found = BTreeTupleGetDownLink(reinterpret_cast<IndexTuple>(PageGetItem(page, PageGetItemId(page, target))));
        const BlockNumber next = opaque->btpo_next;
        const std::int64_t before_next_first = P_FIRSTDATAKEY(opaque) - 1;
        _bt_relbuf(index, buffer);
        if (is_here || is_end)
            return found;
        leaves -= ahead;
        place = {next, before_next_first};
    }
}

// The first entry of the leaf, or of the next one that has any; null where none has.
IndexTuple first_entry(Relation index, BlockNumber leaf) {
    while (leaf != P_NONE) {
        Buffer buffer = _bt_getbuf(index, leaf, BT_READ);
        Page page = BufferGetPage(buffer);
        const BTPageOpaque opaque = BTPageGetOpaque(page);
        IndexTuple found = nullptr;
        if (!P_IGNORE(opaque) && P_ISLEAF(opaque) && items_on(page) > 0)
            found = CopyIndexTuple(reinterpret_cast<IndexTuple>(
                PageGetItem(page, PageGetItemId(page, static_cast<OffsetNumber>(P_FIRSTDATAKEY(opaque))))));
        leaf = P_RIGHTMOST(opaque) ? P_NONE : opaque->btpo_next;
        _bt_relbuf(index, buffer);
        if (found != nullptr)
            return found;
    }
    return nullptr;
}

Key key_of_entry(Relation index, IndexTuple entry, std::span<const KeyColumn> key, Arena arena) {
    Value values[INDEX_MAX_KEYS];
    for (std::size_t i = 0; i < key.size(); ++i) {
        bool is_null;
        values[i] = index_getattr(entry, static_cast<int>(i) + 1, RelationGetDescr(index), &is_null);
        if (is_null)
            return {};
    }
    return key_texts(key, values, arena);
}

IndexJump jump_in(Relation index, std::span<const KeyColumn> key, Key from, int keys, Arena arena) {
    Buffer leaf;
    BTStack stack = descend(index, search_key(index, key, from), &leaf);
    if (!BufferIsValid(leaf))
        return {};
    const std::int64_t leaves = keys / keys_of_leaf(index, BufferGetPage(leaf));
    _bt_relbuf(index, leaf);
    if (stack == nullptr || leaves < kFewestLeaves)
        return {};
    const BlockNumber ahead = leaf_ahead(index, {stack->bts_blkno, stack->bts_offset}, leaves);
    _bt_freestack(stack);
    if (ahead == kUnknown)
        return {};
    IndexTuple entry = ahead == InvalidBlockNumber ? nullptr : first_entry(index, ahead);
    if (entry == nullptr)
        return {IndexJump::Landing::behind_all};
    const Key found = key_of_entry(index, entry, key, arena);
    return {found.empty() ? IndexJump::Landing::unknown : IndexJump::Landing::on_key, found};
}

} // namespace

IndexJump jump(std::uint32_t table, std::span<const KeyColumn> key, const bool *descends, Key from, int keys,
               Arena arena) {
    Relation index = open_index_of(table, key, descends);
    if (index == nullptr)
        return {};
    const IndexJump found = jump_in(index, key, from, keys, arena);
    index_close(index, AccessShareLock);
    return found;
}

} // namespace bbm::pg
