#include "store/job_classes.hpp"

#include "pg/identity.hpp"
#include "pg/spi.hpp"

namespace bbm::store {

namespace {

pg::Statement load_statement = {"SELECT name, command, job_arguments, scope_to, operation_name, owner_oid, owner_name, "
                                "needs_scope_to FROM bbm.job_class WHERE name = $1"};
pg::Statement insert_statement = {
    "INSERT INTO bbm.job_class (name, command, job_arguments, scope_to, operation_name, owner_oid, owner_name)"
    " VALUES ($1, $2, coalesce($3, '{}'), $4, $5, $6::pg_catalog.oid, $7) ON CONFLICT DO NOTHING"};
pg::Statement delete_statement = {"DELETE FROM bbm.job_class WHERE name = $1"};

// Text of strings without their quotes; other scalars as JSON writes them; null as NULL.
pg::Statement split_statement = {
    "SELECT a.position, v.item #>> '{}', v.place IS NULL FROM pg_catalog.jsonb_array_elements($1) WITH ORDINALITY AS a "
    "(item, position)"
    " LEFT JOIN LATERAL pg_catalog.jsonb_array_elements("
    "   CASE pg_catalog.jsonb_typeof(a.item) WHEN 'array' THEN a.item ELSE pg_catalog.jsonb_build_array(a.item) END)"
    "   WITH ORDINALITY AS v (item, place) ON true ORDER BY a.position, v.place"};
pg::Statement count_statement = {"SELECT pg_catalog.jsonb_array_length($1)"};

} // namespace

std::optional<JobClass> load_job_class(Text name, Arena arena) {
    std::optional<JobClass> job_class;
    pg::query(load_statement, {pg::text(name)}, [&](pg::Row row) {
        job_class = JobClass{row.text(1, arena), row.text(2, arena), row.key(3, arena),
                             row.text(4, arena), row.text(5, arena), static_cast<std::uint32_t>(row.integer(6)),
                             row.text(7, arena), row.boolean(8)};
    });
    return job_class;
}

bool insert_job_class(const JobClass &job_class) {
    return pg::execute(insert_statement,
                       {pg::text(job_class.name), pg::text(job_class.command), pg::key(job_class.job_arguments),
                        pg::text(job_class.scope_to), pg::text(job_class.operation_name),
                        pg::integer(job_class.owner_oid), pg::text(job_class.owner_name)}) == 1;
}

void delete_job_class(Text name) { pg::execute(delete_statement, {pg::text(name)}); }

Vector<Argument> &split_arguments(Text json, Key names, Arena arena) {
    auto &arguments = make<Vector<Argument>>(arena);
    std::int64_t count = 0;
    pg::query(count_statement, {pg::json(json)}, [&](pg::Row row) { count = row.integer(1); });
    arguments.resize(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < arguments.size() && i < names.size(); ++i)
        arguments[i].name = names[i];
    auto &values = make<Vector<Text>>(arena);
    auto &positions = make<Vector<std::int64_t>>(arena);
    pg::query(split_statement, {pg::json(json)}, [&](pg::Row row) {
        if (row.boolean(3)) // an empty list
            return;
        values.push_back(row.text(2, arena));
        positions.push_back(row.integer(1));
    });
    for (std::size_t first = 0; first < values.size();) {
        std::size_t end = first;
        while (end < values.size() && positions[end] == positions[first])
            ++end;
        arguments[static_cast<std::size_t>(positions[first]) - 1].values = {values.data() + first, end - first};
        first = end;
    }
    return arguments;
}

} // namespace bbm::store
