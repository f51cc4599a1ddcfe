// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

/// A thin cover of SQLite's C interface: owners for its handles, and errors as exceptions, which the store catches
/// before they leave it. One thread at a time.
namespace rankexec::job::sqlite {

class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Database;

/// A prepared statement. Bound from the first parameter on; the bound texts must outlive the steps.
class Statement {
public:
    Statement(Database& database, std::string_view sql);

    /// Goes back to before the first row, and forgets what was bound. For each use; returns itself.
    Statement& begin();
    Statement& bind(std::int64_t value);
    Statement& bind(std::string_view value);
    Statement& bind(std::optional<std::int64_t> value);

    /// Whether there is one more row.
    bool step();
    /// For statements without rows.
    void run();

    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;
    [[nodiscard]] std::string text(int column) const;

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };
    [[noreturn]] void fail() const;
    void check(int code) const;

    Database& database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    int bound_ = 0;
};

class Database {
public:
    /// Opens it, or makes a new one.
    explicit Database(const std::filesystem::path& file);

    /// Any number of statements.
    void execute(const std::string& sql);
    [[nodiscard]] std::int64_t single_integer(std::string_view sql);
    /// Rows that the last statement has changed.
    [[nodiscard]] std::int64_t changes() const noexcept;
    [[nodiscard]] std::int64_t last_row() const noexcept;
    [[nodiscard]] bool in_transaction() const noexcept;
    [[noreturn]] void fail() const;
    [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }

private:
    struct Close {
        void operator()(sqlite3* handle) const noexcept;
    };
    std::filesystem::path file_;
    std::unique_ptr<sqlite3, Close> handle_;
};

/// Rolled back when it goes without commit().
class Transaction {
public:
    /// It will write: takes the lock now.
    explicit Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit() { database_.execute("COMMIT"); }

private:
    Database& database_;
};

}  // namespace rankexec::job::sqlite
