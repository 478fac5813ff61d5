// SPDX-License-Identifier: Apache-2.0
#include "server/json_split.h"

namespace fulcrum::server {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Splits the inside of `text` (which begins with `open`) at the commas of its own level.
bool SplitLevel(std::string_view text, char open, char close,
                std::vector<std::string_view>* pieces) {
  text = Trim(text);
  if (text.size() < 2 || text.front() != open || text.back() != close) return false;
  size_t begin = 1;
  int depth = 1;
  bool in_string = false;
  for (size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (--depth == 0) {
        const std::string_view last = Trim(text.substr(begin, i - begin));
        if (!last.empty() || !pieces->empty()) pieces->push_back(last);
        return c == close && i + 1 == text.size();
      }
    } else if (c == ',' && depth == 1) {
      pieces->push_back(Trim(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  return false;
}

}  // namespace

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool SplitArray(std::string_view text, std::vector<std::string_view>* items) {
  items->clear();
  return SplitLevel(text, '[', ']', items);
}

bool SplitObject(std::string_view text,
                 std::vector<std::pair<std::string_view, std::string_view>>* members) {
  members->clear();
  std::vector<std::string_view> pieces;
  if (!SplitLevel(text, '{', '}', &pieces)) return false;
  for (const std::string_view piece : pieces) {
    if (piece.size() < 2 || piece.front() != '"') return false;
    size_t end = 1;
    while (end < piece.size() && piece[end] != '"') end += piece[end] == '\\' ? 2 : 1;
    if (end >= piece.size()) return false;
    const std::string_view rest = Trim(piece.substr(end + 1));
    if (rest.empty() || rest.front() != ':') return false;
    members->emplace_back(piece.substr(1, end - 1), Trim(rest.substr(1)));
  }
  return true;
}

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    if (!line.empty()) lines.push_back(line);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

}  // namespace fulcrum::server
