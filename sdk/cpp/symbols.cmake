# SPDX-License-Identifier: Apache-2.0
# The library exports the client and nothing else: not the evaluator, not what it links.
execute_process(COMMAND ${NM} -D -C --defined-only ${LIBRARY} OUTPUT_VARIABLE table
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" rows "${table}")
list(LENGTH rows count)
if(count LESS 10)
  message(FATAL_ERROR "${LIBRARY} exports only ${count} symbols:\n${table}")
endif()
foreach(row ${rows})
  if(NOT row MATCHES " (fulcrum::Client::|fulcrum::ErrorName)")
    message(FATAL_ERROR "${LIBRARY} exports '${row}', which sdk/cpp/symbols.map does not list.")
  endif()
endforeach()
