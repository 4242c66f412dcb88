#include "pg/analysis.hpp"

#include "pg/condition.hpp"
#include "pg/facts.hpp"
#include "pg/flow.hpp"
#include "pg/repeatable.hpp"
#include "pg/report.hpp"
#include "pg/used_columns.hpp"
#include "pg/window_scan.hpp"

#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parsetree.h"
}

namespace bbm::pg {

namespace {

Watch *lasting_watch = nullptr;
Watch *passing_watch = nullptr;

post_parse_analyze_hook_type next_hook = nullptr;

void restrict_to_range(const Watch &watch, Target target) {
    const RangeCommand &command = *watch.command;
    if (target.index != 0) {
        add_conditions(command, target);
        if (watch.reads_window)
            read_by_window_scan(rt_fetch(target.index, target.query->rtable));
    } else if (watch.facts == nullptr) {
        // Whoever asks for facts will refuse it. Here it is about to run, over all of whatever table has the name now.
        raise(Refusal{"42P01",
                      "the command of the migration does not work on the migration's table any more",
                      "The table was renamed, moved or replaced.",
                      {}});
    }
}

// A copy as it runs, but for the range.
const Query *with_scope(const RangeCommand &command, const Query *query) {
    auto *scoped = static_cast<Query *>(copyObjectImpl(query));
    CommandFacts unasked;
    const Target target = find_target(scoped, command.table, unasked);
    if (target.index != 0)
        add_scope(command, target);
    return scoped;
}

void note_verdict(const Watch &watch, const Repeatable &verdict) {
    watch.facts->is_repeatable = verdict.is_repeatable;
    watch.facts->repeating_overwrites = verdict.overwrites;
    watch.facts->repeatable_because = copy(verdict.because, watch.keep);
    watch.facts->why_not_repeatable = copy(verdict.why_not, watch.keep);
}

// A trigger, a rule or a foreign key that came since is a change of the table: the server analyses the command again.
void check_verdict(const RangeCommand &command, const Repeatable &verdict) {
    if (verdict.is_repeatable && !(command.meets_rows_twice && verdict.overwrites))
        return;
    raise(Refusal{"55000", "the command of the migration may not meet a row twice any more",
                  verdict.is_repeatable ? verdict.because : verdict.why_not, "See bbm.is_repeatable()."});
}

void note_columns(const Watch &watch, const Query *scoped) {
    const RangeCommand &command = *watch.command;
    const Key used = used_columns(scoped, command.table);
    if (watch.facts != nullptr)
        watch.facts->used_columns = copy(used, watch.keep);
    else
        check_used_columns(command.used_columns, used, command.key.names, command.table);
}

void on_watched(Watch &watch, Query *query) {
    ++watch.times;
    // EXPLAIN: the statement inside comes by on its own when it is explained.
    if (query->commandType == CMD_UTILITY)
        return;
    CommandFacts unasked;
    CommandFacts &facts = watch.facts != nullptr ? *watch.facts : unasked;
    collect(query, watch.command->table, facts);
    const Target target = find_target(query, watch.command->table, facts);
    const RangeCommand &command = *watch.command;
    const Query *scoped = with_scope(command, query);
    if (watch.facts != nullptr)
        note_verdict(watch, judge_repeatable(scoped, command.table, command.text));
    else if (command.meets_rows_twice || facts.writes_foreign)
        check_verdict(command, judge_repeatable(scoped, command.table, command.text));
    note_columns(watch, scoped);
    if (!command.has_placeholders)
        restrict_to_range(watch, target);
}

bool is_text_of(const Watch *watch, const char *text) {
    return watch != nullptr && text != nullptr && std::strcmp(watch->text, text) == 0;
}

void after_analysis(ParseState *state, Query *query, JumbleState *jumble) {
    if (next_hook != nullptr)
        next_hook(state, query, jumble);
    Watch *other_form = lasting_watch == nullptr ? nullptr : lasting_watch->other_form;
    for (Watch *watch : {passing_watch, lasting_watch, other_form})
        if (is_text_of(watch, state->p_sourcetext))
            return on_watched(*watch, query);
}

void end_watches() {
    passing_watch = lasting_watch = nullptr;
    disarm_window_scan();
}

// What is watched lives in frames and contexts that an abort leaves behind.
void at_abort(XactEvent event, void *) {
    if (event == XACT_EVENT_ABORT)
        end_watches();
}

void at_subtransaction_abort(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (event == SUBXACT_EVENT_ABORT_SUB)
        passing_watch = nullptr;
}

} // namespace

void install_command_hook() {
    next_hook = post_parse_analyze_hook;
    post_parse_analyze_hook = after_analysis;
    RegisterXactCallback(at_abort, nullptr);
    RegisterSubXactCallback(at_subtransaction_abort, nullptr);
}

void watch_prepared(Watch *watch) { lasting_watch = watch; }
Watch *prepared_watch() { return lasting_watch; }
void watch_in_passing(Watch *watch) { passing_watch = watch; }
bool is_watched(const Watch &watch) { return lasting_watch == &watch || passing_watch == &watch; }

} // namespace bbm::pg
