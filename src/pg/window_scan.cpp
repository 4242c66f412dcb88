#include "pg/window_scan.hpp"

#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tsmapi.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "storage/bufmgr.h"
#include "utils/plancache.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

struct Order {
    Oid table;
    std::span<const RowVersion> rows;
    std::span<bool> missed;
};

Order armed = {};
bool is_armed = false;

struct Scan {
    Order order;
    std::size_t at; // the next row
};

Scan *scan_of(SampleScanState *node) { return static_cast<Scan *>(node->tsm_state); }

void miss(Scan *scan) { scan->order.missed[scan->at++] = true; }

// Looking at a row again after a wait, the server starts the plan anew, and takes no row from this scan but that one.
// A trigger of the user's may name the method in a query of its own.
void start_scan(SampleScanState *node, int) {
    if (node->ss.ps.state->es_epq_active != nullptr) {
        node->tsm_state = palloc0(sizeof(Scan));
        return;
    }
    if (!is_armed || armed.table != RelationGetRelid(node->ss.ss_currentRelation))
        raise(Refusal{"55000",
                      "the rows of a window are there for the command of a migration only, and once",
                      "A rule on the table may have made two commands of it.",
                      {}});
    auto *scan = static_cast<Scan *>(palloc0(sizeof(Scan)));
    scan->order = armed;
    node->tsm_state = scan;
    disarm_window_scan();
}

// A bulk read would push the pages out of the buffers between two passes.
void begin_scan(SampleScanState *node, Datum *, int, uint32) {
    node->use_bulkread = false;
    node->use_pagemode = true;
    scan_of(node)->at = 0;
}

// VACUUM may have cut off the table's end.
BlockNumber next_block(SampleScanState *node, BlockNumber blocks) {
    Scan *scan = scan_of(node);
    while (scan->at < scan->order.rows.size() && scan->order.rows[scan->at].block >= blocks)
        miss(scan);
    return scan->at < scan->order.rows.size() ? scan->order.rows[scan->at].block : InvalidBlockNumber;
}

// The page is pinned, so its line pointers stay as they were when the server listed what is visible.
bool is_visible(HeapScanDesc heap, OffsetNumber offset) {
    const OffsetNumber *first = heap->rs_vistuples;
    return std::binary_search(first, first + heap->rs_ntuples, offset);
}

bool is_there(HeapScanDesc heap, const RowVersion &row) {
    if (!is_visible(heap, row.offset))
        return false;
    Page page = BufferGetPage(heap->rs_cbuf);
    const auto *tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, PageGetItemId(page, row.offset)));
    return HeapTupleHeaderGetRawXmin(tuple) == row.xmin;
}

OffsetNumber next_tuple(SampleScanState *node, BlockNumber block, OffsetNumber) {
    Scan *scan = scan_of(node);
    const auto heap = reinterpret_cast<HeapScanDesc>(node->ss.ss_currentScanDesc);
    while (scan->at < scan->order.rows.size() && scan->order.rows[scan->at].block == block) {
        const RowVersion &row = scan->order.rows[scan->at];
        if (is_there(heap, row)) {
            ++scan->at;
            return row.offset;
        }
        miss(scan);
    }
    return InvalidOffsetNumber;
}

// Of a slice. A plan serves for all of them.
void estimate_size(PlannerInfo *, RelOptInfo *relation, List *, BlockNumber *pages, double *rows) {
    *pages = Min(relation->pages, 64);
    *rows = Min(relation->tuples, 1000);
}

const List *range_table(SPIPlanPtr plan) {
    const auto *source = static_cast<CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan)));
    return list_length(source->query_list) == 1 ? linitial_node(Query, source->query_list)->rtable : NIL;
}

} // namespace

void read_by_window_scan(RangeTblEntry *entry) {
    Oid types[] = {INTERNALOID};
    List *name = list_make2(makeString(pstrdup("bbm")), makeString(pstrdup("window_scan")));
    entry->tablesample = makeNode(TableSampleClause);
    entry->tablesample->tsmhandler = LookupFuncName(name, 1, types, false);
}

bool reads_by_window_scan(void *plan) {
    ListCell *cell;
    foreach (cell, range_table(static_cast<SPIPlanPtr>(plan)))
        if (lfirst_node(RangeTblEntry, cell)->tablesample != nullptr)
            return true;
    return false;
}

void arm_window_scan(std::uint32_t table, std::span<const RowVersion> rows, std::span<bool> missed) {
    armed = {table, rows, missed};
    is_armed = true;
}

void disarm_window_scan() { is_armed = false; }

void *window_scan_routine() {
    TsmRoutine *routine = makeNode(TsmRoutine);
    routine->parameterTypes = NIL;
    routine->repeatable_across_queries = false;
    routine->repeatable_across_scans = true; // else a join would read a copy, of which rows cannot be changed
    routine->SampleScanGetSampleSize = estimate_size;
    routine->InitSampleScan = start_scan;
    routine->BeginSampleScan = begin_scan;
    routine->NextSampleBlock = next_block;
    routine->NextSampleTuple = next_tuple;
    routine->EndSampleScan = nullptr;
    return routine;
}

} // namespace bbm::pg
