// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rankexec::job::test {

/// Slurm's commands over files in a folder. Nothing runs by itself: a test moves the jobs on and breaks the commands.
class FakeSlurm {
public:
    explicit FakeSlurm(const std::filesystem::path& folder);

    [[nodiscard]] const std::filesystem::path& programs() const { return folder_; }

    /// "": works; "down": fails. sbatch also: "refuse"; "lost": fails, and there is no job; "silent": fails, and
    /// there is one.
    void set(const std::string& command, const std::string& mode) const;
    void set_state(const std::string& id, const std::string& state) const;
    /// Slurm has forgotten it.
    void forget(const std::string& id) const;
    void set_accounted(const std::string& lines) const;

    [[nodiscard]] std::vector<std::string> calls(const std::string& command) const;
    [[nodiscard]] std::string script(const std::string& id) const;
    [[nodiscard]] std::vector<std::string> ids() const;
    /// As a node would; returns its exit code.
    [[nodiscard]] int run_script(const std::string& id, const std::filesystem::path& directory) const;

private:
    std::filesystem::path folder_;
};

}  // namespace rankexec::job::test
