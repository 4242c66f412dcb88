#include "core/strides.hpp"

#include "core/walk_text.hpp"

#include <algorithm>
#include <cmath>

namespace bbm {

namespace {

// One row in ten has to move. With eight to twelve passes a walk is as fast, and with ten it writes less than with
// eight. More of them cost more visits of each page than they win, ...
constexpr int kPasses = 10;
// ... except where each row that moves is dear, for it needs an entry in every index; or where the room that a page has
// from the start holds a smaller pass at once, and nothing moves.
constexpr int kMorePasses = 16;
constexpr int kManyIndexes = 2;
constexpr int kRoomyFillfactor = 90;

// A pass takes a row of each page at the least: with fewer rows there is little to divide.
constexpr double kFewestRowsPerPage = 8;

// Below, the keys of a window lie all over the table. Most pages are met once in a window, and when they are met again
// the server has cleared them anyway.
constexpr double kLeastCorrelation = 0.5;

// A megabyte of pages: they stay in the processor's cache between two passes. Twice as many cost a fifth more time
// where somebody else used the cache, too; half as many have commits for every 500 rows.
constexpr double kPagesOfWindow = 128;
constexpr int kUsualWindow = 8192;
constexpr int kSmallestWindow = 1000;
constexpr int kLargestWindow = 32768; // what is kept of a window fits into a megabyte or two

struct Sentence {
    Arena arena;
    String &text = make<String>(arena);

    Sentence &operator<<(Text words) {
        append(text, words);
        return *this;
    }
    Sentence &operator<<(int number) {
        append_number(text, static_cast<std::size_t>(number));
        return *this;
    }
    operator Text() const { return view(text); }
};

int window_keys(const StrideFacts &facts) {
    if (!(facts.rows_per_page > 0))
        return kUsualWindow;
    return static_cast<int>(std::clamp<double>(facts.rows_per_page * kPagesOfWindow, kSmallestWindow, kLargestWindow));
}

// Passes cannot be made; empty: they can.
Text obstacle(const StrideFacts &facts) {
    if (facts.has_placeholders)
        return "the command restricts itself, with $1 and $2";
    if (!facts.is_update)
        return "the command is no UPDATE of the table";
    if (!facts.is_heap)
        return "the table's rows are not kept in a heap of this server";
    if (facts.walk == Walk::values)
        return "rows of one value belong together";
    if (facts.walk == Walk::sweep)
        return "a sweep is one statement";
    return {};
}

Text disorder(StrideFacts::Blocks blocks) {
    switch (blocks) {
    case StrideFacts::Blocks::no:
        break;
    case StrideFacts::Blocks::with_condition:
        return "rows lie in another order than their keys; with batching_strategy => 'ctid' and a condition that "
               "leaves "
               "out rows that have the value there would be passes";
    case StrideFacts::Blocks::yes:
        return "rows lie in another order than their keys; with batching_strategy => 'ctid' there would be passes";
    }
    return "rows lie in another order than their keys";
}

// Passes would gain nothing; empty: they would.
Text objection(const StrideFacts &facts, Arena arena) {
    if (!facts.indexed_column.empty())
        return Sentence{arena} << "index \"" << facts.index_name << "\" uses column \"" << facts.indexed_column
                               << "\", which is written";
    if (facts.rows_per_page > 0 && facts.rows_per_page < kFewestRowsPerPage)
        return Sentence{arena} << "a page has fewer than " << static_cast<int>(kFewestRowsPerPage) << " rows";
    if (facts.rows < window_keys(facts))
        return "the table is smaller than a window";
    if (facts.walk == Walk::keys && std::abs(facts.correlation) < kLeastCorrelation)
        return disorder(facts.blocks);
    return {};
}

Strides choose_passes(const StrideFacts &facts, Arena arena) {
    const int window = window_keys(facts);
    if (facts.fillfactor <= kRoomyFillfactor)
        return {kMorePasses, window, false, Sentence{arena} << "fillfactor is " << facts.fillfactor};
    if (facts.secondary_indexes >= kManyIndexes)
        return {kMorePasses, window, false,
                Sentence{arena} << facts.secondary_indexes << " more indexes use no written column"};
    if (!facts.before_trigger.empty())
        return {kPasses, window, false,
                Sentence{arena} << "what trigger \"" << facts.before_trigger
                                << "\" writes is not known, and is measured"};
    return {kPasses, window, false, "no index uses a written column"};
}

} // namespace

Strides choose_strides(const StrideFacts &facts, int wanted, Arena arena) {
    if (const Text reason = obstacle(facts); !reason.empty())
        return {1, 0, false, reason};
    if (wanted > 0)
        return {wanted, wanted > 1 ? window_keys(facts) : 0, true, Sentence{arena} << "bbm.passes is " << wanted};
    if (const Text reason = objection(facts, arena); !reason.empty())
        return {1, 0, false, reason};
    return choose_passes(facts, arena);
}

Strides in_jobs_of(int keys, const Strides &strides, Arena arena) {
    if (strides.passes == 1 || strides.is_given || keys >= kSmallestWindow)
        return strides;
    return {1, 0, false, Sentence{arena} << "a job has fewer than " << kSmallestWindow << " keys"};
}

} // namespace bbm
