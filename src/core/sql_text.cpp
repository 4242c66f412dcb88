#include "core/sql_text.hpp"

namespace bbm {

namespace {

// What follows a condition must not stand in a comment at its end.
void append_condition(String &out, Text condition) {
    out.push_back('(');
    out.append(condition.data(), condition.size());
    out.append(condition.find("--") == Text::npos ? ")" : "\n)");
}

} // namespace

Text last_part(Text qualified_name) {
    std::size_t begin = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < qualified_name.size(); ++i) {
        if (qualified_name[i] == '"')
            quoted = !quoted; // a doubled quote inside changes nothing
        else if (qualified_name[i] == '.' && !quoted)
            begin = i + 1;
    }
    return qualified_name.substr(begin);
}

Text both_conditions(Text a, Text b, Arena arena) {
    if (a.empty() || b.empty())
        return a.empty() ? b : a;
    String &out = make<String>(arena);
    append_condition(out, a);
    out.append(" AND ");
    append_condition(out, b);
    return view(out);
}

} // namespace bbm
