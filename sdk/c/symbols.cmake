# SPDX-License-Identifier: Apache-2.0
# The symbols a library exports are those of the list, no more and no fewer.
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE table
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " [A-Za-z] [^\n]+" rows "${table}")
set(exported)
foreach(row ${rows})
  string(REGEX REPLACE "^ [A-Za-z] ([^@]+).*$" "\\1" symbol "${row}")
  list(APPEND exported ${symbol})
endforeach()
file(READ ${MAP} map)
string(REGEX MATCHALL "fulcrum_[a-z_]+" listed "${map}")
list(SORT exported)
list(SORT listed)
if(NOT exported STREQUAL listed)
  message(FATAL_ERROR "${LIBRARY} exports\n  ${exported}\nand ${MAP} lists\n  ${listed}")
endif()
