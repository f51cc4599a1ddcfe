// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <rankexec/core/component/engine.hpp>

#include "gloo_store.hpp"
#include "store_server.hpp"

namespace digits::test {

/// A group inside one process: an engine for the parent and one for each rank, with events relayed
/// between them by direct calls, one rank's event at a time.
class FakeGroup {
public:
    explicit FakeGroup(int world_size, bool with_server = true) {
        if (with_server) parent_.add("store_server", std::make_unique<StoreServer>());
        parent_.add("relay", std::make_unique<ParentRelay>(*this));
        ranks_.resize(static_cast<std::size_t>(world_size));
        for (int rank = 0; rank < world_size; ++rank) {
            auto& engine = *(ranks_[static_cast<std::size_t>(rank)] = std::make_unique<rankexec::Engine>());
            engine.add("store", std::make_unique<GlooStore>());
            engine.add("relay", std::make_unique<RankRelay>(*this, rank));
        }
    }

    [[nodiscard]] int world_size() const { return static_cast<int>(ranks_.size()); }
    rankexec::Engine& parent() { return parent_; }
    rankexec::Engine& rank(int rank) { return *ranks_.at(static_cast<std::size_t>(rank)); }
    GlooStore& store(int of_rank) { return dynamic_cast<GlooStore&>(*rank(of_rank).find("store")); }

    rankexec::Context rank_context(int of_rank) {
        auto context = rank(of_rank).new_context();
        context.set(rankexec::property::kRank, of_rank);
        context.set(rankexec::property::kWorldSize, world_size());
        return context;
    }

    /// Calls `body(rank)` on a thread for each rank; returns what each of them threw.
    std::vector<std::exception_ptr> on_all(const std::function<void(int)>& body) {
        std::vector<std::exception_ptr> errors(ranks_.size());
        std::vector<std::thread> threads;
        threads.reserve(ranks_.size());
        for (int rank = 0; rank < world_size(); ++rank) {
            threads.emplace_back([&, rank] {
                try {
                    body(rank);
                } catch (...) {
                    errors[static_cast<std::size_t>(rank)] = std::current_exception();
                }
            });
        }
        for (auto& thread : threads) thread.join();
        return errors;
    }

private:
    static std::string origin_of(const rankexec::Context& context) {
        return context.text_or(rankexec::property::kEventOrigin, "");
    }

    class RankRelay : public rankexec::Component {
    public:
        RankRelay(FakeGroup& group, int rank) : group_(group), rank_(rank) {}
        void handle_event(const std::string& type, rankexec::Context& context) override {
            if (origin_of(context) != "local") return;
            const std::lock_guard one_at_a_time(group_.dispatch_);
            auto run = group_.parent_.new_context();
            run.apply(context.changes());
            run.forget_changes();
            group_.parent_.deliver_event(type, run, rankexec::EventOrigin::rank, rank_);
            context.apply(run.changes());
        }

    private:
        FakeGroup& group_;
        int rank_;
    };

    class ParentRelay : public rankexec::Component {
    public:
        explicit ParentRelay(FakeGroup& group) : group_(group) {}
        void handle_event(const std::string& type, rankexec::Context& context) override {
            if (origin_of(context) != "local") return;
            for (const auto& rank : group_.ranks_) {
                auto copy = rank->new_context();
                for (const auto& [name, property] : context.serialisable()) copy.set(name, property.value);
                rank->deliver_event(type, copy, rankexec::EventOrigin::parent);
            }
        }

    private:
        FakeGroup& group_;
    };

    std::mutex dispatch_;
    rankexec::Engine parent_;
    std::vector<std::unique_ptr<rankexec::Engine>> ranks_;
};

/// The message of what a thread threw; nothing if it did not throw.
inline std::optional<std::string> message_of(const std::exception_ptr& error) {
    if (!error) return std::nullopt;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& exception) {
        return exception.what();
    }
}

}  // namespace digits::test
