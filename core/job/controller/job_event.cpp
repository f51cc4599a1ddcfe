// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/job_event.hpp"

#include "rankexec/core/system/log.hpp"

namespace rankexec::job {

void fire_job_event(Engine& engine, JobStore& store, const std::string& job, const std::string& type,
                    const std::string& text) {
    if (const auto added = store.add_event(job, {wall_now(), type, text}); !added) {
        log::warning("job " + job + ": its history cannot be written: " + added.error().message);
    }
    auto context = engine.new_context();
    context.set("job_id", job);
    context.set("job_event_text", text);
    engine.fire_event(type, context);
}

}  // namespace rankexec::job
