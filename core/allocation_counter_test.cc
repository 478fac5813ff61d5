// SPDX-License-Identifier: Apache-2.0
// Counts every allocation of the test binary, for snapshot_test.cc. A file of its own, because GCC
// warns of a mismatch where it can inline one of these operators and not the other.
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> g_allocations{0};

void* Allocate(size_t size) {
  ++g_allocations;
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace

namespace fulcrum::core::test {

size_t AllocationCount();
size_t AllocationCount() { return g_allocations; }

}  // namespace fulcrum::core::test

void* operator new(size_t size) {
  void* memory = Allocate(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
