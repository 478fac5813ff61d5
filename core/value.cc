// SPDX-License-Identifier: Apache-2.0
#include "core/value.h"

namespace fulcrum::core {

std::string_view AttributeTypeName(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return "bool";
    case AttributeType::kInt:
      return "int";
    case AttributeType::kFloat:
      return "float";
    case AttributeType::kString:
      return "string";
    case AttributeType::kVersion:
      return "version";
    case AttributeType::kTimeMs:
      return "time";
  }
  return "unknown";
}

}  // namespace fulcrum::core
