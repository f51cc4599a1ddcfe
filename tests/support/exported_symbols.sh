#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# exported_symbols.sh LIBRARY...
# A library exports what is ours and meant to be used. Weak instantiations of the standard library's
# templates are one exception: they have default visibility by the standard library's own decision. The
# other is the throw that the worker's library sees first (worker/throw_clock.cpp).
set -euo pipefail
failed=0
for library in "$@"; do
    # "address type name": drop what is undefined, then what is expected
    foreign=$(nm -DC --defined-only "$library" | sed -E 's/^[0-9a-f]+ //' |
        grep -vE '^[A-Za-z] ((typeinfo( name)?|vtable|VTT|guard variable|non-virtual thunk|virtual thunk) (for|to) )?rankexec::' |
        grep -vE '^T __cxa_throw$' | grep -vE '^[WVu] ' || true)
    if [ -n "$foreign" ]; then
        echo "$library exports what is not ours:"
        echo "$foreign"
        failed=1
    fi
    if ! nm -DC --defined-only "$library" | grep ' T rankexec::' >/dev/null; then
        echo "$library exports nothing of ours"
        failed=1
    fi
done
exit "$failed"
