// SPDX-License-Identifier: Apache-2.0
//
// Taking a batch apart by brackets and quotes alone, for when the whole cannot be parsed: a NaN, a
// number out of range or a byte that is not UTF-8 in one item must not cost its neighbours their
// place. Each piece is then parsed by itself and fails by itself.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace fulcrum::server {

// The items of the array that `text` is. False where brackets or quotes do not close, or something
// follows the array.
bool SplitArray(std::string_view text, std::vector<std::string_view>* items);

// The members of the object that `text` is, keys without their quotes and as they were written.
bool SplitObject(std::string_view text,
                 std::vector<std::pair<std::string_view, std::string_view>>* members);

// The lines of newline-delimited JSON, blank ones left out.
std::vector<std::string_view> SplitLines(std::string_view text);

// Without JSON whitespace at either end.
std::string_view Trim(std::string_view text);

}  // namespace fulcrum::server
