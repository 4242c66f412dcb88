#include "command/scaffold.hpp"

#include "core/arena.hpp"
#include "core/job_class.hpp"
#include "pg/catalog.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/table_key.hpp"
#include "worker/parts.hpp"

namespace bbm {

namespace {

// Between @ and @ the names of what is filled in. An empty line ends a step of its own: a statement, which may be run
// alone.
constexpr Text kScript = R"(-- A batched background migration of @table@.

-- 1. Define the work. This command changes nothing: say what it shall set. {table} stands for the table; scope_to, a
--    condition over its columns, leaves other rows alone.
SELECT bbm.define(@name@,
                  @command@,
                  scope_to => NULL);

-- 2. Test it on a copy of some rows.
CREATE TABLE @copy@ (LIKE @table@ INCLUDING ALL EXCLUDING IDENTITY EXCLUDING GENERATED);

INSERT INTO @copy@ SELECT * FROM @table@ ORDER BY @key@ LIMIT 10000;

SELECT bbm.queue(@name@, @copy_literal@, @walk@, start => false);

--    A range by hand, rolled back: does it do what it should, and how fast?
SELECT * FROM bbm.run_batch(@name@, @copy_literal@, @key_literal@, '[]',
                            (SELECT @value@ FROM @copy@ ORDER BY @key@ LIMIT 1),
                            (SELECT @value@ FROM @copy@ ORDER BY @backwards@ LIMIT 1));

SELECT bbm.resume(@name@, @copy_literal@, @key_literal@, '[]');

CALL bbm.run(@name@);

SELECT * FROM @copy@ ORDER BY @key@ LIMIT 10;

SELECT bbm.delete(@name@, @copy_literal@, @key_literal@, '[]');

DROP TABLE @copy@;

-- 3. How long will it take? Samples are rolled back and leave dead rows behind, nothing else.
SELECT * FROM bbm.estimate(@name@, @table_literal@, @walk@, max_time => '10 s');

-- 4. Queue it. Useful here: job_interval => '2 min', finish_within => '1 day', on_data_error => 'quarantine'.
SELECT bbm.queue(@name@, @table_literal@, @walk@);

-- 5. Watch it, in psql with \watch instead of the semicolon. Where background workers are unwanted: CALL bbm.run(@name@);
SELECT * FROM bbm.status;

-- 6. The gate, in the next release, before anything relies on it.
SELECT bbm.ensure_finished(@name@, @table_literal@, @key_literal@, '[]');

-- 7. Clean up, in the release after that.
SELECT bbm.cleanup(@name@);
)";

Text literal(Text value) {
    String &out = make<String>(pg::current_arena());
    append_literal(out, value);
    return view(out);
}

Text identifier(Text value) {
    String &out = make<String>(pg::current_arena());
    append_identifier(out, value);
    return view(out);
}

Text columns(const pg::TableKey &key, Text suffix) {
    String &out = make<String>(pg::current_arena());
    for (const Text name : key.names) {
        out.append(out.empty() ? "" : ", ");
        append_identifier(out, name);
        out.append(suffix.data(), suffix.size());
    }
    return Text(out.c_str(), out.size());
}

Text literals(Key values) {
    String &out = make<String>(pg::current_arena());
    for (const Text value : values) {
        out.append(out.empty() ? "" : ", ");
        append_literal(out, value);
    }
    return Text(out.c_str(), out.size());
}

struct Filling {
    Text name;
    Text value;
};

// In one pass: what is filled in may hold an @ of its own.
Text fill(Text script, std::span<const Filling> fillings) {
    String &out = make<String>(pg::current_arena());
    for (std::size_t at = 0; at < script.size();) {
        const std::size_t open = script.find('@', at);
        const Text plain = script.substr(at, open - at);
        out.append(plain.data(), plain.size());
        if (open == Text::npos)
            break;
        const std::size_t close = script.find('@', open + 1);
        const Text wanted = script.substr(open + 1, close - open - 1);
        for (const Filling &filling : fillings)
            if (filling.name == wanted)
                out.append(filling.value.data(), filling.value.size());
        at = close + 1;
    }
    return view(out);
}

// A column set to itself, or a command that meets no row where there is none but the key.
Text harmless_command(std::uint32_t table, const pg::TableKey &key) {
    const Text column = pg::assignable_column(table, key);
    if (column.empty())
        return "DELETE FROM {table} WHERE false";
    const Text quoted = identifier(column);
    return pg::format("UPDATE {table} SET %s = %s", quoted.data(), quoted.data());
}

} // namespace

Text scaffold(Text name, std::uint32_t table, Text column_name) {
    if (name.empty())
        pg::raise(Refusal{"22023", "name must not be empty", {}, {}});
    const Text wanted[] = {column_name};
    const pg::TableKey key = find_key_to_walk_by(table, Walk::keys, column_name.empty() ? Key{} : Key{wanted});
    const Text table_name = pg::table_name(table), copy = pg::unused_name(table, "bbm_copy");
    const bool is_single = key.names.size() == 1;
    const Filling fillings[] = {
        {"name", literal(name)},
        {"command", literal(harmless_command(table, key))},
        {"table", table_name},
        {"table_literal", literal(table_name)},
        {"copy", copy},
        {"copy_literal", literal(copy)},
        {"key", columns(key, "")},
        {"backwards", columns(key, " DESC")},
        {"value", is_single ? columns(key, "") : pg::format("ARRAY[%s]", columns(key, "::text").data())},
        {"walk", is_single ? literal(key.names[0])
                           : pg::format("cursor_columns => ARRAY[%s]", literals(key.names).data())},
        {"key_literal", literal(pg::key_text(key.names))},
    };
    return fill(kScript, fillings);
}

} // namespace bbm
