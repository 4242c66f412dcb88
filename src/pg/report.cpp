#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "lib/stringinfo.h"
}

namespace bbm::pg {

namespace {

int sqlstate_code(Text state) {
    if (state.size() != 5)
        return ERRCODE_INTERNAL_ERROR;
    return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

int elevel(Level level) {
    switch (level) {
    case Level::log:
        return LOG;
    case Level::notice:
        return NOTICE;
    case Level::warning:
        break;
    }
    return WARNING;
}

} // namespace

void raise_if(const Refusal &refusal) {
    if (refusal)
        raise(refusal);
}

void raise(const Refusal &refusal) {
    raise(Failure{refusal.sqlstate, refusal.message, refusal.detail, refusal.hint, {}});
}

void raise(const Failure &failure) {
    ereport(ERROR,
            (errcode(sqlstate_code(failure.sqlstate)), errmsg("%.*s", width(failure.message), failure.message.data()),
             failure.detail.empty() ? 0 : errdetail("%.*s", width(failure.detail), failure.detail.data()),
             failure.hint.empty() ? 0 : errhint("%.*s", width(failure.hint), failure.hint.data()),
             // a macro of two calls: the parentheses keep them together
             failure.context.empty() ? 0 : (errcontext("%.*s", width(failure.context), failure.context.data()))));
    pg_unreachable();
}

void report(Level level, Text message, Text detail, Text hint) {
    ereport(elevel(level), (errmsg("%.*s", width(message), message.data()),
                            detail.empty() ? 0 : errdetail("%.*s", width(detail), detail.data()),
                            hint.empty() ? 0 : errhint("%.*s", width(hint), hint.data())));
}

Text format(const char *pattern, ...) {
    StringInfoData text;
    initStringInfo(&text);
    for (;;) {
        va_list arguments;
        va_start(arguments, pattern);
        const int needed = appendStringInfoVA(&text, pattern, arguments);
        va_end(arguments);
        if (needed == 0)
            break;
        enlargeStringInfo(&text, needed);
    }
    return {text.data, static_cast<std::size_t>(text.len)};
}

} // namespace bbm::pg
