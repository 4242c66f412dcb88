// The tables of DESIGN.md are what core/lifecycle says: printed from it, every pair of status and event, and looked up
// in the document. When this fails, the right table stands in the message.
#include "core/lifecycle.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace bbm {
namespace {

constexpr const char *kRefused = "-";
constexpr const char *kAlready = "=";

std::string cell(MigrationStatus from, MigrationEvent event) {
    const Step step = apply(from, event);
    if (step.kind == Step::Kind::moves)
        return std::string(name(step.to));
    return step.kind == Step::Kind::already ? kAlready : kRefused;
}

std::string cell(JobStatus from, JobEvent event) {
    const auto to = apply(from, event);
    return to ? std::string(name(*to)) : kRefused;
}

template <class Statuses, class Events>
std::string table(const std::string &title, const Statuses &statuses, const Events &events) {
    std::string header = "| " + title + " |";
    std::string line = "| --- |";
    for (const auto event : events) {
        header += " " + std::string(name(event)) + " |";
        line += " --- |";
    }
    std::string rows;
    for (const auto from : statuses) {
        rows += "| " + std::string(name(from)) + " |";
        for (const auto event : events)
            rows += " " + cell(from, event) + " |";
        rows += "\n";
    }
    return header + "\n" + line + "\n" + rows;
}

std::string design() {
    const std::ifstream file(BBM_SOURCE_DIR "/DESIGN.md");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// Once: an old table that was left beside the new one would be a lie as well.
void expect_once(const std::string &wanted, const std::string &title) {
    const std::string text = design();
    ASSERT_FALSE(text.empty()) << "DESIGN.md cannot be read";
    const std::string first_line = "| " + title + " |";
    const auto found = text.find(first_line);
    ASSERT_NE(found, std::string::npos) << "DESIGN.md wants this table:\n" << wanted;
    EXPECT_EQ(text.find(first_line, found + 1), std::string::npos) << "DESIGN.md has two tables \"" << title << "\"";
    // The table ends with an empty line, so that no row too many follows.
    EXPECT_EQ(text.substr(found, wanted.size() + 1), wanted + "\n") << "DESIGN.md wants this table:\n" << wanted;
}

TEST(design, the_life_of_a_migration_is_the_one_of_core) {
    expect_once(table("a migration that is", kMigrationStatuses, kMigrationEvents), "a migration that is");
}

TEST(design, the_life_of_a_job_is_the_one_of_core) {
    expect_once(table("a job that is", kJobStatuses, kJobEvents), "a job that is");
}

} // namespace
} // namespace bbm
