#include "core/job_class.hpp"

#include <charconv>

namespace bbm {

namespace {

constexpr char kWrongTemplate[] = "22023"; // invalid_parameter_value

void append(String &out, Text text) { out.append(text.data(), text.size()); }

Text join(Arena arena, std::initializer_list<Text> parts) {
    String &text = make<String>(arena);
    for (Text part : parts)
        append(text, part);
    return view(text);
}

const Argument *find(const Template &source, Text name) {
    for (const Argument &argument : source.arguments)
        if (argument.name == name)
            return &argument;
    return nullptr;
}

// One {name} or {{name}}.
Refusal append_argument(const Template &source, Text name, bool as_literal, String &out, Arena arena) {
    if (!as_literal && name == "table")
        return append(out, source.table), Refusal{};
    if (!as_literal && name == "column")
        return append(out, source.column), Refusal{};
    const Argument *argument = find(source, name);
    if (argument == nullptr)
        return {kWrongTemplate,
                join(arena, {"command uses the unknown job argument \"", name, "\""}),
                {},
                "Name it in job_arguments; where the array constant '{x}' is meant, write ARRAY['x']."};
    if (argument->values.empty())
        return {kWrongTemplate, join(arena, {"job argument \"", name, "\" is an empty list"}), {}, {}};
    bool first = true;
    for (Text value : argument->values) {
        if (!first)
            append(out, ", ");
        first = false;
        if (value.data() == nullptr && !as_literal)
            return {
                kWrongTemplate, join(arena, {"job argument \"", name, "\" is null, but is used as a name"}), {}, {}};
        if (value.data() == nullptr)
            append(out, "NULL");
        else if (as_literal)
            append_literal(out, value);
        else
            append_identifier(out, value);
    }
    return {};
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The name between braces at `start`, or an empty text where no placeholder stands: JSON, arrays and regular
// expressions in the command ('{1,2}', '{"a": 1}') are left as they are.
Text placeholder_name(Text command, std::size_t start, bool doubled) {
    std::size_t end = start;
    while (end < command.size() && is_name_character(command[end]))
        ++end;
    const Text closing = doubled ? "}}" : "}";
    const bool starts_as_name = end > start && !(command[start] >= '0' && command[start] <= '9');
    if (!starts_as_name || command.substr(end, closing.size()) != closing)
        return {};
    return command.substr(start, end - start);
}

} // namespace

Refusal render(const Template &source, String &out, Arena arena) {
    const Text command = source.command;
    std::size_t i = 0;
    while (i < command.size()) {
        const bool doubled = command.substr(i, 2) == "{{";
        const std::size_t braces = doubled ? 2 : 1;
        const Text name = command[i] == '{' ? placeholder_name(command, i + braces, doubled) : Text{};
        if (name.empty()) {
            out.push_back(command[i++]);
            continue;
        }
        if (Refusal refusal = append_argument(source, name, doubled, out, arena))
            return refusal;
        i += name.size() + 2 * braces;
    }
    return {};
}

Refusal check_argument_count(Text job_class_name, int given, int expected, Arena arena) {
    if (given == expected)
        return {};
    char given_text[16], expected_text[16];
    const auto given_end = std::to_chars(given_text, given_text + sizeof given_text, given).ptr;
    const auto expected_end = std::to_chars(expected_text, expected_text + sizeof expected_text, expected).ptr;
    return {kWrongTemplate,
            join(arena, {"Wrong number of job arguments for ", job_class_name, " (given ",
                         Text(given_text, static_cast<std::size_t>(given_end - given_text)), ", expected ",
                         Text(expected_text, static_cast<std::size_t>(expected_end - expected_text)), ")"}),
            {},
            "The definition is shown by: SELECT * FROM bbm.job_classes;"};
}

void append_identifier(String &out, Text name) {
    out.push_back('"');
    for (char c : name) {
        if (c == '"')
            out.push_back('"');
        out.push_back(c);
    }
    out.push_back('"');
}

// Backslashes need the E form whatever standard_conforming_strings says.
void append_literal(String &out, Text value) {
    if (value.find('\\') != Text::npos)
        append(out, " E");
    out.push_back('\'');
    for (char c : value) {
        if (c == '\'' || c == '\\')
            out.push_back(c);
        out.push_back(c);
    }
    out.push_back('\'');
}

} // namespace bbm
