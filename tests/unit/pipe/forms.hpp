// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "rankexec/ipc/pipe/pipe.hpp"

namespace rankexec::test {

/// What the contract holds for.
enum class Form { file, file_without_events, zeromq_ipc, zeromq_tcp };
[[nodiscard]] std::vector<Form> all_forms();
[[nodiscard]] std::string name_of(Form form);
void PrintTo(Form form, std::ostream* out);  // NOLINT(readability-identifier-naming): GoogleTest's
[[nodiscard]] std::string form_name(const ::testing::TestParamInfo<Form>& info);
[[nodiscard]] bool is_file(Form form);

/// Longer than anything takes that is to happen; what is not to happen is waited for with kShort.
inline constexpr std::chrono::milliseconds kLong{10'000};
inline constexpr std::chrono::milliseconds kShort{50};

/// A folder for one test, removed with all that is in it.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// Both ends of one pipe in this process, opened; or one end, and the other in another process.
class Ends {
public:
    explicit Ends(Form form, wire::Limits limits = {}) : form_(form), limits_(limits) {}

    void open_passive(OnPipeStep on_step = {});
    void open_active(OnPipeStep on_step = {});
    void open() {
        open_passive();
        open_active();
    }
    /// One more active end, not opened.
    [[nodiscard]] std::unique_ptr<Pipe> another_active(OnPipeStep on_step = {}) const;
    /// What a process needs to make the active or the passive end: arguments of pipe_peer.
    [[nodiscard]] std::vector<std::string> peer_arguments(PipeMode mode) const;
    /// Of a ZeroMQ pipe whose passive end is open.
    [[nodiscard]] std::string credentials() const;
    [[nodiscard]] std::string root() const { return folder_.path() + "/pipe"; }

    std::unique_ptr<Pipe> passive;
    std::unique_ptr<Pipe> active;

private:
    [[nodiscard]] std::unique_ptr<Pipe> make(PipeMode mode, OnPipeStep on_step) const;

    Form form_;
    wire::Limits limits_;
    TemporaryFolder folder_;
};

/// A request that can be told from others.
[[nodiscard]] PipeMessage numbered(int number);
[[nodiscard]] int number_of(const PipeMessage& message);
/// The next message; fails the test when there is none.
[[nodiscard]] PipeMessage received_by(Pipe& pipe);
[[nodiscard]] bool receives_nothing(Pipe& pipe);
/// "not_taken", ...; "" when there is no error.
[[nodiscard]] std::string kind_of(const PipeError& error);
[[nodiscard]] std::string kind_of(const Pipe::Result& result);
[[nodiscard]] std::string kind_of(const Pipe::Received& received);

}  // namespace rankexec::test
