// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <rankexec/core/model/value.hpp>

#include "collective.hpp"
#include "dataset.hpp"

namespace digits {

/// The trainer's arguments in the job file; each is optional.
struct TrainerOptions {
    std::string data = "digits.csv";
    std::string store = "store";  ///< id of the GlooStore
    std::uint64_t seed = 1998;
    int epochs = 3;          ///< per train task
    std::size_t batch = 16;  ///< images per rank and step
    float learning_rate = 0.1F;
    float momentum = 0.9F;
    Share share;                   ///< "0/2" and skew
    CollectiveOptions collective;  ///< address, interface, connect_timeout_ms, timeout_ms
};

/// Throws std::invalid_argument, with a message for the user, for an unknown argument or a value that
/// makes no sense.
TrainerOptions parse_trainer_options(const rankexec::Value::Map& args);

}  // namespace digits
