// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/executor/rank_group.hpp"

namespace rankexec::cli {

/// A group without processes: a test plays its ranks through `callbacks`.
class FakeRankGroup : public RankGroup {
public:
    struct Record {
        Callbacks callbacks;
        std::vector<std::chrono::milliseconds> ends;
        std::vector<int> signals;
        std::string input;
        bool input_ended = false;
        bool input_has_room = true;
        std::vector<std::pair<int, std::size_t>> acknowledged;
        std::function<void()> on_call = [] {};  ///< after each call of the group

        void start_all(int ranks) const {
            for (int rank = 0; rank < ranks; ++rank) callbacks.on_started({rank, 100 + rank, "here"});
        }
        void exit(int rank, ExitStatus status, bool by_us = false) const {
            callbacks.on_exited({rank, status, by_us, {"last words"}, false, {}});
        }
        void output(int rank, wire::OutputStream stream, const std::string& text) const {
            const auto bytes = std::as_bytes(std::span(text));
            callbacks.on_output({rank, stream, Bytes(bytes.begin(), bytes.end())});
        }
        void end(const wire::SupervisionEnded& report = {}) const { callbacks.on_ended(report); }
    };

    explicit FakeRankGroup(Record& record) : record_(record) {}

    void request_end(std::chrono::milliseconds grace) override {
        record_.ends.push_back(grace);
        record_.on_call();
    }
    void signal_ranks(int signal) override {
        record_.signals.push_back(signal);
        record_.on_call();
    }
    void write_input(const Bytes& bytes) override {
        record_.input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (bytes.empty()) record_.input_ended = true;
        record_.on_call();
    }
    [[nodiscard]] bool input_has_room() const override { return record_.input_has_room; }
    void ask_for_tail(const wire::ReportTail& /*ask*/) override {}
    void acknowledge_output(int rank, std::size_t bytes) override {
        record_.acknowledged.emplace_back(rank, bytes);
        record_.on_call();
    }
    [[nodiscard]] const std::string& run_id() const override { return run_id_; }
    [[nodiscard]] TransportServer* transport() override { return nullptr; }

private:
    Record& record_;
    std::string run_id_ = std::string(32, '0');
};

}  // namespace rankexec::cli
