#include "core/clock_words.hpp"

#include <algorithm>
#include <array>

namespace bbm {

namespace {

constexpr std::array<Text, 4> kWords = {"now", "today", "tomorrow", "yesterday"};

// The server's own rules, whatever the locale.
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

bool is_clock_word(Text word) {
    return std::any_of(kWords.begin(), kWords.end(), [&](Text known) {
        return std::equal(word.begin(), word.end(), known.begin(), known.end(),
                          [](char a, char b) { return lower(a) == b; });
    });
}

} // namespace

// A word is as many letters as stand together: the server takes '{today,now}' and '[2024-01-01 12:00,now)' apart alike.
bool names_the_clock(Text literal) {
    for (auto at = literal.begin(); at != literal.end();) {
        const auto first = std::find_if(at, literal.end(), is_letter);
        const auto last = std::find_if_not(first, literal.end(), is_letter);
        if (is_clock_word({first, last}))
            return true;
        at = last;
    }
    return false;
}

} // namespace bbm
