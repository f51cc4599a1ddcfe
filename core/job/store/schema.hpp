// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/job/store/sqlite.hpp"

namespace rankexec::job::sqlite {

/// Makes the tables in a new database, brings those of an older version to this one, each step in a transaction, and
/// refuses one of a newer version, or of another program. Throws Error.
void prepare_schema(Database& database);

}  // namespace rankexec::job::sqlite
