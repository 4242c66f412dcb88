#include "core/mentions.hpp"

#include "core/sql_text.hpp"

#include <algorithm>

namespace bbm {

namespace {

constexpr std::size_t kPackedSize = 3; // start, length, flags
enum Flag : int { kHasAlias = 1, kIsOnly = 2, kTakesOnly = 4, kIsQualifier = 8 };

void append(String &out, Text text) { out.append(text.data(), text.size()); }

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool is_word_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           !is_ascii(c);
}

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_uescape(Text word) {
    constexpr Text uescape = "uescape";
    return std::equal(word.begin(), word.end(), uescape.begin(), uescape.end(),
                      [](char a, char b) { return to_lower(a) == b; });
}

std::size_t end_of_word(Text text, std::size_t at) {
    while (at < text.size() && is_word_character(text[at]))
        ++at;
    return at;
}

// A doubled quote inside ends one quoted piece and begins the next: together they are one name all the same.
std::size_t end_of_quoted(Text text, std::size_t at) {
    const char quote = text[at];
    while (at < text.size() && text[at] == quote) {
        const std::size_t closing = text.find(quote, at + 1);
        at = closing == Text::npos ? text.size() : closing + 1;
    }
    return at;
}

std::size_t end_of_line(Text text, std::size_t at) {
    const std::size_t end = text.find_first_of("\r\n", at);
    return end == Text::npos ? text.size() : end;
}

// Comments nest.
std::size_t end_of_comment(Text text, std::size_t at) {
    int depth = 0;
    do {
        const Text pair = text.substr(at, 2);
        depth += pair == "/*" ? 1 : pair == "*/" ? -1 : 0;
        at += pair == "/*" || pair == "*/" ? 2 : 1;
    } while (depth > 0 && at < text.size());
    return std::min(at, text.size());
}

// The last part of a name.
struct Part {
    Text text;               // as it was written, with UESCAPE
    bool is_bare = false;    // without quotes
    bool is_behind = false;  // a dot
    bool is_unicode = false; // U&"..."
};

Part part_at(Text name, std::size_t start) {
    const bool is_unicode = to_lower(name[start]) == 'u' && name.substr(start + 1, 2) == "&\"";
    if (is_unicode || name[start] == '"')
        return {name.substr(start, end_of_quoted(name, start + (is_unicode ? 2 : 0)) - start), false, false,
                is_unicode};
    return {name.substr(start, end_of_word(name, start) - start), true};
}

// `name` is what a mention covers.
Part called(Text name) {
    Part last;
    std::size_t begin = 0; // of the last part
    bool dot = false;
    for (std::size_t at = 0; at < name.size();) {
        if (name.substr(at, 2) == "--") {
            at = end_of_line(name, at);
        } else if (name.substr(at, 2) == "/*") {
            at = end_of_comment(name, at);
        } else if (name[at] == '\'') { // of UESCAPE: the name goes on to here
            at = end_of_quoted(name, at);
            if (last.is_unicode)
                last.text = name.substr(begin, at - begin);
        } else if (name[at] == '"' || is_word_character(name[at])) {
            const Part part = part_at(name, at);
            if (!last.is_unicode || dot || !is_uescape(part.text)) {
                last = part;
                last.is_behind = dot;
                begin = at;
                dot = false;
            }
            at += part.text.size();
        } else {
            dot = dot || name[at] == '.';
            ++at;
        }
    }
    return last;
}

// Is it the name that the table has now? `name` has quotes where it needs them.
bool is_called(const Part &part, Text name) {
    if (part.is_bare)
        return std::equal(part.text.begin(), part.text.end(), name.begin(), name.end(),
                          [](char a, char b) { return to_lower(a) == b; });
    const bool is_quoted = !part.is_unicode && part.text.size() > 2;
    return is_quoted && (part.text == name || part.text.substr(1, part.text.size() - 2) == name);
}

// What stands behind a dot may be any key word, even one that is no alias.
void append_alias(String &out, const Part &part) {
    if (!part.is_bare || !part.is_behind || !std::all_of(part.text.begin(), part.text.end(), is_ascii))
        return append(out, part.text);
    out.push_back('"');
    for (char c : part.text)
        out.push_back(to_lower(c));
    out.push_back('"');
}

// A quoted name may touch the word beside it; what is written in its place must not.
bool touches(char c) { return is_word_character(c) || c == '"' || c == '\''; }

void append_mention(String &out, Text name, const Mention &mention, Text table, bool only) {
    const Part part = called(name);
    if (mention.is_qualifier)
        return append_alias(out, part);
    if (only && mention.takes_only && !mention.is_only)
        append(out, "ONLY ");
    append(out, table);
    if (mention.has_alias || is_called(part, last_part(table)))
        return;
    append(out, " AS ");
    append_alias(out, part);
}

} // namespace

Text with_table(Text command, std::span<const Mention> mentions, Text table, bool only, Arena arena) {
    String &out = make<String>(arena);
    std::size_t done = 0;
    for (const Mention &mention : mentions) {
        const auto start = static_cast<std::size_t>(mention.start), length = static_cast<std::size_t>(mention.length);
        append(out, command.substr(done, start - done));
        if (start > 0 && touches(command[start - 1]))
            out.push_back(' ');
        append_mention(out, command.substr(start, length), mention, table, only);
        done = start + length;
        if (done < command.size() && touches(command[done]))
            out.push_back(' ');
    }
    append(out, command.substr(done));
    return view(out);
}

Vector<int> &pack(std::span<const Mention> mentions, Arena arena) {
    auto &packed = make<Vector<int>>(arena);
    packed.reserve(kPackedSize * mentions.size());
    for (const Mention &mention : mentions) {
        packed.push_back(mention.start);
        packed.push_back(mention.length);
        packed.push_back((mention.has_alias ? kHasAlias : 0) | (mention.is_only ? kIsOnly : 0) |
                         (mention.takes_only ? kTakesOnly : 0) | (mention.is_qualifier ? kIsQualifier : 0));
    }
    return packed;
}

Vector<Mention> &unpack(std::span<const int> packed, Arena arena) {
    auto &mentions = make<Vector<Mention>>(arena);
    if (packed.size() % kPackedSize != 0)
        return mentions;
    mentions.reserve(packed.size() / kPackedSize);
    for (std::size_t i = 0; i < packed.size(); i += kPackedSize) {
        const int flags = packed[i + 2];
        mentions.push_back({packed[i], packed[i + 1], (flags & kHasAlias) != 0, (flags & kIsOnly) != 0,
                            (flags & kTakesOnly) != 0, (flags & kIsQualifier) != 0});
    }
    return mentions;
}

} // namespace bbm
