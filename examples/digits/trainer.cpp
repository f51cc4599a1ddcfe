// SPDX-License-Identifier: Apache-2.0
#include "trainer.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <gloo/common/error.h>

#include <rankexec/core/component/engine.hpp>
#include <rankexec/core/model/context.hpp>

#include "model_tensors.hpp"
#include "random.hpp"

namespace digits {

using rankexec::ReturnCode;
using rankexec::Shareable;
using rankexec::Value;

namespace {

/// Ends a task early, by the abort signal.
struct Aborted : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void throw_if(const rankexec::Signal& abort) {
    if (abort.triggered()) throw Aborted(abort.reason());
}

/// The order of a rank's images in one epoch.
std::vector<std::size_t> image_order(std::size_t images, std::uint64_t seed, std::int64_t round, int epoch, int rank) {
    std::vector<std::size_t> order(images);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (const auto salt :
         {static_cast<std::uint64_t>(round), static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(rank)}) {
        seed = Random(seed ^ salt).next();
    }
    Random(seed).shuffle(order);
    return order;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

struct DigitsTrainer::Task {
    std::string name;
    std::int64_t number = 0;
    std::int64_t round = 0;
    Parameters parameters;
    int rank = 0;
    int world_size = 1;
    const rankexec::Signal& abort;
};

struct DigitsTrainer::Totals {
    double loss = 0;
    double correct = 0;
    double samples = 0;
    double all_loss = 0;  ///< the same over all ranks
    double all_correct = 0;
    double all_samples = 0;
};

DigitsTrainer::DigitsTrainer(const Value::Map& args)
    : options_(parse_trainer_options(args)),
      dataset_(take_share(split(read_images(find_data(options_.data))), options_.share)) {}

Shareable DigitsTrainer::execute(const std::string& task, const Shareable& input, rankexec::Context& context,
                                 const rankexec::Signal& abort) {
    ++tasks_;
    collective_.reset();
    if (task != "train" && task != "validate") {
        return Shareable::failed(ReturnCode::task_unknown,
                                 "the digits trainer knows the tasks train and validate, not \"" + task + "\"");
    }
    const auto* round = input.header("round");
    if (round == nullptr || round->integer_or(0) < 1) {
        return Shareable::failed(ReturnCode::bad_task_data, "the header round must be an integer from 1");
    }
    const bool fresh = task == "train" && input.tensors.empty();
    auto parameters =
        fresh ? tl::expected<Parameters, std::string>(initial_parameters(options_.seed)) : from_tensors(input.tensors);
    if (!parameters) return Shareable::failed(ReturnCode::bad_task_data, parameters.error());

    const auto* number = input.header("task_number");
    const Task work{.name = task,
                    .number = number == nullptr ? tasks_ : number->integer_or(tasks_),
                    .round = round->integer_or(0),
                    .parameters = std::move(*parameters),
                    .rank = static_cast<int>(context.integer_or(rankexec::property::kRank, 0)),
                    .world_size = static_cast<int>(context.integer_or(rankexec::property::kWorldSize, 1)),
                    .abort = abort};
    try {
        throw_if(abort);
        connect(work);
        return task == "train" ? train(work) : validate(work);
    } catch (const std::exception& error) {
        collective_.reset();  // now: the other ranks wait for this one
        if (!abort.triggered()) throw;
        return Shareable::failed(ReturnCode::task_aborted, abort.reason());
    }
}

void DigitsTrainer::connect(const Task& task) {
    auto* store = dynamic_cast<GlooStore*>(engine().find(options_.store));
    if (store == nullptr) {
        throw std::runtime_error("no component \"" + options_.store + "\" of type digits_gloo_store on this rank");
    }
    collective_ = std::make_unique<Collective>(*store, task.name + "-" + std::to_string(task.number), task.rank,
                                               task.world_size, options_.collective, task.abort);
}

Shareable DigitsTrainer::train(const Task& task) {
    auto parameters = task.parameters;
    // Momentum starts anew each round: the model is all that goes from round to round.
    MomentumDescent descent(options_.learning_rate, options_.momentum);
    Totals totals;
    for (int epoch = 1; epoch <= options_.epochs; ++epoch) {
        const auto start = std::chrono::steady_clock::now();
        totals = train_epoch(task, epoch, parameters, descent);
        report(task, epoch, totals, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    Shareable reply;
    reply.tensors = to_tensors(parameters);
    reply.headers = {{"round", task.round},
                     {"epochs", options_.epochs},
                     {"samples", static_cast<std::int64_t>(totals.all_samples)},
                     {"loss", ratio(totals.all_loss, totals.all_samples)},
                     {"accuracy", ratio(totals.all_correct, totals.all_samples)}};
    return reply;
}

DigitsTrainer::Totals DigitsTrainer::train_epoch(const Task& task, int epoch, Parameters& parameters,
                                                 MomentumDescent& descent) {
    const auto images = shard(dataset_.training, task.rank, task.world_size);
    const auto order = image_order(images.size(), options_.seed, task.round, epoch, task.rank);
    // Rank 0 has the largest shard; all ranks take as many steps as it does, a last one perhaps empty.
    const auto steps = (shard(dataset_.training, 0, task.world_size).size() + options_.batch - 1) / options_.batch;
    constexpr std::size_t kLossAt = Layout::kSize, kCorrectAt = kLossAt + 1, kSamplesAt = kLossAt + 2;
    std::vector<float> sums(kSamplesAt + 1);
    Totals totals;
    for (std::size_t step = 0; step < steps; ++step) {
        throw_if(task.abort);
        std::fill(sums.begin(), sums.end(), 0.0F);
        const auto end = std::min(order.size(), (step + 1) * options_.batch);
        for (auto i = step * options_.batch; i < end; ++i) {
            const auto outcome =
                accumulate_gradient(parameters, images[order[i]], std::span(sums).first(Layout::kSize));
            sums[kLossAt] += outcome.loss;
            sums[kCorrectAt] += outcome.correct ? 1.0F : 0.0F;
            sums[kSamplesAt] += 1.0F;
        }
        totals.loss += sums[kLossAt];
        totals.correct += sums[kCorrectAt];
        totals.samples += sums[kSamplesAt];
        collective_->sum(sums);
        totals.all_loss += sums[kLossAt];
        totals.all_correct += sums[kCorrectAt];
        totals.all_samples += sums[kSamplesAt];
        descent.step(parameters, std::span(sums).first(Layout::kSize), 1.0F / sums[kSamplesAt]);
    }
    return totals;
}

void DigitsTrainer::report(const Task& task, int epoch, const Totals& mine, double seconds) {
    auto context = engine().new_context();
    context.set("metric", Value::Map{{"rank", task.rank},
                                     {"world_size", task.world_size},
                                     {"round", task.round},
                                     {"epoch", epoch},
                                     {"epochs", options_.epochs},
                                     {"samples", static_cast<std::int64_t>(mine.samples)},
                                     {"loss", ratio(mine.loss, mine.samples)},
                                     {"accuracy", ratio(mine.correct, mine.samples)},
                                     {"samples_per_second", ratio(mine.samples, seconds)}});
    fire_event("metric", context);
}

Shareable DigitsTrainer::validate(const Task& task) {
    std::array<std::int64_t, 2> counts{};  // correct, all
    for (const auto& image : shard(dataset_.held_out, task.rank, task.world_size)) {
        throw_if(task.abort);
        counts[0] += predict(task.parameters, image) == image.digit ? 1 : 0;
        counts[1] += 1;
    }
    collective_->sum(counts);
    Shareable reply;
    reply.headers = {{"round", task.round},
                     {"samples", counts[1]},
                     {"correct", counts[0]},
                     {"accuracy", ratio(static_cast<double>(counts[0]), static_cast<double>(counts[1]))}};
    return reply;
}

}  // namespace digits
