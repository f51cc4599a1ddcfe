// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/components.hpp"

#include <bit>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "rankexec/core/bench/payload.hpp"
#include "rankexec/core/component/executor.hpp"

namespace rankexec::bench {
namespace {

std::int64_t number(const Shareable& input, const char* name) {
    const auto* const value = input.header(name);
    return value != nullptr ? value->integer_or(0) : 0;
}

Shareable answer_with_checksum(const Tensor* tensor) {
    if (tensor == nullptr) return Shareable::failed(ReturnCode::bad_request_data, "the benchmark's task has no tensor");
    Shareable reply;
    reply.body[kChecksum] = std::bit_cast<std::int64_t>(checksum(tensor->bytes()));
    return reply;
}

class BenchExecutor : public Executor {
public:
    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override {
        if (task == task::kEcho) return input;
        if (task == task::kRead) return answer_with_checksum(input.tensor(kPayload));
        if (task == task::kKeep) return keep(input);
        if (task == task::kCheck) return check();
        if (task == task::kPrepare) return prepare(input);
        if (task == task::kGive) return give();
        if (task == task::kFire) return fire(input, context);
        if (task == task::kWait) return wait(context, abort);
        return Shareable::failed(ReturnCode::task_unknown, "the benchmark's worker has no task " + task);
    }

private:
    Shareable keep(const Shareable& input) {
        const auto* const tensor = input.tensor(kPayload);
        if (tensor != nullptr) kept_ = *tensor;
        return {};
    }

    Shareable check() {
        auto reply = answer_with_checksum(kept_ ? &*kept_ : nullptr);
        kept_.reset();
        return reply;
    }

    Shareable prepare(const Shareable& input) {
        const auto bytes = static_cast<std::uint64_t>(number(input, kBytes));
        if (!source_ || bytes != source_bytes_) source_.emplace(bytes);
        source_bytes_ = bytes;
        const auto seed = static_cast<std::uint64_t>(number(input, kSeed));
        const auto* const in_place = input.header(kInPlace);
        auto payload = in_place != nullptr && in_place->boolean_or(false)
                           ? build_payload(allocate(DType::uint8, {number(input, kBytes)}), seed)
                           : source_->next(seed);
        prepared_ = std::move(payload.tensor);
        Shareable reply;
        reply.body[kChecksum] = std::bit_cast<std::int64_t>(payload.checksum);
        return reply;
    }

    Shareable give() {
        Shareable reply;
        if (prepared_) reply.tensors[kPayload] = std::move(*prepared_);
        prepared_.reset();
        return reply;
    }

    Shareable fire(const Shareable& input, Context& context) {
        const auto* const all = input.header(kAllRanks);
        const bool fires = (all != nullptr && all->boolean_or(false)) || context.integer_or(property::kRank, 0) == 0;
        const auto* const one_way = input.header(kOneWay);
        if (one_way != nullptr && one_way->boolean_or(false)) {
            stream(fires ? number(input, kCount) : 0, context);
            return {};
        }
        std::vector<double> times(fires ? static_cast<std::size_t>(number(input, kCount)) : 0);
        for (auto& time : times) {
            const auto begin = std::chrono::steady_clock::now();
            fire_event(kEvent, context);
            time = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
        }
        Shareable reply;
        const auto count = static_cast<std::int64_t>(times.size());
        reply.tensors[kTimes] = Tensor::copy_of(std::span<const double>(times), {count});
        return reply;
    }

    void stream(std::int64_t count, Context& context) {
        for (std::int64_t turn = 1; turn <= count; ++turn) {
            context.set(kNumber, turn);
            fire_one_way(kEvent, context);
        }
    }

    Shareable wait(Context& context, const Signal& abort) {
        fire_event(kWaiting, context);
        abort.wait();
        return Shareable::failed(ReturnCode::task_aborted, abort.reason());
    }

    std::optional<Tensor> kept_;
    std::optional<Tensor> prepared_;
    std::optional<PayloadSource> source_;
    std::uint64_t source_bytes_ = 0;
};

}  // namespace

void register_components(ComponentRegistry& registry) { registry.add<BenchExecutor>(kExecutorType); }

}  // namespace rankexec::bench
