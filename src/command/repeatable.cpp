#include "command/repeatable.hpp"

#include "pg/range_command.hpp"
#include "pg/report.hpp"

namespace bbm {

namespace {

// Placeholders have the types of the primary key. Without one there is no key that they could stand for.
pg::TableKey key_of(std::uint32_t table) {
    pg::TableKey key;
    pg::raise_if(pg::find_key(table, {}, key));
    return key;
}

} // namespace

CommandFacts judge_command(Text command, std::uint32_t table, Text scope_to) {
    pg::RangeCommand inspected = {.text = command, .table = table, .key = {}, .scope = scope_to};
    CommandFacts facts = pg::parse_command(command, 0);
    if (facts.statements == 1 && facts.uses_parameters) {
        inspected.key = key_of(table);
        facts = pg::parse_command(command, inspected.key.columns.size());
    }
    if (facts.statements != 1 || facts.kind == CommandFacts::Kind::other || facts.uses_parameters)
        pg::raise_if(check_command(facts, !scope_to.empty()));
    inspected.has_placeholders = true; // a range is of no interest here
    pg::inspect(inspected, facts);
    return facts;
}

} // namespace bbm
