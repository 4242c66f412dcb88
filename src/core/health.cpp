#include "core/health.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace bbm {

namespace {

// GitLab's limit. An archiver that keeps up is one or two segments behind; 42 of the usual 16 MB are two thirds of a
// gigabyte, which an archiver that works again has done within a minute.
constexpr double kMostSegmentsToArchive = 42;
// A rate is taken over at least this time: a burst between two looks that follow each other closely is no rate.
constexpr Micros kRateWindow = 1'000'000;
// The function's value is a share already.
constexpr double kUsersLimit = 1;

constexpr std::size_t kSegmentNameLength = 24; // timeline, log, segment: 8 hexadecimal digits each
constexpr std::size_t kNameField = 8;
constexpr std::uint64_t kLogSize = 0x1'0000'0000;

__attribute__((format(printf, 2, 3))) Text say(Arena arena, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    va_list again;
    va_copy(again, arguments);
    const int length = std::max(std::vsnprintf(nullptr, 0, pattern, arguments), 0);
    va_end(arguments);
    String &out = make<String>(arena);
    out.resize(static_cast<std::size_t>(length) + 1); // vsnprintf ends it with a NUL
    (void)std::vsnprintf(out.data(), out.size(), pattern, again);
    va_end(again);
    return {out.data(), static_cast<std::size_t>(length)};
}

int width(Text text) { return static_cast<int>(text.size()); }

double seconds(Micros time) { return static_cast<double>(time) / 1e6; }

const char *plural(double count) { return count == 1 ? "" : "s"; }

Reading not_available(Text indicator, Text unit, Text reason) {
    return {indicator, 0, 0, unit, Verdict::not_available, reason};
}

Verdict above(double value, double limit) { return value > limit ? Verdict::stop : Verdict::normal; }

bool hex_field(Text name, std::size_t field, std::uint32_t &value) {
    const Text digits = name.substr(field * kNameField, kNameField);
    const bool are_upper = digits.find_first_not_of("0123456789ABCDEF") == Text::npos;
    const char *end = digits.data() + digits.size();
    return are_upper && std::from_chars(digits.data(), end, value, 16).ptr == end;
}

} // namespace

Text name(Verdict verdict) {
    switch (verdict) {
    case Verdict::normal:
        return "normal";
    case Verdict::stop:
        return "stop";
    case Verdict::unknown:
        return "unknown";
    case Verdict::not_available:
        break;
    }
    return "not available";
}

double utilisation(const Reading &reading) {
    if (reading.verdict == Verdict::unknown || reading.verdict == Verdict::not_available)
        return 0;
    // Without anything allowed each one counts whole.
    const double share = reading.limit > 0 ? reading.value / reading.limit : reading.value;
    return reading.verdict == Verdict::stop ? std::max(share, 1.0) : share;
}

const Reading *find_stop(const Vector<Reading> &readings) {
    for (const Reading &reading : readings)
        if (reading.verdict == Verdict::stop)
            return &reading;
    return nullptr;
}

std::optional<std::uint64_t> segment_of(Text file_name, std::uint64_t segment_size) {
    const Text suffix = file_name.substr(std::min(file_name.size(), kSegmentNameLength));
    std::uint32_t timeline, log, segment;
    if (file_name.size() < kSegmentNameLength || !(suffix.empty() || suffix == ".partial") || segment_size == 0 ||
        !hex_field(file_name, 0, timeline) || !hex_field(file_name, 1, log) || !hex_field(file_name, 2, segment))
        return std::nullopt;
    const std::uint64_t segments_of_a_log = kLogSize / segment_size;
    if (segment >= segments_of_a_log)
        return std::nullopt;
    return log * segments_of_a_log + segment;
}

std::optional<std::uint64_t> archived_segment(const Archiving &archiving) {
    if (!archiving.last_archived.empty())
        return segment_of(archiving.last_archived, archiving.segment_size);
    const auto failed = segment_of(archiving.last_failed, archiving.segment_size);
    if (!failed || *failed == 0)
        return std::nullopt;
    return *failed - 1; // they are archived in order
}

Reading judge_archiving(const Archiving &archiving, Arena arena) {
    constexpr Text indicator = "wal_archive";
    constexpr Text unit = "segments";
    if (!archiving.is_on)
        return not_available(indicator, unit, "WAL archiving is off");
    const auto archived = archived_segment(archiving);
    if (!archived && archiving.waiting == 0 && archiving.last_archived.empty() && archiving.last_failed.empty())
        return not_available(indicator, unit, "WAL archiving has not run yet");
    // The segment that is being written counts, as it does for a position that is known.
    double backlog = 1.0 + archiving.waiting;
    if (archived) {
        // A position on the border is the end of the segment before it.
        const std::uint64_t current = (std::max<std::uint64_t>(archiving.position, 1) - 1) / archiving.segment_size;
        backlog = static_cast<double>(current - std::min(current, *archived));
    }
    return {indicator,
            backlog,
            kMostSegmentsToArchive,
            unit,
            above(backlog, kMostSegmentsToArchive),
            say(arena, "WAL archive backlog is %.0f segment%s", backlog, plural(backlog))};
}

Reading judge_vacuums(const Vacuums &vacuums, Arena arena) {
    constexpr Text indicator = "autovacuum";
    constexpr Text unit = "vacuums";
    const Text table = vacuums.table_name;
    if (table.empty())
        return not_available(indicator, unit, "the table is gone");
    const Text reason = vacuums.count == 0
                            ? say(arena, "no vacuum is at work on table %.*s", width(table), table.data())
                            : say(arena, "vacuum is at work on table %.*s since %.*s", width(table), table.data(),
                                  width(vacuums.since), vacuums.since.data());
    return {indicator, static_cast<double>(vacuums.count), 0, unit, above(vacuums.count, 0), reason};
}

Reading judge_wal_rate(WalSample &since, WalSample now, int limit_kb, Arena arena) {
    constexpr Text indicator = "wal_rate";
    constexpr Text unit = "kB/s";
    const WalSample from = since;
    const bool is_comparable = from.at != 0 && now.at >= from.at && now.position >= from.position;
    if (!is_comparable || now.at - from.at >= kRateWindow)
        since = now;
    if (limit_kb <= 0)
        return not_available(indicator, unit, "bbm.max_wal_rate is 0, no limit");
    if (!is_comparable)
        return {indicator,
                0,
                static_cast<double>(limit_kb),
                unit,
                Verdict::normal,
                "WAL rate is known from the next look on"};
    const double kilobytes = static_cast<double>(now.position - from.position) / 1024;
    const double rate = kilobytes / seconds(std::max(now.at - from.at, kRateWindow));
    return {indicator,
            rate,
            static_cast<double>(limit_kb),
            unit,
            above(rate, limit_kb),
            say(arena, "WAL is written at %.0f kB/s", rate)};
}

Reading judge_replica_lag(WalSample &mark, WalSample now, const Standbys &standbys, int limit_ms, Arena arena) {
    constexpr Text indicator = "replica_lag";
    constexpr Text unit = "ms";
    if (limit_ms <= 0)
        return not_available(indicator, unit, "bbm.max_replica_lag is 0, no limit");
    const double limit = limit_ms;
    if (standbys.connected == 0) {
        mark = {};
        return {indicator, 0, limit, unit, Verdict::normal, "no standby is connected"};
    }
    if (standbys.silent > 0)
        return {indicator,     0,
                limit,         unit,
                Verdict::stop, "replay lag cannot be read: a standby has not said what it has replayed"};
    const bool is_passed = mark.at == 0 || now.at < mark.at || standbys.replayed >= mark.position;
    if (is_passed)
        mark = now;
    // Who has replayed all that there is has no lag, whatever was measured last.
    const bool is_level = standbys.replayed >= now.position;
    const Micros lag = is_level ? 0 : std::max(standbys.replay_lag, now.at - mark.at);
    const double milliseconds = static_cast<double>(lag) / 1000;
    return {indicator,
            milliseconds,
            limit,
            unit,
            above(milliseconds, limit),
            say(arena, "replay lag is %.1f s", seconds(lag))};
}

Reading judge_users_value(Text function, std::optional<double> value, Arena arena) {
    constexpr Text indicator = "health_function";
    constexpr Text unit = "utilisation";
    if (!value || std::isnan(*value))
        return {
            indicator,        0,
            kUsersLimit,      unit,
            Verdict::unknown, say(arena, "%.*s returned %s", width(function), function.data(), value ? "NaN" : "NULL")};
    return {indicator,
            *value,
            kUsersLimit,
            unit,
            *value >= kUsersLimit ? Verdict::stop : Verdict::normal,
            say(arena, "%.*s returned %.2f", width(function), function.data(), *value)};
}

Reading users_value_unknown(Text error, Arena arena) {
    return {"health_function", 0,
            kUsersLimit,       "utilisation",
            Verdict::unknown,  say(arena, "%.*s", width(error), error.data())};
}

} // namespace bbm
