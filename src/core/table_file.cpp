#include "core/table_file.hpp"

#include <algorithm>
#include <charconv>

namespace bbm {

namespace {

constexpr std::size_t kParts = 5;
constexpr std::int64_t kComparable = std::int64_t{1} << 31;
// Smaller numbers are no transactions: an insertion that was given up, and marks of servers before 9.4.
constexpr std::uint32_t kFirstTransaction = 3;
constexpr std::size_t kLongestNumber = 20;

bool is_comparable(SinceLook since) { return since.next >= since.horizon && since.next - since.horizon < kComparable; }

std::uint32_t distance(SinceLook since, std::uint32_t transaction) {
    return transaction - static_cast<std::uint32_t>(since.horizon);
}

bool is_since(SinceLook since, std::uint32_t transaction) {
    return distance(since, transaction) < static_cast<std::uint32_t>(since.next - since.horizon);
}

bool is_before(SinceLook since, Stamp a, Stamp b) {
    if (a.transaction == b.transaction)
        return a.command < b.command;
    return distance(since, a.transaction) < distance(since, b.transaction);
}

void take_earliest(std::optional<Stamp> &earliest, SinceLook since, Stamp stamp) {
    if (!earliest || is_before(since, stamp, *earliest))
        earliest = stamp;
}

bool is_of_one(std::span<const Stamp> stamps) {
    return std::all_of(stamps.begin(), stamps.end(),
                       [&](Stamp stamp) { return stamp.transaction == stamps.front().transaction; });
}

Text text_of(std::int64_t value, Arena arena) {
    char *place = ArenaAllocator<char>(arena).allocate(kLongestNumber);
    return {place, static_cast<std::size_t>(std::to_chars(place, place + kLongestNumber, value).ptr - place)};
}

std::optional<std::int64_t> number_in(Text text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// TRUNCATE, a load and then a rewrite end in the same file as the rewrite alone. Only the statistics have counted the
// rows of the load; they are lost in a crash.
bool was_loaded(const TableFile &known, const TableFile &now, std::int64_t estimate) {
    const std::int64_t inserted = now.inserted - known.inserted;
    return inserted < 0 || (inserted > 0 && inserted >= estimate / 2);
}

} // namespace

Key table_file_texts(const TableFile &file, Arena arena) {
    const std::int64_t numbers[kParts] = {file.number, file.horizon, file.owner, file.inserted, file.recovered_at};
    Text *texts = ArenaAllocator<Text>(arena).allocate(kParts);
    for (std::size_t i = 0; i < kParts; ++i)
        texts[i] = text_of(numbers[i], arena);
    return {texts, kParts};
}

std::optional<TableFile> parse_table_file(Key texts) {
    std::int64_t numbers[kParts];
    if (texts.size() != kParts)
        return std::nullopt;
    for (std::size_t i = 0; i < kParts; ++i) {
        const auto number = number_in(texts[i]);
        if (!number)
            return std::nullopt;
        numbers[i] = *number;
    }
    return TableFile{static_cast<std::uint32_t>(numbers[0]), numbers[1], static_cast<std::uint32_t>(numbers[2]),
                     numbers[3], numbers[4]};
}

bool is_same_file(const TableFile &known, const TableFile &now) {
    return known.number == now.number && known.recovered_at == now.recovered_at;
}

Swap find_swap(SinceLook since, std::optional<Stamp> table, std::optional<Stamp> toast,
               std::span<const Stamp> indexes) {
    Swap swap;
    std::optional<Stamp> index;
    for (const Stamp stamp : indexes)
        take_earliest(index, since, stamp);
    const std::optional<Stamp> kinds[] = {table, toast, is_of_one(indexes) ? index : std::nullopt};
    for (const auto &kind : {table, toast, index})
        if (kind && is_since(since, kind->transaction))
            take_earliest(swap.earliest, since, *kind);
    for (const auto &kind : kinds)
        for (const auto &other : kinds)
            if (&kind != &other && kind && other && kind->transaction == other->transaction &&
                is_since(since, kind->transaction))
                swap.agreed = {kind->transaction, std::min({kind->command, other->command,
                                                            swap.agreed ? swap.agreed->command : kind->command})};
    return swap;
}

RowAge row_age(const RowStamp &row, SinceLook since, const Swap &swap) {
    const Stamp written = row.written;
    if (written.transaction == 0)
        return RowAge::none;
    if (!is_comparable(since) || written.transaction < kFirstTransaction)
        return RowAge::before_swap;
    if (!is_since(since, written.transaction))
        return RowAge::older;
    if (swap.agreed && row.has_command && written.transaction == swap.agreed->transaction &&
        written.command <= swap.agreed->command)
        return RowAge::by_rewrite;
    const bool is_known = swap.earliest && (row.has_command || written.transaction != swap.earliest->transaction);
    return is_known && is_before(since, *swap.earliest, written) ? RowAge::after_swap : RowAge::before_swap;
}

void add(RowsFound &found, RowAge age) {
    found.older = found.older || age == RowAge::older;
    found.by_rewrite = found.by_rewrite || age == RowAge::by_rewrite;
    found.before_swap = found.before_swap || age == RowAge::before_swap;
}

bool is_decided(const RowsFound &found) { return found.older || found.by_rewrite; }

FileChange judge(const TableFile &known, const TableFile &now, const RowsFound &found) {
    if (is_same_file(known, now))
        return FileChange::unchanged;
    if (found.older)
        return FileChange::rewritten;
    // The one other command that writes the catalogs' rows of all kinds anew is a change of the owner.
    if (found.by_rewrite && known.owner == now.owner && !was_loaded(known, now, found.estimate))
        return FileChange::rewritten;
    if (found.by_rewrite || found.before_swap || !found.is_complete)
        return FileChange::unclear;
    return FileChange::emptied;
}

} // namespace bbm
