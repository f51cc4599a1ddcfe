// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/sqlite.hpp"

#include <sqlite3.h>

namespace rankexec::job::sqlite {
namespace {

// What another program that looks at the database may hold it for.
constexpr int kBusyMilliseconds = 5'000;

}  // namespace

Database::Database(const std::filesystem::path& file) : file_(file) {
    sqlite3* handle = nullptr;
    // The store has its own lock around every call.
    const int code = sqlite3_open_v2(file.c_str(), &handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    handle_.reset(handle);
    if (code != SQLITE_OK) fail();
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, kBusyMilliseconds);
}

void Database::Close::operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }

void Database::fail() const {
    throw Error("the database " + file_.string() +
                " fails: " + (handle_ ? sqlite3_errmsg(handle_.get()) : "no memory for it"));
}

void Database::execute(const std::string& sql) {
    if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

std::int64_t Database::single_integer(std::string_view sql) {
    Statement statement(*this, sql);
    return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Database::changes() const noexcept { return sqlite3_changes(handle_.get()); }
std::int64_t Database::last_row() const noexcept { return sqlite3_last_insert_rowid(handle_.get()); }
bool Database::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_.get()) == 0; }

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    statement_.reset(statement);
    if (code != SQLITE_OK) fail();
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

void Statement::fail() const { database_.fail(); }

void Statement::check(int code) const {
    if (code != SQLITE_OK) fail();
}

Statement& Statement::begin() {
    // The code is that of the last step, which has been told already.
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    bound_ = 0;
    return *this;
}

Statement& Statement::bind(std::int64_t value) {
    check(sqlite3_bind_int64(statement_.get(), ++bound_, value));
    return *this;
}

Statement& Statement::bind(std::string_view value) {
    // A null pointer would be NULL, not an empty text.
    const char* data = value.empty() ? "" : value.data();
    check(sqlite3_bind_text64(statement_.get(), ++bound_, data, value.size(), SQLITE_STATIC, SQLITE_UTF8));
    return *this;
}

Statement& Statement::bind(std::optional<std::int64_t> value) {
    if (value) return bind(*value);
    check(sqlite3_bind_null(statement_.get(), ++bound_));
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) {
        try {
            fail();
        } catch (...) {
            // A statement that is not reset keeps its transaction from ending.
            sqlite3_reset(statement_.get());
            throw;
        }
    }
    sqlite3_reset(statement_.get());
    return false;
}

void Statement::run() {
    while (step()) {
    }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::optional<std::int64_t> Statement::optional_integer(int column) const {
    if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
    return integer(column);
}

std::string Statement::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return text == nullptr ? std::string() : std::string(text, size);
}

Transaction::~Transaction() {
    if (!database_.in_transaction()) return;
    try {
        database_.execute("ROLLBACK");
    } catch (const Error&) {
        // SQLite has rolled back already, or will when the database is opened again.
    }
}

}  // namespace rankexec::job::sqlite
