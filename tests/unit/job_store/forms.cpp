// SPDX-License-Identifier: Apache-2.0
#include "forms.hpp"

#include <fstream>
#include <iterator>

#include "rankexec/core/job/store/memory_store.hpp"
#include "rankexec/core/job/store/sqlite_store.hpp"

namespace rankexec::job {

std::string form_name(const ::testing::TestParamInfo<Form>& info) {
    return info.param == Form::memory ? "memory" : "sqlite";
}
void PrintTo(Form form, std::ostream* out) { *out << (form == Form::memory ? "memory" : "sqlite"); }

StoreOfOneTest::StoreOfOneTest(Form wanted) : form(wanted) { reopen(); }

void StoreOfOneTest::reopen() {
    store.reset();
    StoreOptions options{directory(), kMostBytes, [clock = now] { return clock->load(); }};
    store =
        form == Form::memory ? make_memory_store(std::move(options)) : open_sqlite_store(std::move(options)).value();
}

std::filesystem::path StoreOfOneTest::file(const std::string& content) const {
    static std::atomic<int> number = 0;
    return folder.write("file-" + std::to_string(++number), content);
}

JobRecord StoreOfOneTest::job(const std::string& name) { return store->create({"", name, "", "", ""}, file()).value(); }

JobRecord StoreOfOneTest::job_at(JobStatus status) {
    using enum JobStatus;
    auto record = job();
    const auto go = [&](JobStatus to) {
        record = store->change_status(record.id, {{record.status}, to, "", {}, {}}).value();
    };
    if (status == submitted) return record;
    const bool ran = status == completed || status == execution_exception || status == running;
    if (ran || status == abnormal || status == abandoned) go(dispatched);
    if (ran && status != running) go(running);
    go(status);
    return record;
}

std::size_t StoreOfOneTest::files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory())) {
        const auto parent = entry.path().parent_path();
        if (entry.is_regular_file() && parent != directory()) ++count;
    }
    return count;
}

std::string content_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace rankexec::job
