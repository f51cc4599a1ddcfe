// SPDX-License-Identifier: Apache-2.0
int main() { return __cplusplus == 201703L ? 0 : 1; }  // the compiler's own default
